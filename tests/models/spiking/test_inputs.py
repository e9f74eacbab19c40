"""What images bring to neurons, against sums of whole numbers."""

import numpy as np
import pytest
from ann2brian.models.spiking.inputs import IMAGES_AT_ONCE, Stimulus
from ann2brian.models.spiking.projections import Projection

FINE, COARSE = 2.0**-20, 2.0**-14  # grids of the weights, and of the currents


def drawn(rng, source_shape, size, n_out, **options):
    """A projection whose weights are whole multiples of the fine grid."""
    weights = rng.integers(-(2**19), 2**19, (*size, source_shape[2], n_out))
    rows, columns = (source_shape[i] - size[i] + 1 for i in range(2))
    return weights, Projection(
        source="input",
        target="neurons",
        kernel=weights * FINE,
        gains=np.ones(1),
        delays=np.zeros(1, dtype=np.int64),
        source_shape=source_shape,
        target_shape=(rows, columns, n_out),
        **options,
    )


def sums(pixels, weights):
    """Convolution in 64-bit integers."""
    places = np.lib.stride_tricks.sliding_window_view(pixels, weights.shape[:2], axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", places, weights)


@pytest.mark.parametrize("n_images", [1, IMAGES_AT_ONCE, 2 * IMAGES_AT_ONCE + 3])
def test_currents_are_exact_sums_rounded_once(n_images):
    """Two projections and a bias, bit for bit, and the same block by block."""
    rng = np.random.default_rng(n_images)
    pixels = rng.integers(0, 256, (n_images, 9, 8, 3))
    first, second = (drawn(rng, (9, 8, 3), (4, 3), 5) for _ in range(2))
    bias = rng.integers(-(2**24), 2**24, (6, 6, 5))
    stimulus = Stimulus(
        target="neurons",
        variable="bias",
        projections=(first[1], second[1]),
        bias=bias * FINE,
        step=COARSE,
    )
    exact = sums(pixels, first[0]) + sums(pixels, second[0]) + bias
    wanted, rest = np.divmod(exact, 64)  # 64 fine steps are a coarse one; ties to even
    wanted += (rest > 32) | ((rest == 32) & (wanted % 2 == 1))
    assert (rest == 32).any()
    images = pixels.astype(np.float64)
    values = stimulus.values(images)
    assert np.array_equal(values, wanted.reshape(n_images, -1) * COARSE)
    blocks = list(stimulus.blocks(images))
    assert len(blocks) == -(-n_images // IMAGES_AT_ONCE)
    assert np.array_equal(np.concatenate(blocks), values)


def test_pixels_themselves():
    """Without weights, the pixels in their order."""
    images = np.random.default_rng(0).random((IMAGES_AT_ONCE + 1, 4, 3, 2))
    stimulus = Stimulus(target="neurons", variable="drive")
    assert np.array_equal(stimulus.values(images), images.reshape(len(images), 24))
    assert np.array_equal(np.concatenate(list(stimulus.blocks(images))), stimulus.values(images))
