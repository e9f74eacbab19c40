"""Recordings of successive images put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .recording import Recording, Spikes

# What recordings of the same network have in common.
COMMON = (
    *("scheme", "network", "layers", "dt_ms", "phase_steps", "period"),
    *("readout_onset", "readout_every", "with_own_axons"),
)
BY_NAME = ("events_by_step", "spikes_by_step", "end_potentials")


def merged(recordings: Sequence[Recording]) -> Recording:
    """One recording of all images, from recordings of successive parts of them.

    Parameters
    ----------
    recordings : sequence of Recording
        Of the same network under the same conditions, in the order of the images.

    Returns
    -------
    Recording
        Equal to that of one run with all images; the wall times are sums.

    Raises
    ------
    ValueError
        If there are none, they do not fit together, or they hold membrane traces, which belong to
        one run; the message says what differs.
    """
    if not recordings:
        raise ValueError("no recordings to merge")
    first = recordings[0]
    if len(recordings) == 1:
        return first
    for number, other in enumerate(recordings):
        _require_fitting(first, other, number)
    starts = np.cumsum([0, *(recording.n_images for recording in recordings)])
    return replace(
        first,
        n_images=int(starts[-1]),
        scores=np.concatenate([recording.scores for recording in recordings]),
        spike_counts=tuple(
            np.sum(counts, axis=0)
            for counts in zip(*(recording.spike_counts for recording in recordings), strict=True)
        ),
        most_spikes=max(recording.most_spikes for recording in recordings),
        events_by_step=_sums([recording.events_by_step for recording in recordings]),
        spikes_by_step=_sums([recording.spikes_by_step for recording in recordings]),
        spikes=_spikes(recordings, starts),
        end_potentials={
            name: np.concatenate([recording.end_potentials[name] for recording in recordings])
            for name in first.end_potentials
        },
        build_s=sum(recording.build_s for recording in recordings),
        run_s=sum(recording.run_s for recording in recordings),
        loop_s=sum(recording.loop_s for recording in recordings),
    )


def _require_fitting(first: Recording, other: Recording, number: int) -> None:
    """Refuse a recording that is not of the same network and conditions as the first."""

    def refuse(what: str, one: object, another: object) -> None:
        raise ValueError(
            f"recordings 0 and {number} do not fit together: {what} is {one} in the one and "
            f"{another} in the other"
        )

    if other.traces:
        raise ValueError(
            f"recording {number} holds membrane traces of {', '.join(other.traces)}, which belong "
            "to one run; simulate without traces"
        )
    for name in COMMON:
        values = getattr(first, name), getattr(other, name)
        if values[0] != values[1]:
            refuse(name, *values)
    shapes = first.scores.shape[1:], other.scores.shape[1:]
    if shapes[0] != shapes[1]:
        refuse("the shape of scores, steps and classes,", *shapes)
    for name in BY_NAME:
        by_name, of_other = getattr(first, name), getattr(other, name)
        if list(by_name) != list(of_other):
            refuse(name, f"of {', '.join(by_name)}", f"of {', '.join(of_other)}")
    if _recorded(first) != _recorded(other):
        refuse("whether spike trains were kept", *map(_recorded, (first, other)))


def _recorded(recording: Recording) -> bool:
    return recording.spikes is not None


def _sums(by_name: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.sum([one[name] for one in by_name], axis=0) for name in by_name[0]}


def _spikes(recordings: Sequence[Recording], starts: np.ndarray) -> Spikes | None:
    """Spikes of all recordings, images numbered through."""
    found = [
        replace(recording.spikes, image=recording.spikes.image + np.int32(start))
        for recording, start in zip(recordings, starts[:-1], strict=True)
        if recording.spikes is not None
    ]
    return Spikes.following(found) if found else None
