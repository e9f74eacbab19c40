"""Trained networks as plain data: layers, forward pass, dyadic grids, weight files, data sets."""
