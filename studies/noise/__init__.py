"""The study of noise-trained networks."""
