"""What every study shares, from the command line to the result folder; no science."""
