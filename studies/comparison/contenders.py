"""What is compared: schemes under their settings, and the networks that they run.

Schemes and the networks that are shipped for them come from their own studies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ann2brian.models.conversion.as_trained import as_trained
from ann2brian.models.conversion.options import Options
from ann2brian.models.networks.layers import QuantisedReLU
from ann2brian.models.networks.network import Network
from ann2brian.models.networks.weight_files import trained_networks
from ann2brian.models.schemes import SCHEMES
from ann2brian.studies.catalogue import STUDIES
from ann2brian.studies.frame import rate_conversion
from ann2brian.studies.frame.study import Study

RATE = rate_conversion.NAME
# Neurons of a gate are few or many from the start; all other schemes are read out over time.
GATES, QUICK_GATES = (4, 6, 8, 10), (4, 8)
# Locally binary networks are trained for one step, in which they are what they were trained to be.
N_STEPS = {"burst": (32,), RATE: (rate_conversion.N_STEPS,), "noise": (8,), "albsnn": (1, 4)}
QUICK_N_STEPS = {"burst": (8,), RATE: (16,), "noise": (4,), "albsnn": (1, 2)}
_STUDIES: dict[str, Study] = {study.name: study for study in STUDIES}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A scheme under one setting.

    Parameters
    ----------
    name : str
        As ``--only`` takes it.
    scheme : str
        As tables, colours and ``--only`` have it.
    options_for : callable
        ``options_for(network)``: how a network is converted. It raises a ValueError if the network
        cannot take part.
    """

    name: str
    scheme: str
    options_for: Callable[[Network], Any]

    @property
    def study(self) -> Study:
        """The study of its scheme; plain rate conversion is a special case of burst conversion."""
        return _STUDIES["burst" if self.scheme == RATE else self.scheme]

    @property
    def reads_calibration(self) -> bool:
        """Whether its scheme reads training images."""
        return self.study.scheme.reads_calibration

    def network_for(self, dataset: str) -> str:
        """Name of the network that is shipped for a data set.

        Raises
        ------
        ValueError
            If there is none.
        """
        name = self.study.networks.get(dataset)
        if name not in trained_networks():
            called = "" if name is None else f" ({name})"
            raise ValueError(
                f"no {self.study.name} network{called} is shipped for {dataset}; train one "
                "(docs/train-your-own.md) and name it with --network"
            )
        return name


def contenders(only: Sequence[str] = (), *, quick: bool = False) -> list[Contender]:
    """Contenders in the order of the table.

    Parameters
    ----------
    only : sequence of str
        Names of schemes or of contenders; all if it is empty.
    quick : bool
        Fewer and shorter ones.

    Raises
    ------
    ValueError
        If nothing is called so; the message lists the names.
    """
    found = [_amos(n) for n in (QUICK_GATES if quick else GATES)]
    for scheme, settings in (QUICK_N_STEPS if quick else N_STEPS).items():
        found += [_stepwise(scheme, n, is_only=len(settings) == 1) for n in settings]
    names = dict.fromkeys(name for one in found for name in (one.scheme, one.name))
    for name in only:
        if name not in names:
            raise ValueError(f"--only {name}: there are {', '.join(names)}")
    return [one for one in found if not only or {one.scheme, one.name} & set(only)]


def label_of(options: Any) -> str:
    """Setting in a word."""
    if isinstance(options, SCHEMES["amos"].options):
        return f"K = {options.neurons_per_gate}"
    return f"{'N' if isinstance(options, SCHEMES['noise'].options) else 'T'} = {options.n_steps}"


def _amos(neurons_per_gate: int) -> Contender:
    kind: Any = SCHEMES["amos"].options
    options = kind(neurons_per_gate=neurons_per_gate)
    return Contender(
        name=f"amos-K{neurons_per_gate}", scheme="amos", options_for=lambda network: options
    )


def _stepwise(scheme: str, n_steps: int, *, is_only: bool) -> Contender:
    special: dict[str, Callable[[Network, int], Any]] = {"burst": _burst, RATE: _rate}
    options_of = special.get(scheme, partial(_spiking, scheme))
    return Contender(
        name=scheme if is_only else f"{scheme}-T{n_steps}",
        scheme=scheme,
        options_for=lambda network: options_of(network, n_steps),
    )


def _burst(network: Network, n_steps: int) -> Options:
    """Quantised activations are trained for one step, which is exact."""
    kind: Any = SCHEMES["burst"].options
    return kind(n_steps=1 if _is_quantised(network) else n_steps)


def _rate(network: Network, n_steps: int) -> Options:
    if _is_quantised(network):
        raise ValueError(
            f"network {network.name!r} has quantised activations, which bring scales and bursts of "
            "their own; it runs by burst conversion"
        )
    return rate_conversion.improved(n_steps)


def _spiking(scheme: str, network: Network, n_steps: int) -> Options:
    """Of networks that were trained for one step, more steps; of others those of the training."""
    kind: Any = SCHEMES[scheme].options
    return as_trained(kind(n_steps=n_steps if network.n_steps == 1 else None), network)


def _is_quantised(network: Network) -> bool:
    return any(isinstance(layer, QuantisedReLU) for layer in network.layers)
