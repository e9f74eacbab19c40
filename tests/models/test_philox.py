"""Counted random numbers against published answers, the distribution and exact quantiles."""

import numpy as np
import pytest
from ann2brian.models import philox
from scipy import stats

# Known answers of the authors' library Random123 1.14 (kat_vectors): counter, key, words.
KNOWN = [
    ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    """The generator itself."""
    assert tuple(int(word) for word in philox.philox(counter, key)) == words


def test_numbers_follow_their_laws():
    """Kolmogorov-Smirnov for each thing that is counted; neighbours are not correlated."""
    n = 100_000
    counted = np.arange(n)
    for place in range(5):
        address = [3, 1, 4, 1, 5]
        address[place] = counted
        flat = philox.uniform(*address)
        assert stats.kstest(flat, "uniform").pvalue > 1e-4
        bell = philox.normal(*address)
        # The grid is too coarse for the test; what was rounded away is uniform.
        spread = bell + (np.random.default_rng(0).random(n) - 0.5) * philox.NORMAL_STEP
        assert stats.kstest(spread, "norm").pvalue > 1e-4
        for numbers in (flat, bell):
            assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 4 / np.sqrt(n)


def test_normal_numbers_are_quantiles(monkeypatch):
    """Of every kind of word: near the middle, in each octave, at both ends; symmetric."""
    octaves = 2 ** np.arange(31, dtype=np.int64)
    rest = np.unique(np.concatenate([octaves - 1, octaves, octaves * 3 // 2, np.arange(300)]))
    for sign, words in ((1, rest), (-1, rest + 2**31)):
        drawn = words.astype(np.uint64)
        monkeypatch.setattr(philox, "philox", lambda *_, own=drawn: (own, own, own, own))
        exact = -stats.norm.ppf((rest + 0.5) / 2.0**32)
        found = philox.normal(0, np.zeros(rest.size, dtype=int), 0, 0, 0)
        assert np.abs(sign * found - exact).max() < 0.5 * philox.NORMAL_STEP + 2e-5
        assert (found / philox.NORMAL_STEP % 1 == 0).all()
        assert np.abs(found).max() < philox.LARGEST_NORMAL


def test_nothing_is_drawn_between_images():
    """Steps below 0, beside others that they do not change."""
    steps = np.array([-7, 3, -1, 4])
    for law, none in ((philox.normal, 0.0), (philox.uniform, 1.0)):
        found = law(1, 2, 3, steps, 0)
        assert found[[0, 2]].tolist() == [none, none]
        assert found[1] == law(1, 2, 3, 3, 0) and found[3] == law(1, 2, 3, 4, 0)
        assert found[1] != found[3]


def test_table_is_the_same_everywhere():
    """Quantiles do not depend on the release of SciPy: a sum and a few of them, written down."""
    assert philox.QUANTILES[:3].tolist() == [106333286, 103455520, 102091113]
    assert philox.QUANTILES.size == 3202
    weights = np.arange(philox.QUANTILES.size)
    assert int((philox.QUANTILES * weights).sum() % 1_000_003) == 91647


def test_seeds_of_any_size():
    """A key is a whole number that fits 31 bits, for large seeds too; seeds differ."""
    keys = {philox.key_of(seed) for seed in (0, 1, 2, 2**31, 2**63, 10**30)}
    assert len(keys) == 6
    assert all(0 <= key < 2**31 for key in keys)
