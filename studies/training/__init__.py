"""Recipes, architectures and the training loop."""
