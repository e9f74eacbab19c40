"""What is swept: one small entry for each perturbation. One's own stands in a file.

A strength is relative, in the scheme's own steps and thresholds, so that schemes compare; a scale
turns it into physical units.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from ann2brian.models import biology
from ann2brian.models.biology import Perturbation
from ann2brian.models.spiking.network import SpikingNetwork

NAME = re.compile(r"\w[\w -]*")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a relative strength is a multiple of.

    Parameters
    ----------
    relative, physical : str
        Units of a strength and of its physical value.
    factor : callable
        ``factor(network)``: physical value of strength 1.
    """

    relative: str
    physical: str
    factor: Callable[[SpikingNetwork], float]


TIME = Scale(relative="steps", physical="ms", factor=biology.phase_ms)
VOLTAGE = Scale(relative="thresholds", physical="mV", factor=biology.threshold_mv)
RATE = Scale(
    relative="spikes a step",
    physical="Hz",
    factor=lambda network: 1e3 / biology.phase_ms(network),
)
FRACTION = Scale(relative="fraction", physical="%", factor=lambda network: 100.0)
BITS = Scale(relative="bits", physical="bits", factor=lambda network: 1.0)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A perturbation that is swept.

    Parameters
    ----------
    name : str
        In tables and figures: letters, digits, spaces and hyphens.
    make : callable
        ``make(strength)``: the perturbation of a relative strength.
    strengths : sequence of float
        From none, which must change nothing, to breakdown.
    scale : Scale
        What a strength is a multiple of.
    is_random : bool
        Whether it draws numbers; else one seed says all.
    is_log : bool
        Whether strengths are interpolated, and drawn, on a logarithmic axis; all but none are
        above 0 then, and finite.
    is_whole : bool
        Whether strengths are whole numbers, so that none lies between them.

    Raises
    ------
    ValueError
        If name or strengths are not as said; the message names the perturbation.
    """

    name: str
    make: Callable[[float], Perturbation]
    strengths: Sequence[float]
    scale: Scale
    is_random: bool = True
    is_log: bool = True
    is_whole: bool = False

    def __post_init__(self) -> None:
        """Refuse what tables and interpolation could not hold."""
        object.__setattr__(self, "strengths", tuple(map(float, self.strengths)))
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"perturbation {self.name!r}: its name needs letters, digits, spaces and hyphens"
            )
        steps = np.diff(np.asarray(self.strengths, dtype=np.float64))
        if not (len(steps) > 1 and ((steps > 0).all() or (steps < 0).all())):
            raise ValueError(
                f"perturbation {self.name!r}: strengths must be none and at least two more, all "
                f"rising or all falling, got {self.strengths}"
            )
        if not np.isfinite(self.tested).all() or (self.is_log and min(self.tested) <= 0):
            raise ValueError(
                f"perturbation {self.name!r}: all strengths but none must be finite"
                f"{' and above 0' if self.is_log else ''}, got {self.tested}"
            )

    @property
    def none(self) -> float:
        """Strength that changes nothing."""
        return self.strengths[0]

    @property
    def tested(self) -> tuple[float, ...]:
        """Strengths that perturb, from the weakest to the strongest."""
        return tuple(self.strengths[1:])

    def coarse(self) -> Kind:
        """The same with every second strength, the strongest included."""
        chosen = self.tested[::-1][::2][::-1]
        chosen = chosen if len(chosen) > 1 else self.tested
        return replace(self, strengths=(self.none, *chosen))


KINDS: tuple[Kind, ...] = (
    Kind(
        name="leak",  # the strength is the membrane time constant
        make=biology.leak,
        strengths=(np.inf, 64, 32, 16, 8, 4, 2, 1, 0.5),
        scale=TIME,
        is_random=False,
    ),
    Kind(
        name="refractory",
        make=biology.refractory,
        strengths=(0, 0.25, 0.5, 1, 2, 4, 8, 16),
        scale=TIME,
        is_random=False,
    ),
    Kind(
        name="threshold mismatch",
        make=biology.threshold_mismatch,
        strengths=(0, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
        scale=VOLTAGE,
    ),
    Kind(
        name="weight noise",
        make=biology.weight_noise,
        strengths=(0, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
        scale=FRACTION,
    ),
    Kind(
        name="weight bits",
        make=lambda bits: biology.weight_bits(int(bits)),
        strengths=(32, 8, 7, 6, 5, 4, 3, 2),
        scale=BITS,
        is_random=False,
        is_log=False,
        is_whole=True,
    ),
    Kind(
        name="delay jitter",
        make=biology.delay_jitter,
        strengths=(0, 0.1, 0.25, 0.5, 1, 2, 4, 8),
        scale=TIME,
    ),
    Kind(
        name="transmission failure",
        make=biology.transmission_failure,
        strengths=(0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8),
        scale=FRACTION,
    ),
    Kind(
        # Of a threshold each: at the largest rate, a sum of 0.7 thresholds (s.d.) in a step.
        name="background",
        make=partial(biology.background, size=1.0),
        strengths=(0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5),
        scale=RATE,
    ),
    Kind(
        name="synaptic currents",  # the strength is the decay
        make=biology.synaptic_currents,
        strengths=(0, 0.25, 0.5, 1, 2, 4, 8, 16),
        scale=TIME,
        is_random=False,
    ),
    Kind(
        name="dead neurons",
        make=biology.dead_neurons,
        strengths=(0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
        scale=FRACTION,
    ),
    Kind(
        name="membrane noise",
        make=biology.membrane_noise,
        strengths=(0, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
        scale=VOLTAGE,
    ),
)


def read_kind(text: str) -> tuple[Kind, Path]:
    """A perturbation of one's own, ``file.py:NAME``, and its file.

    Raises
    ------
    ValueError
        If there is no such file or name, the file fails, or the name stands for something else;
        the message names it.
    """
    file, _, name = text.rpartition(":")
    path = Path(file).expanduser()
    if path.suffix != ".py" or not name.isidentifier():
        raise ValueError(f"--perturbation {text}: give a file and a name in it, file.py:KIND")
    if not path.is_file():
        raise ValueError(f"--perturbation {text}: there is no file {path}")
    try:
        found = runpy.run_path(str(path))
    except Exception as error:
        raise ValueError(f"--perturbation {text}: {path} fails: {error}") from error
    if not isinstance(found.get(name), Kind):
        kinds = [key for key, value in found.items() if isinstance(value, Kind)]
        raise ValueError(
            f"--perturbation {text}: {name} is no studies.biology.kinds.Kind there; "
            f"{', '.join(kinds) or 'nothing'} is"
        )
    return found[name], path


def chosen(kinds: Iterable[Kind], only: Sequence[str] | None) -> list[Kind]:
    """Those that are asked for, by name; all by default.

    Raises
    ------
    ValueError
        If two have one name, or there is none of that name.
    """
    by_name: dict[str, Kind] = {}
    for kind in kinds:
        if kind.name in by_name:
            raise ValueError(f"two perturbations are called {kind.name!r}; rename your own")
        by_name[kind.name] = kind
    for name in only or ():
        if name not in by_name:
            raise ValueError(f"--only {name!r}: no such perturbation; there are {_all(by_name)}")
    return [kind for name, kind in by_name.items() if only is None or name in only]


def _all(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
