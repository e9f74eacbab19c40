"""Networks trained for one step with noise, run for N steps (arXiv 2211.05453)."""
