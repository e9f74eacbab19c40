"""Conversion schemes, one folder each; `SCHEMES` is the list of them."""
