"""Statistics of spike trains and networks, by what is measured."""
