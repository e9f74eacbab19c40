"""What a network with binary layers needs to be stored, in bits.

A real weight takes 32 bits, a binary one 1 bit, and each output channel of a binary layer 32 more
for its scale (derived, section 7 of the specification)::

    bits   = sum over layers of 32 n (real) or n + 32 n_outputs (binary)
    saving = 1 - bits / sum of 32 n

Counting the scales is the cautious choice: batch normalisation that follows could hold them at no
cost. The weights of a convolution are shared and count once, however many synapses they become.
How ALBSNN (arXiv 2208.00398) counts is not established.
"""

from __future__ import annotations

import pandas as pd
from ann2brian.models.networks.layers import BinaryConv2D, Conv2D, Dense, MaxPool2D, Spike
from ann2brian.models.networks.network import Network

REAL_BITS = 32  # of a number in single precision


def layer_storage(network: Network) -> pd.DataFrame:
    """Storage of the weights of each layer.

    Parameters
    ----------
    network : Network
        Trained or not; its numbers do not matter.

    Returns
    -------
    DataFrame
        One row per layer with weights, in the network's order: layer, is_binary, n_weights,
        n_outputs (channels or units, each with a scale if the layer is binary), bits, saving
        (fraction of the bits that real weights would take).

    Raises
    ------
    ValueError
        If no layer has weights.
    """
    rows = []
    for layer in network.layers:
        if isinstance(layer, BinaryConv2D):
            n_weights, n_outputs = layer.signs.size, layer.scale.size
            bits = n_weights + REAL_BITS * n_outputs
        elif isinstance(layer, Conv2D | Dense):
            n_weights, n_outputs = layer.kernel.size, layer.bias.size
            bits = REAL_BITS * n_weights
        else:
            continue
        rows.append(
            {
                "layer": layer.name,
                "is_binary": isinstance(layer, BinaryConv2D),
                "n_weights": n_weights,
                "n_outputs": n_outputs,
                "bits": bits,
                "saving": 1.0 - bits / (REAL_BITS * n_weights),
            }
        )
    if not rows:
        raise ValueError(f"network {network.name!r}: no layer has weights")
    return pd.DataFrame(rows)


def network_storage(network: Network, n_steps: int = 1) -> dict[str, float]:
    """Storage of a whole network; the saving is that of the weights alone.

    Parameters
    ----------
    network : Network
        Trained or not; its numbers do not matter.
    n_steps : int
        Time steps T that it runs for.

    Returns
    -------
    dict of str to float
        ``weight_bits_stored`` (scales counted), ``weight_bits_real`` (if all weights were real),
        ``saving`` (fraction of the latter), ``weight_share_binary`` (fraction of the weights);
        beside them, and in no way part of the saving, ``other_bits`` (batch normalisation with
        its four numbers a channel, and biases, which real layers have in a weight file even if
        all are 0), ``activation_bits`` (one bit for each neuron of a
        spiking or pooling layer: the spikes of one step) and ``state_bits`` (membrane potentials
        between steps, 0 for one step).

    Raises
    ------
    ValueError
        If no layer has weights, or `n_steps` is below 1.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps!r}")
    table = layer_storage(network)
    stored = int(table["bits"].sum())
    real = int(REAL_BITS * table["n_weights"].sum())
    held = sum(getattr(layer, field).size for layer in network.layers for field in layer.ARRAYS)
    scales = int(table.loc[table["is_binary"], "n_outputs"].sum())
    units = {
        kind: sum(_size(network, layer.name) for layer in network.layers if isinstance(layer, kind))
        for kind in (Spike, MaxPool2D)
    }
    return {
        "weight_bits_stored": stored,
        "weight_bits_real": real,
        "saving": 1.0 - stored / real,
        "weight_share_binary": float(
            table.loc[table["is_binary"], "n_weights"].sum() / table["n_weights"].sum()
        ),
        "other_bits": REAL_BITS * (held - int(table["n_weights"].sum()) - scales),
        "activation_bits": sum(units.values()),
        "state_bits": REAL_BITS * units[Spike] if n_steps > 1 else 0,
    }


def _size(network: Network, name: str) -> int:
    """Units of a layer."""
    rows, columns, channels = network.shapes[name]
    return rows * columns * channels
