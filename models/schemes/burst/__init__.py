"""Burst conversion with pooling by lateral inhibition (arXiv 2204.13271)."""
