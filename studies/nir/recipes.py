"""A network of leaky integrate-and-fire neurons, trained through its steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ann2brian.models.networks.dynamics import Neurons
from ann2brian.models.networks.layers import Spike
from ann2brian.models.networks.network import Network
from ann2brian.models.pytorch.units import NoisySpike
from ann2brian.studies.training.architectures import digits_net, with_steps
from ann2brian.studies.training.recipe import Recipe

LEAK = 0.8  # of the potential in a step
DT = 1e-3  # seconds
N_STEPS = 8


def as_lif(network: Network) -> Network:
    """The same network with LIF neurons of NIR's definition in the place of its units.

    A unit keeps the part `leak` of its potential and adds its input; after a spike it is at rest.
    That is exact integration for tau = -dt / ln(leak) and r = 1 / (1 - leak). It spikes at a
    potential of 1, where NIR wants more: the threshold is the next number of single precision.
    """

    def replaced(layer: Spike) -> Neurons:
        assert layer.leak is not None and layer.reset == "hard"
        numbers = {
            "tau": -DT / np.log(layer.leak),
            "r": 1.0 / (1.0 - layer.leak),
            "v_leak": 0.0,
            "v_threshold": float(np.nextafter(np.float32(1), np.float32(0))),
            "v_reset": 0.0,
        }
        return Neurons(
            layer.name,
            layer.inputs,
            "LIF",
            **{name: np.full((1, 1, 1), value) for name, value in numbers.items()},
            written_by="definition",
            dt=DT,
        )

    network = network.fold_batch_norm()
    layers = (replaced(own) if isinstance(own, Spike) else own for own in network.layers)
    return replace(network, layers=tuple(layers))


RECIPES: dict[str, Recipe] = {
    "digits-lif": Recipe(
        scheme="nir",
        dataset="digits",
        build=lambda: with_steps(
            digits_net(lambda: NoisySpike(0.0, 0.0, leak=LEAK, reset="hard")), N_STEPS
        ),
        epochs=80,
        batch=32,
        learning_rate=1e-2,
        n_steps=N_STEPS,
        as_network=as_lif,
    )
}
