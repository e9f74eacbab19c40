"""Projections as plain convolutions, against sums over windows written out."""

import numpy as np
import pytest
from ann2brian.models.exporting.weights import as_convolution, as_matrix, channels_first
from ann2brian.models.spiking.projections import Projection


def drawn(rng, **given):
    """A projection with drawn weights of small whole numbers; its target is as large as it gets."""
    full = {"pool": (1, 1), "pool_stride": (1, 1), "pool_padding": (0, 0, 0, 0), "groups": 1}
    full |= {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "size": (3, 3)} | given
    rows, columns = full.pop("size")
    kernel = rng.integers(-4, 5, (rows, columns, 4 // full["groups"], 6)).astype(float)
    make = {"source": "a", "target": "b", "kernel": kernel, "gains": np.full(1, 2.0)}
    make |= {"delays": np.zeros(1, dtype=np.int64), "source_shape": (9, 8, 4)} | full
    first = Projection(**make, target_shape=(1, 1, 6))
    return Projection(**make, target_shape=first.output_shape)


def convolved(x, form):
    """Cross-correlation as frameworks have it; x of shape (C, H, W)."""
    (down, right), (top, left) = form.stride, form.padding
    x = np.pad(x, ((0, 0), (top, top), (left, left)))
    n_out, _, rows, columns = form.weight.shape
    height = (x.shape[1] - rows) // down + 1
    width = (x.shape[2] - columns) // right + 1
    found = np.zeros((n_out, height, width))
    for i, j in np.ndindex(height, width):
        part = x[:, i * down : i * down + rows, j * right : j * right + columns]
        found[:, i, j] = np.tensordot(form.weight, part, 3)
    return found


CASES = [
    {},
    {"padding": (1, 1, 1, 1)},
    {"padding": (0, 1, 0, 1), "size": (2, 2)},
    {"padding": (2, 1, 0, 1), "size": (4, 2)},
    {"padding": (1, 0, 0, 1), "stride": (2, 2)},
    {"size": (1, 3), "padding": (0, 0, 1, 1)},
    {"size": (3, 1), "stride": (1, 2)},
    {"dilation": (2, 1), "padding": (2, 2, 1, 1)},
    {"padding": (1, 1, 0, 1), "size": (3, 2), "stride": (2, 2)},
    {"groups": 2, "padding": (1, 1, 1, 1)},
    {"pool": (2, 2), "pool_stride": (2, 2), "size": (3, 3)},
    {"pool": (2, 2), "pool_stride": (1, 1), "size": (2, 2), "stride": (2, 1)},
    {"pool": (3, 2), "pool_stride": (3, 2), "padding": (1, 1, 1, 1)},
    {"pool": (2, 2), "pool_stride": (2, 2), "pool_padding": (1, 0, 0, 0), "size": (2, 2)},
]


@pytest.mark.parametrize("given", CASES, ids=str)
def test_convolutions_sum_the_same(given):
    """Square kernels where they can be, both sides padded alike, one group, no dilation."""
    rng = np.random.default_rng(0)
    p = drawn(rng, **given)
    form = as_convolution(p)
    assert form is not None
    x = rng.integers(0, 3, (9, 8, 4)).astype(float)
    wanted = 2.0 * p.forward(x[None]).reshape(p.target_shape)
    assert np.array_equal(convolved(x.transpose(2, 0, 1), form), wanted.transpose(2, 0, 1))


def test_kernels_are_made_square():
    """Where windows are one place apart, sizes of unlike parity cannot be."""
    rng = np.random.default_rng(0)
    square = as_convolution(drawn(rng, size=(3, 1), padding=(1, 1, 0, 0)))
    assert square.weight.shape == (6, 4, 3, 3) and square.padding == (1, 1) and square.is_square
    far = as_convolution(drawn(rng, size=(3, 2), padding=(1, 1, 0, 1), stride=(2, 2)))
    assert far.is_square
    assert not as_convolution(drawn(rng, size=(3, 2))).is_square


def test_a_border_that_sees_what_pooling_left_out_has_no_convolution():
    """The pooled map ends before the last row, and the padded one begins there."""
    p = drawn(
        np.random.default_rng(0), pool=(2, 2), pool_stride=(2, 2), padding=(1, 1, 1, 1)
    )  # nine rows pool to four
    assert as_convolution(p) is None
    assert as_matrix(p).shape == (np.prod(p.target_shape), 9 * 8 * 4)


def test_channels_come_first():
    """The entry of row 1, column 0, channel 2 of a map of 2 x 3 x 4."""
    order = channels_first((2, 3, 4))
    assert order[2 * 6 + 1 * 3 + 0] == 1 * 12 + 0 * 4 + 2
