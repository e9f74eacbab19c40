"""Other libraries that present the same images to the same weights, on PyTorch.

Each is optional, a module of its own here with a function ``spiking``, and listed in `PEERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A library that is measured where it is installed.

    Parameters
    ----------
    title : str
        Its name.
    module : str
        What is imported, and the module here that uses it.
    version : str
        With which the comparison was made.
    """

    title: str
    module: str
    version: str

    @property
    def missing(self) -> str | None:
        """What to do to include it; None if it can be imported."""
        if all(find_spec(name) is not None for name in ("torch", self.module)):
            return None
        # The constraints keep every installed package, PyTorch among them, as it is.
        return (
            f"the comparison with {self.title} is left out, since it is not installed; to include "
            f"it: pip install --constraint constraints.txt torch==2.13.0 "
            f"{self.module}=={self.version}"
        )


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        peer.module: peer
        for peer in (
            Peer(title="SpikingJelly", module="spikingjelly", version="2.0.0"),
            Peer(title="snnTorch", module="snntorch", version="1.0.0"),
            Peer(title="sinabs", module="sinabs", version="3.1.3"),
        )
    }
)


def installed() -> tuple[str, ...]:
    """Peers that can be measured here."""
    return tuple(name for name, peer in PEERS.items() if peer.missing is None)
