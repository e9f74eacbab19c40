"""What the schemes share on the way from a trained to a spiking network, and their contract."""
