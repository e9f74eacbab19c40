"""Colours of schemes stay apart for readers with each kind of dichromacy."""

from itertools import combinations

import numpy as np
import pytest
from ann2brian.analysis.figures.style import COLOURS, SCHEME_COLOURS
from ann2brian.models.schemes import SCHEMES

# What a dichromat sees of linear RGB, severity 1.0: Machado, Oliveira and Fernandes (2009) IEEE
# Trans Vis Comput Graph 15:1291, supplementary tables. doi:10.1109/TVCG.2009.113
VISION = {
    "trichromacy": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array(  # of linear sRGB, IEC 61966-2-1, white point D65
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
APART = 15.0  # in CIELAB, where 2.3 is just noticeable (Mahy et al. 1994)


def linear_rgb(colour):
    value = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def cielab(rgb):
    ratio = (XYZ @ rgb) / XYZ.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first, second, vision):
    a, b = (cielab(np.clip(VISION[vision] @ linear_rgb(c), 0, 1)) for c in (first, second))
    return float(np.linalg.norm(a - b))


@pytest.mark.parametrize("vision", VISION)
def test_schemes_stay_apart(vision):
    schemes = SCHEME_COLOURS | {"trained": COLOURS["trained"]}
    near = {
        (one, other): found
        for one, other in combinations(schemes, 2)
        if (found := distance(schemes[one], schemes[other], vision)) < APART
    }
    assert not near


def test_simulated_dichromats_confuse_what_they_should():
    """A red and a green of equal sight for dichromats, and greys that are seen as they are."""
    red, green = "#A05000", "#667A00"
    assert distance(red, green, "trichromacy") > 2 * APART
    assert distance(red, green, "deuteranopia") < APART
    for vision in VISION:
        assert distance("#808080", "#FFFFFF", vision) == pytest.approx(46.4, abs=0.1)


def test_every_scheme_has_a_colour():
    assert set(SCHEME_COLOURS) == {*SCHEMES, "rate"}
