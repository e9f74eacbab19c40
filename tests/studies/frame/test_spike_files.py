"""What is stored beside spike trains, and how it is said."""

import numpy as np
import pytest
from ann2brian.studies.amos.figures import amos_raster
from ann2brian.studies.amos.study import STUDY
from ann2brian.studies.frame.figures import Result
from ann2brian.studies.frame.spike_files import SPIKES, load_spikes, read_out

from tests.support.studies import quick_run


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("ant", "bee", "cat"), ('"cat"', '"bee"')),
        (("0", "1", "2"), ("class 2", "1")),
        ((), ("class 2", "1")),
    ],
)
def test_classes_are_said_by_name(classes, said):
    """Names where there are some; numbers also for files of older versions, without names."""
    stored = {"labels": np.array([0, 2]), "predictions": np.array([2, 1]), "classes": classes}
    assert read_out(stored, 1) == said


def test_a_raster_says_the_names(tmp_path):
    """Names in the file of a result against the title; of a file without them, numbers."""
    folder = quick_run(STUDY, tmp_path)
    _, _, stored = load_spikes(folder / SPIKES)
    assert stored["classes"] == tuple("0123456789")
    label, found = stored["labels"][0], stored["predictions"][0]
    title = "digits, image 0: {}, read out as {} after "
    assert _title(folder).startswith(title.format(f"class {label}", found))
    with np.load(folder / SPIKES) as file:
        arrays = dict(file)
    arrays["classes"] = names = np.array([f"digit {i}" for i in range(10)])
    np.savez(folder / SPIKES, **arrays)
    assert _title(folder).startswith(title.format(f'"{names[label]}"', f'"{names[found]}"'))
    del arrays["classes"]
    np.savez(folder / SPIKES, **arrays)
    assert _title(folder).startswith(title.format(f"class {label}", found))


def _title(folder):
    return amos_raster(Result(folder)).axes[0].get_title()
