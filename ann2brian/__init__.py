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
    "ACTIVATIONS": "models.networks.layers",
    "biology": "models.biology:",  # the module itself
    "burst_neuron": "models.schemes.burst.neurons",
    "compare_conditions": "analysis.statistics.conditions",
    "convert": "models.schemes",
    "delay_table": "models.spiking.exports.delays",
    "fitted_gate": "models.schemes.amos.gate_fits",
    "from_keras": "models.importing.from_keras",
    "from_nir": "models.importing.from_nir",
    "from_onnx": "models.importing.from_onnx",
    "from_torch": "models.pytorch.from_torch",
    "Injection": "models.spiking.inputs",
    "input_coding": "models.networks.network",
    "InputCoding": "models.networks.network",
    "load_images": "models.networks.datasets:load",
    "load_info": "models.networks.weight_files",
    "load_network": "models.networks.weight_files",
    "Network": "models.networks.network",
    "network_format": "models.importing.formats",
    "NeuronType": "models.spiking.neuron_type",
    "perturbed": "models.biology",
    "pool": "models.conversion.reference",
    "pooling_neuron": "models.conversion.pooling",
    "read_images": "models.networks.own_images:read",
    "Recording": "models.spiking.recording",
    "reference": "models.schemes",
    "relu_gate": "models.schemes.amos.gates",
    "save_network": "models.networks.weight_files",
    "SCHEMES": "models.schemes",
    "simulate": "models.engine.simulate",
    "single_neuron": "models.schemes.noise.single_neuron",
    "spike_statistics": "analysis.statistics.layers",
    "spikes_from_events": "models.spiking.exports.rasters",
    "spikes_from_neo": "models.spiking.exports.neo_trains",
    "spikes_from_nir": "models.spiking.exports.nir_events",
    "spikes_from_nwb": "models.spiking.exports.nwb_files",
    "spikes_from_pandas": "models.spiking.exports.tables",
    "spikes_from_raster": "models.spiking.exports.rasters",
    "SpikingNetwork": "models.spiking.network",
    "tensor_bytes": "models.networks.weight_files",
    "to_nir": "models.exporting.nir",
    "trained": "models.networks.weight_files",
    "trained_networks": "models.networks.weight_files",
}

if TYPE_CHECKING:
    from .analysis.statistics.conditions import compare_conditions as compare_conditions
    from .analysis.statistics.layers import spike_statistics as spike_statistics
    from .models import biology as biology
    from .models.biology import perturbed as perturbed
    from .models.conversion.pooling import pooling_neuron as pooling_neuron
    from .models.conversion.reference import pool as pool
    from .models.engine.simulate import simulate as simulate
    from .models.exporting.nir import to_nir as to_nir
    from .models.importing.formats import network_format as network_format
    from .models.importing.from_keras import from_keras as from_keras
    from .models.importing.from_nir import from_nir as from_nir
    from .models.importing.from_onnx import from_onnx as from_onnx
    from .models.networks.datasets import load as load_images  # noqa: F401
    from .models.networks.layers import ACTIVATIONS as ACTIVATIONS
    from .models.networks.network import InputCoding as InputCoding
    from .models.networks.network import Network as Network
    from .models.networks.network import accuracy as accuracy
    from .models.networks.network import input_coding as input_coding
    from .models.networks.own_images import read as read_images  # noqa: F401
    from .models.networks.weight_files import load_info as load_info
    from .models.networks.weight_files import load_network as load_network
    from .models.networks.weight_files import save_network as save_network
    from .models.networks.weight_files import tensor_bytes as tensor_bytes
    from .models.networks.weight_files import trained as trained
    from .models.networks.weight_files import trained_networks as trained_networks
    from .models.pytorch.from_torch import from_torch as from_torch
    from .models.schemes import SCHEMES as SCHEMES
    from .models.schemes import convert as convert
    from .models.schemes import reference as reference
    from .models.schemes.albsnn import AlbsnnOptions as AlbsnnOptions
    from .models.schemes.amos import AmosOptions as AmosOptions
    from .models.schemes.amos.gate_fits import fitted_gate as fitted_gate
    from .models.schemes.amos.gates import relu_gate as relu_gate
    from .models.schemes.burst import BurstOptions as BurstOptions
    from .models.schemes.burst.neurons import burst_neuron as burst_neuron
    from .models.schemes.nir import NirOptions as NirOptions
    from .models.schemes.noise import NoiseOptions as NoiseOptions
    from .models.schemes.noise.single_neuron import single_neuron as single_neuron
    from .models.spiking.exports.delays import delay_table as delay_table
    from .models.spiking.exports.neo_trains import spikes_from_neo as spikes_from_neo
    from .models.spiking.exports.nir_events import spikes_from_nir as spikes_from_nir
    from .models.spiking.exports.nwb_files import spikes_from_nwb as spikes_from_nwb
    from .models.spiking.exports.rasters import spikes_from_events as spikes_from_events
    from .models.spiking.exports.rasters import spikes_from_raster as spikes_from_raster
    from .models.spiking.exports.tables import spikes_from_pandas as spikes_from_pandas
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
        place, is_renamed, inside = _NAMES[name].partition(":")
        module = import_module(f"{__name__}.{place}")
        value = module if is_renamed and not inside else getattr(module, inside or name)
    elif name.endswith("Options") and name in _options():
        value = _options()[name]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name[0] == "_"), *_NAMES, *_options()})
