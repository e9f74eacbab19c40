"""The study of locally binary networks."""
