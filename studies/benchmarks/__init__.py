"""Peers and measurements of the benchmark."""
