"""Tables of spikes: how they are kept, joined and refused."""

import numpy as np
import pytest
from ann2brian.models.spiking.recording import COLUMNS, Spikes


def drawn(n, images, rng, dtype=np.int64):
    """Random spikes, sorted by image, layer, step and neuron."""
    rows = zip(
        rng.integers(*images, n), rng.integers(0, 3, n), rng.integers(0, 9, n),
        rng.integers(0, 70_000, n), strict=True,
    )  # fmt: skip
    image, layer, step, neuron = np.array(sorted(rows), dtype=dtype).reshape(-1, 4).T
    return Spikes(image=image, layer=layer, neuron=neuron, step=step)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_four_bytes_a_column_whatever_is_given(dtype):
    """Columns against what was given, and their size against the 16 bytes that a spike may take."""
    values = np.array([0, 3, 100], dtype=dtype)
    spikes = Spikes(image=values, layer=values, neuron=values, step=values)
    assert sum(getattr(spikes, name).nbytes for name in COLUMNS) == 16 * len(spikes)
    assert all(np.array_equal(getattr(spikes, name), values) for name in COLUMNS)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**40])
def test_numbers_of_more_than_32_bits_are_refused(value):
    """Instead of being cut."""
    zero = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="spikes: numbers of neuron need more than 32 bits"):
        Spikes(image=zero, layer=zero, neuron=np.array([value]), step=zero)


def test_parts_joined_in_any_order_equal_the_whole():
    """`of` sorts whatever parts it gets, `following` puts them one behind the other."""
    rng = np.random.default_rng(0)
    parts = [drawn(200, (start, start + 5), rng) for start in (0, 5, 10)]
    whole = Spikes.following(parts)
    mixed = np.arange(len(whole)) % 2 == 0
    for joined in (
        Spikes.of(parts[::-1]),
        Spikes.of([whole.where(mixed), whole.where(~mixed)]),
    ):
        for name in COLUMNS:
            wanted = np.concatenate([getattr(part, name) for part in parts])
            assert np.array_equal(getattr(whole, name), wanted)
            assert np.array_equal(getattr(joined, name), wanted)
