"""The AMOS study."""
