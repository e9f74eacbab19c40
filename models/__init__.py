"""From a trained network to a Brian2 run: everything that knows neurons, weights and spikes."""
