"""Networks against values that another computation gives."""

import numpy as np
import pytest
from ann2brian.models.importing.checking import compare
from ann2brian.models.importing.values import Value, positions
from ann2brian.models.networks.layers import Activation, Dense
from ann2brian.models.networks.network import InputCoding, Network

RNG = np.random.default_rng(2)
KERNEL, OTHER = RNG.normal(size=(4, 5)), RNG.normal(size=(5, 3))
NETWORK = Network(
    name="net",
    input=InputCoding((1, 1, 4), 255, np.full(4, 1 / 255), np.zeros(4)),
    layers=(
        Dense("dense1", ("input",), KERNEL, np.zeros(5)),
        Activation("act1", ("dense1",), "relu"),
        Dense("dense2", ("act1",), OTHER, np.zeros(3)),
    ),
    classes=("a", "b", "c"),
)
IMAGES = RNG.integers(0, 256, (6, 1, 1, 4))
HIDDEN = IMAGES[:, 0, 0] / 255 @ KERNEL


def values(**changed):
    """What a framework has at each place; one of them may be another."""
    theirs = {"hidden": HIDDEN, "rectified": np.maximum(HIDDEN, 0)}
    theirs = {**theirs, "logits": theirs["rectified"] @ OTHER, **changed}
    sources = {"hidden": "dense1", "rectified": "act1", "logits": "dense2"}
    return [
        (place, Value(source, positions(NETWORK.shapes[source]).ravel()), theirs[place])
        for place, source in sources.items()
    ]


def test_equal_values_pass():
    """Values up to rounding, and a permutation of them with its index."""
    compare(NETWORK, IMAGES, values(), 1e-12)
    order = np.array([[4, 0], [2, 1]])
    compare(NETWORK, IMAGES, [("moved", Value("act1", order), np.maximum(HIDDEN, 0)[:, order])])


def test_first_difference_is_named():
    """Two wrong values against the message with the first one's place, layer and size."""
    wrong = np.maximum(HIDDEN, 0) + 0.01 * (np.arange(5) == 3)
    with pytest.raises(ValueError, match=r"rectified: Activation 'act1' differs .* by 0\.01 where"):
        compare(NETWORK, IMAGES, values(rectified=wrong, logits=wrong @ OTHER))


def test_tolerance_is_relative_to_the_largest_entry():
    """Differences below and above, whatever the scale."""
    largest = np.abs(HIDDEN).max()
    compare(NETWORK, IMAGES, values(hidden=HIDDEN + 0.9e-4 * largest))
    with pytest.raises(ValueError, match="hidden"):
        compare(NETWORK, IMAGES, values(hidden=HIDDEN + 1.2e-4 * largest))


def test_what_is_not_finite_is_refused():
    """NaN of the framework against the message with the image."""
    bad = HIDDEN.copy()
    bad[4, 2] = np.nan
    with pytest.raises(ValueError, match=r"hidden: gives nan for image 4 of the sample"):
        compare(NETWORK, IMAGES, values(hidden=bad))


def test_another_shape_is_refused():
    """A value of another shape against both."""
    with pytest.raises(ValueError, match=r"hidden: the framework gives shape \(4,\)"):
        compare(NETWORK, IMAGES, values(hidden=HIDDEN[:, :4]))
