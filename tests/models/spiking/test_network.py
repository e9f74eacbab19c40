"""A spiking network as plain data: what does not fit is refused where it is made."""

from dataclasses import replace

import numpy as np
import pytest

import ann2brian as ab
from tests.support.networks import everything, images_for


def test_parameters_of_another_shape_are_refused():
    """A changed parameter that has not one value for each neuron, by population and name."""
    network = everything()
    spiking = ab.convert(network, ab.AmosOptions(), images_for(network, 4)).spiking
    population = spiking.populations[1]
    with pytest.raises(ValueError, match=rf"{population.name}.*'theta' has shape \(3,\)"):
        replace(population, parameters={"theta": np.zeros(3)})
