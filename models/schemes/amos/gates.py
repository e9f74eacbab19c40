"""One gate of a trained network as a chain of K threshold neurons: the AMOS gate, in NumPy.

Stöckl and Maass (2019), arXiv 2001.01682 (AMOS), and arXiv 2002.00860 (few-spike neurons, FS).
All neurons see the same drive x; earlier neurons act on later ones, and each fires at most once::

    u_i = c_i x - sum_{j<i} h_ij s_j - T_i          i = 1..K
    s_i = 1 if u_i > 0 (or u_i >= 0: `Gate.inclusive`), else 0
    y   = offset + sum_i d_i s_i                    an estimate of the activation f(x)

The form of the equations is *recalled*, not read in the paper; unit sizes and the counting of
depth agree with the authors' published logs. The input gain c_i is 1 in every known solution and
is therefore not stored. The closed form for ReLU is *published* for FS (the authors' public code,
``fs_weights.py``) and holds for AMOS because an FS neuron is the same circuit folded in time
(*derived*: h_ij depends on j only).

DIFFERS from the recalled form: the constant ``offset``, what a silent gate stands for. It costs
no neuron, since it goes into the next layer's bias, and serves signed input and functions whose
left asymptote is not zero (tanh).

Everything is in the units of the trained network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Array
from ...networks.layers import INPUT


@dataclass(frozen=True, eq=False, repr=False)
class Gate:
    """A chain of K threshold neurons that stands for one activation.

    Parameters
    ----------
    function : str
        What the gate computes: a name of `models.networks.layers.ACTIVATIONS`, or ``"input"`` for
        the identity on coded input.
    thresholds : ndarray, shape (K,)
        T_i.
    outputs : ndarray, shape (K,)
        Output weights d_i.
    inhibition : ndarray, shape (K, K)
        Row i, column j: effect h_ij of the spike of neuron j on neuron i; negative values excite.
        Strictly lower-triangular.
    domain : (float, float)
        Drives that the gate was made for. Outside them it saturates (binary codes) or may break
        down (fitted gates).
    offset : float
        Output without any spike.
    inclusive : bool
        Fire at u_i = 0 too. Binary codes need it: without it an input on an exact multiple of
        the step loses one step. The published FS sets are strict.

    Raises
    ------
    ValueError
        If a shape is wrong, a value is not finite, the inhibition is not strictly
        lower-triangular or the domain is empty; the message names the gate.
    """

    function: str
    thresholds: Array
    outputs: Array
    inhibition: Array
    domain: tuple[float, float]
    offset: float = 0.0
    inclusive: bool = False

    def __post_init__(self) -> None:
        """Copy the arrays, make them read-only and check them."""
        for field in ("thresholds", "outputs", "inhibition"):
            array = np.array(getattr(self, field), dtype=np.float64)
            if not np.isfinite(array).all():
                raise ValueError(f"{self._label}: {field} holds values that are not finite")
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        shape = self.thresholds.shape
        if len(shape) != 1 or shape[0] < 1:
            raise ValueError(f"{self._label}: thresholds must have shape (K,), K >= 1, got {shape}")
        if self.outputs.shape != shape:
            raise ValueError(
                f"{self._label}: outputs has shape {self.outputs.shape}, thresholds {shape}"
            )
        if self.inhibition.shape != shape * 2:
            raise ValueError(
                f"{self._label}: inhibition must have shape {shape * 2}, got "
                f"{self.inhibition.shape}"
            )
        if np.triu(self.inhibition).any():
            raise ValueError(
                f"{self._label}: inhibition must be zero on and above the diagonal, because only "
                "an earlier neuron can act on a later one"
            )
        if not np.isfinite(self.offset):
            raise ValueError(f"{self._label}: offset must be finite, got {self.offset!r}")
        low, high = self.domain
        if not low < high:
            raise ValueError(f"{self._label}: domain must be (low, high), got {self.domain!r}")

    def __repr__(self) -> str:
        low, high = self.domain
        return (
            f"Gate({self.function}: {self.n_neurons} neurons, drives from {low:.4g} to {high:.4g})"
        )

    @property
    def _label(self) -> str:
        return f"gate {self.function!r} with {np.size(self.thresholds)} neurons"

    @property
    def n_neurons(self) -> int:
        """Neurons K of the gate, which is also the number of its time slots."""
        return len(self.thresholds)

    @property
    def is_restricted(self) -> bool:
        """Whether h_ij depends on j only, so that one few-spike neuron does the same."""
        below = np.tri(self.n_neurons, k=-1, dtype=bool)
        return bool(np.all((self.inhibition == self.inhibition[-1]) | ~below))

    def spikes(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Decisions of all neurons.

        Parameters
        ----------
        x : array_like of float, any shape
            Drives.

        Returns
        -------
        ndarray of bool, shape (*x.shape, K)
            Whether each neuron fires, first neuron first.

        Notes
        -----
        Sequential, and in one fixed order of summation whatever the shape of `x`: a restricted
        gate agrees with `fs_spikes` bit for bit.
        """
        x = np.asarray(x, dtype=np.float64)
        fired = np.empty((self.n_neurons, *x.shape), dtype=bool)
        for i, threshold in enumerate(self.thresholds):
            potential = x.copy()
            for j in np.flatnonzero(self.inhibition[i]):
                potential -= self.inhibition[i, j] * fired[j]
            fired[i] = potential >= threshold if self.inclusive else potential > threshold
        return np.moveaxis(fired, 0, -1)

    def decode(self, spikes: ArrayLike) -> Array:
        """Output for given decisions.

        Parameters
        ----------
        spikes : array_like of bool, shape (..., K)

        Returns
        -------
        ndarray, shape (...)
            offset + sum_i d_i s_i.
        """
        return self.offset + np.asarray(spikes, dtype=np.float64) @ self.outputs

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the drives `x`, of the same shape."""
        return self.decode(self.spikes(x))


def alpha_for(maximum: float, n_neurons: int) -> float:
    """Scale of the binary code whose largest value is `maximum`.

    Parameters
    ----------
    maximum : float
        Largest value that the code shall represent; above 0.
    n_neurons : int
        K.

    Returns
    -------
    float
        maximum / (1 - 2^-K), as the public code of ml_genn sets it per layer (published).
    """
    return maximum / (1.0 - 2.0**-n_neurons)


def relu_gate(n_neurons: int, alpha: float, *, half_step: bool = False) -> Gate:
    """ReLU as a binary code, most significant bit first: the closed form, no fit.

    T_i = d_i = alpha 2^-i, h_ij = alpha 2^-j. With the step q = alpha 2^-K the output is
    q clip(floor(x / q), 0, 2^K - 1).

    Parameters
    ----------
    n_neurons : int
        K.
    alpha : float
        Scale, above 0; values up to alpha (1 - 2^-K) are represented. The authors use K = 10 and
        alpha = 25 (FS: published; AMOS: K published, alpha inferred from equal spike counts).
    half_step : bool
        Lower all thresholds by q/2. The output rounds instead of flooring, and the mean error
        -q/2 vanishes. The authors do not do this (published).

    Returns
    -------
    Gate
        Inclusive, of domain (-inf, alpha).

    Raises
    ------
    ValueError
        If `alpha` or `n_neurons` is not positive.

    Notes
    -----
    Mean squared error for x uniform on [0, alpha (1 - 2^-K)]: q^2/3, with the half step q^2/12
    (derived).
    """
    bits = _bits("relu", n_neurons, alpha)
    shift = 0.5 * bits[-1] if half_step else 0.0
    return Gate(
        function="relu",
        thresholds=bits - shift,
        outputs=bits,
        inhibition=np.tril(np.tile(bits, (n_neurons, 1)), k=-1),
        domain=(-np.inf, alpha),
        inclusive=True,
    )


def pixel_gate(n_neurons: int) -> Gate:
    """Whole numbers 0 to 2^K - 1, coded without error: T_i = d_i = 2^(K - i).

    Parameters
    ----------
    n_neurons : int
        K; the number of bits of a pixel.

    Returns
    -------
    Gate
        Inclusive, of the function ``"input"``.

    Raises
    ------
    ValueError
        If `n_neurons` is not positive.
    """
    bits = _bits(INPUT, n_neurons, 2.0**n_neurons)
    return Gate(
        function=INPUT,
        thresholds=bits,
        outputs=bits,
        inhibition=np.tril(np.tile(bits, (n_neurons, 1)), k=-1),
        domain=(0.0, 2.0**n_neurons - 1),
        inclusive=True,
    )


def signed_gate(n_neurons: int, maximum: float) -> Gate:
    """Identity on [-maximum, maximum) in offset binary; zero is coded without error.

    The output is q floor(x / q) with the step q = 2 maximum / 2^K, limited to
    [-maximum, maximum - q]. A silent gate stands for -maximum.

    Parameters
    ----------
    n_neurons : int
        K.
    maximum : float
        Largest magnitude, above 0.

    Returns
    -------
    Gate
        Inclusive, of the function ``"input"``, with offset -maximum.

    Raises
    ------
    ValueError
        If `maximum` or `n_neurons` is not positive.
    """
    bits = _bits(INPUT, n_neurons, 2.0 * maximum)
    return Gate(
        function=INPUT,
        thresholds=bits - maximum,
        outputs=bits,
        inhibition=np.tril(np.tile(bits, (n_neurons, 1)), k=-1),
        domain=(-maximum, maximum),
        offset=-maximum,
        inclusive=True,
    )


def fs_gate(
    function: str,
    h: ArrayLike,
    d: ArrayLike,
    thresholds: ArrayLike,
    domain: tuple[float, float],
) -> Gate:
    """Few-spike neuron of K steps, unrolled into a chain of K neurons: h_ij = h(j).

    Parameters
    ----------
    function : str
        What it computes.
    h, d, thresholds : array_like, shape (K,)
        h(t), d(t), T(t) in the convention of the authors' ``fs_coding.py``: h(t) is subtracted
        at the end of step t, so h(K) is never used. Their ``find_coeffs.py`` shifts h by one.
    domain : (float, float)
        Range of drives it was fitted on.

    Returns
    -------
    Gate
        Strict (u_i > 0), as the authors' code is.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    h = np.asarray(h, dtype=np.float64)
    if h.ndim != 1 or h.shape != np.shape(thresholds):
        raise ValueError(
            f"gate {function!r}: h and thresholds must have the same shape (K,), got {h.shape} "
            f"and {np.shape(thresholds)}"
        )
    return Gate(
        function=function,
        thresholds=np.asarray(thresholds, dtype=np.float64),
        outputs=np.asarray(d, dtype=np.float64),
        inhibition=np.tril(np.tile(h, (h.size, 1)), k=-1),
        domain=domain,
    )


