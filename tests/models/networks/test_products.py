"""Products in blocks: right, and the same for a row whatever is computed beside it."""

import numpy as np
import pytest
from ann2brian.models.networks import products
from ann2brian.models.networks.layers import AvgPool2D, BatchNorm, Conv2D, Dense, MaxPool2D
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import everything, images_for, pooled_network


@given(
    st.integers(1, 600),
    st.sampled_from([1, 2, 9, 27, 144, 576]),
    st.sampled_from([1, 3, 10, 16, 64, 113]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_a_row_does_not_depend_on_its_neighbours(n, n_in, n_out, seed):
    """Any part of the rows gives the same numbers, bit for bit, and the right ones."""
    rng = np.random.default_rng(seed)
    rows, kernel = rng.normal(size=(n, n_in)), rng.normal(size=(n_in, n_out))
    found = products.product(rows, kernel)
    few = slice(None, None, 97)
    wanted = np.einsum("ni,io->no", rows[few], kernel)
    assert np.allclose(found[few], wanted, rtol=1e-12, atol=1e-12)
    start, stop = sorted(rng.integers(0, n + 1, 2))
    assert np.array_equal(products.product(rows[start:stop], kernel), found[start:stop])


def test_wide_kernels_are_multiplied_in_one_piece():
    rng = np.random.default_rng(0)
    rows, kernel = rng.normal(size=(5, 700)), rng.normal(size=(700, 100))
    assert np.array_equal(products.product(rows, kernel), rows @ kernel)
    assert products.product(rows[:0], kernel[:, :3]).shape == (0, 3)


@pytest.mark.parametrize("network", [everything(), pooled_network(), everything("silu", 1)])
def test_logits_do_not_depend_on_the_batch(network):
    images = images_for(network, 23)
    logits = network.forward(images)
    for batch in (1, 2, 7, 16):
        assert np.array_equal(network.forward(images, batch), logits)


def one_by_one(x, layer, reduce):
    """A layer on windows by plain loops: `reduce` gets window (kh, kw, C)."""
    (top, bottom, left, right), (kh, kw) = layer.padding, layer.size
    fill = -np.inf if isinstance(layer, MaxPool2D) else 0.0
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    rows = range(0, x.shape[1] - kh + 1, layer.stride[0])
    columns = range(0, x.shape[2] - kw + 1, layer.stride[1])
    return np.array(
        [[[reduce(one[i : i + kh, j : j + kw]) for j in columns] for i in rows] for one in x]
    )


@pytest.mark.parametrize("in_cache", [1, 200, 2**18])  # one row at a time, some, all
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_convolution(groups, in_cache, monkeypatch):
    """Against loops over windows; blocks of any size give the same bits."""
    rng = np.random.default_rng(groups)
    x = rng.normal(size=(4, 7, 6, 6))
    n_out = 12 if groups == 3 else 6
    kernel, bias = rng.normal(size=(3, 2, 6 // groups, n_out)), rng.normal(size=n_out)
    layer = Conv2D("conv", ("input",), kernel, bias, (2, 1), (1, 0, 1, 1), groups)
    n_in, n_made = 6 // groups, n_out // groups

    def reduce(window):
        return [
            (window[..., o // n_made * n_in :][..., :n_in] * kernel[..., o]).sum() + bias[o]
            for o in range(n_out)
        ]

    whole = layer.apply(x)
    monkeypatch.setattr(products, "IN_CACHE", in_cache)
    assert np.array_equal(layer.apply(x), whole)
    assert np.allclose(whole, one_by_one(x, layer, reduce), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 0, 1, 2)])
@pytest.mark.parametrize(("size", "stride"), [((2, 3), (2, 2)), ((3, 3), (1, 2)), ((2, 4), (3, 3))])
def test_pooling(size, stride, padding):
    """Against loops over windows."""
    x = np.random.default_rng(0).normal(size=(3, 7, 8, 5))
    for kind, reduce in ((AvgPool2D, np.mean), (MaxPool2D, np.max)):
        layer = kind("pool", ("input",), size, stride, padding)
        wanted = one_by_one(x, layer, lambda window, reduce=reduce: reduce(window, axis=(0, 1)))
        assert np.allclose(layer.apply(x), wanted, rtol=1e-14, atol=1e-15)


def test_layers_leave_their_inputs_as_they_are():
    """Also those that compute in place."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 4, 3))
    before = x.copy()
    BatchNorm("norm", ("input",), *rng.uniform(1, 2, (4, 3)), 1e-5).apply(x)
    AvgPool2D("pool", ("input",), (1, 1), (1, 1)).apply(x)[:] = 0
    MaxPool2D("pool", ("input",), (1, 1), (1, 1)).apply(x)[:] = 0
    Dense("dense", ("input",), rng.normal(size=(3, 2)), np.zeros(2)).apply(x[:, :1, :1])[:] = 0
    assert np.array_equal(x, before)
