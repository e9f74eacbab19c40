"""Conversion schemes: each in a folder of its own, which declares itself as ``SCHEME``."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from ..arrays import Array
from ..conversion.options import Options
from ..conversion.reference import ReferenceRun
from ..conversion.scheme import Conversion, Scheme
from ..networks.network import Network

NAMES = (
    "amos",
    "burst",
    "noise",
    "albsnn",
    "nir",
)
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {name: import_module(f".{name}", __name__).SCHEME for name in NAMES}
)


def scheme_of(options: Options) -> Scheme:
    """The scheme that has options of this type.

    Raises
    ------
    TypeError
        If there is none; the message lists the types.
    """
    for scheme in SCHEMES.values():
        if type(options) is scheme.options:
            return scheme
    got = repr(options)
    if "\n" in got:
        got = f"a {type(options).__name__}"
    names = ", ".join(scheme.options.__name__ for scheme in SCHEMES.values())
    raise TypeError(f"options say which scheme converts: one of {names}, got {got}")


def convert(network: Network, options: Options, calibration: Array | None = None) -> Any:
    """Convert a trained network to a spiking one.

    Parameters
    ----------
    network : Network
        As trained.
    options : Options
        Their type says by which scheme: :class:`AmosOptions`, :class:`BurstOptions`,
        :class:`NoiseOptions` or :class:`AlbsnnOptions`.
    calibration : ndarray, shape (n, height, width, channels), optional
        Training images, for schemes that read the range of each layer from them.

    Returns
    -------
    Conversion
        The scheme's own class.

    Raises
    ------
    TypeError
        If the options are those of no scheme, or `network` is not a trained network.
    ValueError
        If a layer cannot be converted, or training images are needed and missing; the message
        names the layer.
    """
    scheme = scheme_of(options)
    if not isinstance(network, Network):
        raise TypeError(
            f"convert takes a trained network first, as load_network and from_torch return it, "
            f"got a {type(network).__name__}"
        )
    return scheme.convert(network, options, calibration)


def reference(conversion: Conversion, images: Array) -> ReferenceRun:
    """Run a converted network in plain NumPy, without Brian2 and without the engine.

    Parameters
    ----------
    conversion : Conversion
        From :func:`convert`.
    images : ndarray, shape (n, height, width, channels)
        Pixels.

    Returns
    -------
    ReferenceRun
        Spikes, potentials and scores; a simulation must have the same.

    Raises
    ------
    TypeError
        If it is not a conversion.
    ValueError
        If the network cannot see the images.
    """
    if not isinstance(conversion, Conversion):
        raise TypeError(
            f"the reference takes what convert returned, got a {type(conversion).__name__}"
        )
    scheme = scheme_of(conversion.options)
    return scheme.reference(conversion, conversion.spiking.check_images(images))
