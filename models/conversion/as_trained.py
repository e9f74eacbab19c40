"""Steps, leak and reset of the training, which a conversion takes where its options are silent.

An option with a value `otherwise` is None until the user gives one. It then takes the field of its
name of the layer (:class:`~models.networks.layers.Spike`), and where that is None too, `otherwise`.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, TypeVar

from ..networks.layers import Spike
from ..networks.network import Network
from .options import Options, options_of
from .scheme import ConversionWarning

Given = TypeVar("Given", bound=Options)


def of_layer(options: Given, layer: Spike) -> Given:
    """Options of one layer, with everything told.

    Parameters
    ----------
    options : Options
        As asked for.
    layer : Spike
        As trained.

    Raises
    ------
    ValueError
        If a value of the training is none that this scheme can have; the message names the layer.
    """
    found = {}
    for option in options_of(type(options)):
        if option.otherwise is not None and getattr(options, option.name) is None:
            trained = _trained(layer, option.name)
            found[option.name] = option.otherwise if trained is None else trained
    try:
        return replace(options, **found) if found else options  # type: ignore[type-var]
    except ValueError as error:
        raise ValueError(f"{layer.label}, as it was trained: {error}") from None


def without_network(options: Given) -> Given:
    """Options with everything told, as for a network that says nothing of its training.

    Parameters
    ----------
    options : Options
        As asked for.
    """
    return of_layer(options, Spike("silent", ("input",)))


def as_trained(options: Given, network: Network) -> Given:
    """Options of a whole network: with everything told that its layers agree in.

    Parameters
    ----------
    options : Options
        As asked for.
    network : Network
        As trained; one without spiking units changes nothing.
    """
    layers = [layer for layer in network.layers if isinstance(layer, Spike)]
    each = [of_layer(options, layer) for layer in layers]
    found: dict[str, Any] = {}
    for option in options_of(type(options)):
        values = {getattr(one, option.name) for one in each}
        if len(values) == 1:
            (found[option.name],) = values
    return replace(options, **found) if found else options  # type: ignore[type-var]


def warn_of_other_dynamics(options: Options, network: Network) -> None:
    """Say once in what a conversion differs from the training.

    One step of training has not met leak and reset, so with them nothing differs.
    """
    if network.n_steps == 1:
        return
    differing: dict[str, None] = {}
    for layer in (layer for layer in network.layers if isinstance(layer, Spike)):
        for option in options_of(type(options)):
            given, trained = getattr(options, option.name), _trained(layer, option.name)
            is_told = option.otherwise is not None and given is not None and trained is not None
            if is_told and given != trained:
                differing[f"{option.name}={given!r} (trained with {trained!r})"] = None
    if differing:
        warnings.warn(
            f"network {network.name!r} runs otherwise than it was trained: "
            f"{', '.join(differing)}; leave these options out to run it as trained",
            ConversionWarning,
            stacklevel=4,
        )


def _trained(layer: Spike, name: str) -> Any:
    """Value of the training; None if it is not told, or is the one step that is run for many."""
    value = getattr(layer, name, None)
    return None if name == "n_steps" and value == 1 else value
