"""What a contender answers: digests that tell, and lines that nothing else gets between."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from ann2brian.models.places import ROOT
from ann2brian.studies.benchmarks.worker import digest, events_digest, peak_memory_mb

import ann2brian as ab


@pytest.fixture(scope="module")
def recording():
    """Three digits, with all spikes."""
    network = ab.load_network(ab.trained("digits-burst"))
    training, _ = ab.load_images("digits", "train")
    images, _ = ab.load_images("digits", "test")
    conversion = ab.convert(network, ab.BurstOptions(n_steps=2), training[:50])
    return ab.simulate(conversion, images[:3], batch=1, target="numpy", record=True)


def test_digest_tells_any_difference(recording):
    """The digest of a copy against the same, and against copies with one entry changed."""
    copy = replace(recording, scores=recording.scores.copy())
    assert digest(copy) == digest(recording)
    copy.scores[0, -1, 0] += 1e-9
    counts = tuple(own.copy() for own in recording.spike_counts)
    counts[-1][0, -1] += 1
    spikes = replace(recording.spikes, step=recording.spikes.step.copy())
    spikes.step[-1] += 1
    name, ends = next(iter(recording.end_potentials.items()))
    others = [
        copy,
        replace(recording, spike_counts=counts),
        replace(recording, spikes=spikes),
        replace(recording, end_potentials=recording.end_potentials | {name: ends + 1e-9}),
    ]
    found = {digest(other) for other in others} | {digest(recording)}
    assert len(found) == 1 + len(others)
    name, events = next(iter(recording.events_by_step.items()))
    more = replace(recording, events_by_step=recording.events_by_step | {name: events + 1})
    assert events_digest(more) != events_digest(recording)
    assert digest(more) == digest(recording)


def test_peak_memory_is_read_from_the_status(tmp_path):
    """A status written by hand, and one that is not there."""
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t  2048 kB\n")
    assert peak_memory_mb(status) == 2
    assert peak_memory_mb(tmp_path / "none") != peak_memory_mb(tmp_path / "none")  # NaN


def test_only_answers_reach_standard_output():
    """What a library prints while it is measured is no answer."""
    program = (
        "from ann2brian.studies.benchmarks.worker import serve\n"
        "def prepare(task):\n"
        "    print('noise')\n"
        "    return {'given': task['x']}, lambda: print('more') or {'n': 1}\n"
        "serve(prepare)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input='{"x": 5}\n\n\n',
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"given": 5}] + 2 * [
        {"n": 1}
    ]
    assert done.stderr.split() == ["noise", "more", "more"]
