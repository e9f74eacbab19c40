"""What every peer makes of a network: a function from pixels to scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False, kw_only=True)
class Spiking:
    """A spiking network of another library.

    Parameters
    ----------
    present : callable
        From standardised pixels, a tensor of shape (batch, channels, height, width), to the sums
        of the outputs over all steps, shape (batch, classes); from a fresh state.
    nodes : sequence of torch.nn.Module
        Whose outputs are spikes: neurons, and max pooling, which passes some.
    count : callable
        Number of spikes in such an output.
    """

    present: Callable[[Any], Any]
    nodes: Sequence[Any]
    count: Callable[[Any], Any]

    @contextmanager
    def counted(self) -> Iterator[list[int]]:
        """Collect the spikes that each call of each node returns."""
        counts: list[int] = []

        def note(_module, _inputs, spikes) -> None:
            counts.append(int(self.count(spikes)))

        hooks = [node.register_forward_hook(note) for node in self.nodes]
        try:
            yield counts
        finally:
            for hook in hooks:
                hook.remove()
