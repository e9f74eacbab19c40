"""All schemes side by side: the same images, costs and intervals."""
