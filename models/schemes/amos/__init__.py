"""AMOS: any gate as a circuit of neurons with at most one spike (arXiv 2001.01682)."""
