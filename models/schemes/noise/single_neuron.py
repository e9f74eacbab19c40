"""One noisy neuron whose trials are images."""

from __future__ import annotations

import numpy as np

from ...conversion.as_trained import of_layer
from ...conversion.membrane import UNIT_VOLT
from ...networks.grids import NOISE_STEP
from ...networks.layers import INPUT, Spike
from ...networks.network import InputCoding
from ...spiking.inputs import Stimulus
from ...spiking.network import READOUT, Population, Readout, SpikingNetwork
from ...spiking.projections import Projection
from .conversion import _noise, _parameters
from .options import NoiseOptions


def single_neuron(
    options: NoiseOptions, *, mean: float = 0.5, sigma: float = 0.3, largest: float = 4.0
) -> SpikingNetwork:
    """One noisy neuron that is driven by the image's only pixel; each image is a trial.

    Parameters
    ----------
    options : NoiseOptions
        How it runs.
    mean, sigma : float
        Of its noise, in thresholds, if the options say nothing else.
    largest : float
        Largest drive in a step, in thresholds; signed.

    Returns
    -------
    SpikingNetwork
        Its population is ``"neuron"``; a pixel is the drive in thresholds. The one score is the
        number of spikes.
    """
    layer = Spike("neuron", (INPUT,), 1.0, mean, sigma)
    mean, sigma = _noise(layer, options)
    options = of_layer(options, layer)
    assert options.n_steps is not None
    one = np.ones(1, dtype=np.int64)
    return SpikingNetwork(
        scheme="noise",
        name="single neuron",
        neurons=(options.neuron,),
        populations=(
            Population(
                name="neuron",
                neurons=options.rule,
                shape=(1, 1, 1),
                onset=0,
                parameters=_parameters(np.zeros((1, 1, 1)), mean, sigma, options),
                largest_input=largest,
                input_step=NOISE_STEP,
            ),
        ),
        projections=(
            Projection(
                source="neuron",
                target=READOUT,
                kernel=np.ones((1, 1, 1, 1)),
                gains=np.ones(1),
                delays=0 * one,
                source_shape=(1, 1, 1),
                target_shape=(1, 1, 1),
            ),
        ),
        stimuli=(Stimulus(target="neuron", variable="bias"),),
        readout=Readout(n_steps=options.n_steps, offset=np.zeros(1), onset=0),
        image_shape=(1, 1, 1),
        coding=InputCoding((1, 1, 1), largest, np.ones(1), np.zeros(1), signed=True),
        unit_volt=UNIT_VOLT,
        dt_ms=options.dt_ms,
        n_phases=options.n_steps,
        most_spikes=options.n_steps,
    )
