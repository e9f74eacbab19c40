"""The exchange between simulators: networks that other tools wrote, spike for spike."""
