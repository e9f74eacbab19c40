"""Neurons of NIR in the place of trained units."""

import numpy as np
from ann2brian.models.networks.layers import Flatten, Spike
from ann2brian.models.networks.network import Network

import ann2brian as ab
from tests.support.networks import CLASSES, coding, conv, dense, images_for
from tests.support.with_torch import torch_or_skip

torch_or_skip()
from ann2brian.studies.nir import recipes


def test_lif_neurons_do_what_the_trained_units_do():
    """Mean scores over the steps, against the forward pass of units that leak and reset to rest."""
    rng, n_steps = np.random.default_rng(0), 8
    told = {"leak": recipes.LEAK, "reset": "hard", "n_steps": n_steps}
    network = Network(
        "leaky",
        coding((6, 5, 2)),
        (
            conv(rng, "conv", "input", (3, 3), 2, 4),
            Spike("first", ("conv",), **told),
            conv(rng, "wide", "first", (2, 2), 4, 6),
            Spike("second", ("wide",), **told),
            Flatten("flat", ("second",)),
            dense(rng, "out", "flat", 3 * 2 * 6, 5),
        ),
        CLASSES,
    )
    images = images_for(network, 20)
    conversion = ab.convert(recipes.as_lif(network), ab.NirOptions(n_steps=n_steps))
    reference = ab.reference(conversion, images)
    assert all(counts.sum() > 100 for counts in reference.counts.values())
    assert np.allclose(reference.scores[:, -1], network.forward(images), rtol=0, atol=1e-6)
