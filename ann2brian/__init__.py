"""Trained neural networks as Brian2 neurons.

>>> import ann2brian as ab
>>> network = ab.load_network(ab.trained("digits-relu"))
>>> training, _ = ab.load_images("digits", "train")
>>> conversion = ab.convert(network, ab.AmosOptions(), training)
>>> recording = ab.simulate(conversion, images)

The public names are loaded when they are first used: importing this package alone needs neither
Brian2 nor NumPy. `dir` lists them.

In a checkout, the folders `models`, `analysis` and `studies` beside this one are its packages; an
installation has them inside.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

_CHECKOUT = Path(__file__).resolve().parents[1]
if (_CHECKOUT / "pyproject.toml").exists():
    __path__.append(str(_CHECKOUT))

# Public name: module that has it, and its name there if that is another one.
_NAMES = {
    "accuracy": "models.networks.network",
    "convert": "models.schemes",
    "from_torch": "models.pytorch.from_torch",
    "Injection": "models.spiking.inputs",
    "InputCoding": "models.networks.network",
    "load_images": "models.networks.datasets:load",
    "load_network": "models.networks.weight_files",
    "Network": "models.networks.network",
    "NeuronType": "models.spiking.neuron_type",
    "Recording": "models.spiking.recording",
    "reference": "models.schemes",
    "save_network": "models.networks.weight_files",
    "SCHEMES": "models.schemes",
    "simulate": "models.engine.simulate",
    "SpikingNetwork": "models.spiking.network",
    "trained": "models.networks.weight_files",
    "trained_networks": "models.networks.weight_files",
}

if TYPE_CHECKING:
    from .models.engine.simulate import simulate as simulate
    from .models.networks.datasets import load as load_images  # noqa: F401
    from .models.networks.network import InputCoding as InputCoding
    from .models.networks.network import Network as Network
    from .models.networks.network import accuracy as accuracy
    from .models.networks.weight_files import load_network as load_network
    from .models.networks.weight_files import save_network as save_network
    from .models.networks.weight_files import trained as trained
    from .models.networks.weight_files import trained_networks as trained_networks
    from .models.pytorch.from_torch import from_torch as from_torch
    from .models.schemes import SCHEMES as SCHEMES
    from .models.schemes import convert as convert
    from .models.schemes import reference as reference
    from .models.schemes.albsnn import AlbsnnOptions as AlbsnnOptions
    from .models.schemes.amos import AmosOptions as AmosOptions
    from .models.schemes.burst import BurstOptions as BurstOptions
    from .models.schemes.noise import NoiseOptions as NoiseOptions
    from .models.spiking.inputs import Injection as Injection
    from .models.spiking.network import SpikingNetwork as SpikingNetwork
    from .models.spiking.neuron_type import NeuronType as NeuronType
    from .models.spiking.recording import Recording as Recording


def _options() -> dict[str, Any]:
    """Classes of options by name; every scheme has one."""
    schemes = import_module(f"{__name__}.models.schemes").SCHEMES.values()
    return {scheme.options.__name__: scheme.options for scheme in schemes}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return [*_NAMES, *_options()]
    if name in _NAMES:
        module, _, inside = _NAMES[name].partition(":")
        value = getattr(import_module(f"{__name__}.{module}"), inside or name)
    elif name.endswith("Options") and name in _options():
        value = _options()[name]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_options()})
