"""From our networks to files that other programs run."""
