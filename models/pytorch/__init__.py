"""From PyTorch to a trained network; the units that PyTorch lacks."""
