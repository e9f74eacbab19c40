"""From the layers of a trained network to populations and projections, for schemes of steps."""

from __future__ import annotations

from ..networks.layers import INPUT, Layer, MaxPool2D
from ..networks.network import Network


def require_spiking(
    network: Network, spiking: tuple[type[Layer], ...], meant: tuple[type[Layer], ...]
) -> None:
    """Refuse, by name, max pooling of what does not spike, and networks without neurons.

    Parameters
    ----------
    network : Network
        To be converted.
    spiking : tuple of type
        Layers whose units become neurons, max pooling included.
    meant : tuple of type
        Those of them that have weights before them.
    """
    for layer in network.layers:
        if isinstance(layer, MaxPool2D):
            source = layer.inputs[0]
            if source == INPUT or not isinstance(network.layer(source), spiking):
                raise ValueError(
                    f"network {network.name!r}: {layer.label} pools {source!r}, which does not "
                    "spike; put the activation before the pooling, which computes the same"
                )
    if not any(isinstance(layer, meant) for layer in network.layers):
        raise ValueError(
            f"network {network.name!r} has no activation, so there is nothing to make neurons of"
        )
    if isinstance(network.layers[-1], spiking):
        raise ValueError(
            f"network {network.name!r}: the last layer, {network.layers[-1].label}, spikes; the "
            "scores need a linear layer after it"
        )
