"""Layers with a state, as a spiking network from elsewhere has them: neurons, delays, recurrence.

They say what a file holds, field by field, and nothing of how it was simulated. What becomes of
them in time is told by a scheme; they have no forward pass of a single image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NoReturn

import numpy as np

from .layers import Layer, Shape

# Fields of each model of neuron, by the names of NIR (Pedersen et al. 2024). `v_reset` may be
# missing: files before nir 1.0.6 have none.
MODELS: dict[str, tuple[str, ...]] = {
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "Threshold": ("threshold",),
}
# Programs whose conventions are known, see models/schemes/nir/dialects.py.
WRITERS = ("definition", "snntorch", "spikingjelly", "norse", "sinabs", "rockpool", "spyx")
SILENT = ("I", "LI", "CubaLI")  # whose output is their potential
TIMES = ("tau", "tau_mem", "tau_syn", "delay")  # in seconds


def _no_forward(layer: Layer) -> NoReturn:
    raise ValueError(
        f"{layer.label} has a state in time, so there is no forward pass; convert the network "
        "with NirOptions and simulate it"
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Neurons(Layer):
    """Neurons of one of `MODELS`; each field has one number for each unit, one a channel, or one.

    Parameters
    ----------
    model : str
        Name of the model.
    tau, tau_mem, tau_syn : ndarray, shape (H, W, C), (1, 1, C) or (1, 1, 1)
        Time constants in seconds, > 0.
    r, w_in : ndarray
        Factors of the input: resistance, and of the synaptic current.
    v_leak, v_threshold, v_reset, threshold : ndarray
        Potentials.
    written_by : str, optional
        Program whose conventions the fields follow; None for the format's own.
    dt : float, optional
        Step in seconds with which the program ran, > 0.
    """

    ARRAYS: ClassVar[dict[str, int]] = dict.fromkeys(
        sorted({name for names in MODELS.values() for name in names}), 3
    )
    OPTIONAL: ClassVar[tuple[str, ...]] = tuple(ARRAYS)
    IN_DOUBLE: ClassVar[bool] = True

    model: str
    tau: np.ndarray | None = None
    tau_mem: np.ndarray | None = None
    tau_syn: np.ndarray | None = None
    r: np.ndarray | None = None
    w_in: np.ndarray | None = None
    v_leak: np.ndarray | None = None
    v_threshold: np.ndarray | None = None
    v_reset: np.ndarray | None = None
    threshold: np.ndarray | None = None
    written_by: str | None = None
    dt: float | None = None

    def _check(self) -> None:
        if self.model not in MODELS:
            raise ValueError(
                f"{self.label}: no model {self.model!r}; there are {', '.join(MODELS)}"
            )
        wanted = MODELS[self.model]
        for name in self.ARRAYS:
            is_there = getattr(self, name) is not None
            if is_there and name not in wanted:
                raise ValueError(f"{self.label}: {self.model} neurons have no {name}")
            if not is_there and name in wanted and name != "v_reset":
                raise ValueError(f"{self.label}: {self.model} neurons need {name}")
            if is_there and name in TIMES and not (getattr(self, name) > 0).all():
                raise ValueError(
                    f"{self.label}: {name} holds {getattr(self, name).min():g} s; time constants "
                    "are above 0"
                )
        if self.dt is not None and not (np.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"{self.label}: dt must be above 0 s, got {self.dt!r}")

    @property
    def given(self) -> dict[str, np.ndarray]:
        """The fields that there are, by name."""
        names = (name for name in MODELS[self.model] if getattr(self, name) is not None)
        return {name: getattr(self, name) for name in names}

    @property
    def spikes(self) -> bool:
        """Whether the output is spikes, not potentials."""
        return self.model not in SILENT

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        for name, values in self.given.items():
            if np.broadcast_shapes(values.shape, shape) != shape:
                raise ValueError(f"{self.label}: {name} has shape {values.shape} for units {shape}")
        return shape

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """Refused: see `_no_forward`."""
        _no_forward(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Delay(Layer):
    """The same output, later.

    Parameters
    ----------
    delay : ndarray, shape (H, W, C), (1, 1, C) or (1, 1, 1)
        In seconds, >= 0, one for each unit, one a channel, or one.
    """

    ARRAYS: ClassVar[dict[str, int]] = {"delay": 3}
    IN_DOUBLE: ClassVar[bool] = True

    delay: np.ndarray

    def _check(self) -> None:
        if (self.delay < 0).any():
            raise ValueError(
                f"{self.label}: delay holds {self.delay.min():g} s; nothing comes before its time"
            )

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        (shape,) = shapes
        if np.broadcast_shapes(self.delay.shape, shape) != shape:
            raise ValueError(f"{self.label}: delays of shape {self.delay.shape} for units {shape}")
        return shape

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """Refused: see `_no_forward`."""
        _no_forward(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Previous(Layer):
    """What a later layer gave in the step before: where recurrent connections begin.

    Parameters
    ----------
    source : str
        Neurons, or a delay, anywhere in the network.
    shape : (int, int, int)
        Of their output.
    """

    N_INPUTS: ClassVar[tuple[int, int | None]] = (0, 0)

    source: str
    shape: Shape

    def _check(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"{self.label}: shape must be (H, W, C), all >= 1, got {self.shape}")
        object.__setattr__(self, "shape", shape)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return self.shape

    def apply(self, *values: np.ndarray) -> np.ndarray:
        """Refused: see `_no_forward`."""
        _no_forward(self)