def fs_spikes(x: ArrayLike, h: ArrayLike, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Spikes of a few-spike neuron, folded in time: one potential, K steps.

    v(1) = x; z(t) = 1 if v(t) > T(t); v(t+1) = v(t) - h(t) z(t). Published: the authors'
    ``fs_coding.py``. Independent of `Gate`, hence the reference for gates with h_ij = h(j).

    Parameters
    ----------
    x : array_like of float, any shape
        Drives.
    h, thresholds : array_like, shape (K,)
        h(t) and T(t).

    Returns
    -------
    ndarray of bool, shape (*x.shape, K)
        z(1)..z(K).
    """
    potential = np.array(x, dtype=np.float64)
    train = []
    for subtracted, threshold in zip(np.asarray(h), np.asarray(thresholds), strict=True):
        train.append(potential > threshold)
        potential = potential - subtracted * train[-1]
    return np.stack(train, axis=-1)


def _bits(function: str, n_neurons: int, alpha: float) -> Array:
    """Bits alpha 2^-i for i = 1..K."""
    if n_neurons < 1:
        raise ValueError(f"gate {function!r}: needs at least one neuron, got {n_neurons!r}")
    if not 0 < alpha < np.inf:
        raise ValueError(f"gate {function!r}: its range must be above 0 and finite, got {alpha!r}")
    return np.ldexp(alpha, -np.arange(1, n_neurons + 1))
