"""Locally binary networks: layers chosen for one bit a synapse (arXiv 2208.00398)."""
