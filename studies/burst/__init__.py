"""The burst study."""
