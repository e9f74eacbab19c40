"""What cannot be handed on or read is refused, and the message says what to do."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.places import ROOT

import ann2brian as ab
from tests.support.recordings import layer, package_or_skip, recording_of

LAYERS = (layer("act1"), layer("act2"))
WAYS = {
    "pandas": lambda recording: recording.to_pandas(),
    "summary": lambda recording: recording.summary(),
    "raster": lambda recording: recording.raster("act2"),
    "events": lambda recording: recording.to_events("act2", 0),
    "neo": lambda recording: recording.to_neo("act2", 0),
    "nir": lambda recording: recording.to_nir("act2"),
    "nwb": lambda recording: recording.to_nwb("a.nwb"),
}
NEEDING = {"neo": "neo", "nir": "nir", "nwb": "pynwb"}


@pytest.fixture
def partly():
    """Of two layers that fired, the first was recorded."""
    return recording_of([(0, 0, 1, 2), (1, 1, 1, 3)], LAYERS, kept=[0])


@pytest.mark.parametrize("way", WAYS)
def test_a_recording_without_spikes(way, partly):
    """The default of `simulate`, in every format."""
    if way in NEEDING:
        package_or_skip(NEEDING[way])
    with pytest.raises(ValueError, match="holds no spike trains; simulate with record=True"):
        WAYS[way](replace(partly, spikes=None))


@pytest.mark.parametrize("way", ["raster", "events", "neo", "nir"])
def test_a_layer_that_was_not_recorded(way, partly):
    """In every format that takes a layer."""
    if way in NEEDING:
        package_or_skip(NEEDING[way])
    with pytest.raises(ValueError, match="layer 'act2' was not recorded; spikes were kept of act1"):
        WAYS[way](partly)


def test_layers_and_images_that_there_are_not(partly):
    """Wrong names and numbers."""
    with pytest.raises(ValueError, match="layer 'act9' does not exist; spikes were kept of act1"):
        partly.raster("act9")
    for image in (2, -1, 1.0, "0"):
        with pytest.raises(ValueError, match=f"image must be a whole number .* got {image!r}"):
            partly.raster("act1", image)


@pytest.mark.parametrize("way", NEEDING)
def test_packages_that_are_not_installed(way, partly, monkeypatch, tmp_path):
    """Named, with the command that installs them."""
    monkeypatch.setitem(sys.modules, NEEDING[way], None)
    full = recording_of([(0, 0, 1, 2)], LAYERS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportError, match=f"pip install {NEEDING[way]}"):
        WAYS[way](full)


def test_a_recording_needs_none_of_them():
    """Modules that a fresh process has loaded with the class."""
    code = (
        "import sys; from ann2brian.models.spiking.recording import Recording;"
        "print([m for m in ('pandas', 'neo', 'nir', 'pynwb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_spikes_in_one_step_have_no_place_in_a_raster():
    recording = recording_of([(0, 0, 1, 2), (0, 0, 1, 2)])
    with pytest.raises(ValueError, match="fires more than once in a step"):
        recording.raster("act1")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: ab.spikes_from_pandas(pd.DataFrame({"image": [0]})), "no column 'layer'"),
        (
            lambda: ab.spikes_from_pandas(
                pd.DataFrame({"image": [0], "layer": ["a"], "neuron": [0], "step": [0]})
            ),
            "say layers=recording.layers",
        ),
        (
            lambda: ab.spikes_from_pandas(
                pd.DataFrame({"image": [0], "layer": ["a"], "neuron": [0], "step": [0]}), ["b"]
            ),
            "a layer 'a'; there are b",
        ),
        (lambda: ab.spikes_from_raster(np.zeros(3)), r"shape .*, got \(3,\)"),
        (lambda: ab.spikes_from_raster(np.full((2, 3), 2)), "holds 0 and 1"),
        (lambda: ab.spikes_from_neo([]), "at least one train"),
    ],
)
def test_what_is_no_spike_trains(read, said):
    with pytest.raises(ValueError, match=said):
        read()


def events(**columns):
    fields = {"t": 0, "x": 0, "y": 0} | columns
    found = np.zeros(1, dtype=[(name, np.int64) for name in fields if fields[name] is not None])
    for name in found.dtype.names:
        found[name] = fields[name]
    return found


@pytest.mark.parametrize(
    ("given", "dt_ms", "said"),
    [
        (events(x=None), 1.0, "events have the fields x, y and t, got t, y"),
        (np.zeros(3), 1.0, "fields x, y and t, got none"),
        (events(), None, "say dt_ms"),
        (events(t=400), 1.0, "a spike at 0.4 ms is on no whole step of 1 ms"),
        (events(t=-1000), 1.0, "a spike at -1 ms; times begin at 0"),
        (events(), 1e-4, "cannot be told apart"),
        (events(), 0.0, "a step has a length above 0 ms"),
        (
            events(x=3),
            1.0,
            r"layer 'act1': an event at .* \(0, 0, 3, 0\), but the map",
        ),
        (events(p=4), 1.0, "layer 'act1': an event"),
        (events(y=-1), 1.0, "layer 'act1': an event"),
        (events(t=2000, step=3), 1.0, "its steps are not those of its times"),
    ],
)
def test_what_is_no_event_of_the_map(given, dt_ms, said):
    with pytest.raises(ValueError, match=said):
        ab.spikes_from_events(given, layer(), dt_ms=dt_ms)


def test_trains_that_somebody_moved_or_that_do_not_say_their_step():
    """Neo's own shift keeps the annotation, which is then wrong."""
    package_or_skip("neo")
    quantities = package_or_skip("quantities")
    (train, *_) = recording_of([(0, 0, 0, 3)], dt_ms=0.5).to_neo("act1", 0)
    with pytest.raises(ValueError, match="train 0: its steps are not those of its times"):
        ab.spikes_from_neo([train.time_shift(1 * quantities.ms)])
    with pytest.raises(ValueError, match=r"train 0 has steps of 0\.5 ms, not 1 ms"):
        ab.spikes_from_neo([train], 1.0)
    del train.annotations["dt_ms"]
    with pytest.raises(ValueError, match="train 0 does not say how long a step is"):
        ab.spikes_from_neo([train])
