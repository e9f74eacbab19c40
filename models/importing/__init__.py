"""From trained networks of other frameworks to a `Network`."""
