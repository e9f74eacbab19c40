"""The study of networks from NIR files."""
