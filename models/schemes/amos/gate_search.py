"""Search for the thresholds and inhibition of a gate that follows a given function.

The output of a gate is piecewise constant in its drive, so its mean squared error over an interval
is an exact sum over the pieces (*derived*). With the output weights solved in closed form for
each candidate, the error is a continuous, piecewise smooth function of T and h whose gradient is
a sum over the switching points. The search uses this: quasi-Newton descents from binary codes and
from random changes of the best points so far, with the worse half of the chains given up after each
part of the budget. The authors of few-spike neurons trained with a surrogate gradient instead;
this recipe is this project's own.

Everything here is normalised to x in [0, 1]; `models.schemes.amos.gate_fits.fit` converts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...arrays import Array

Progress = Callable[[int, float], None]

GRID_POINTS = 20_001  # the function is taken as linear between these
RIDGE = 1e-9  # keeps the output weights finite where neurons never fire or always fire together
LIMIT = 2.0  # bound on |T| and |h|, in widths of the interval
SHORT, LONG = 10, 30  # iterations of a descent: to see whether a change is promising; to finish
PROMISING = 0.5  # largest log(error) above the chain's own that earns the long descent
STARTS = tuple((low, 1.0 - cut) for low in (0.0, 0.15, 0.3, 0.4) for cut in (0.0, 0.2))


class Target:
    """A function on [0, 1], with exact integrals of its piecewise linear interpolant.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Function values at n >= 2 equally spaced points from 0 to 1.
    """

    def __init__(self, values: Array) -> None:
        left, right = values[:-1], values[1:]
        self._step = 1.0 / (values.size - 1)
        self._values = values
        self._integral = np.append(0.0, np.cumsum(0.5 * (left + right))) * self._step
        self.integral = float(self._integral[-1])
        self.mean_square = float(np.mean((left * left + left * right + right * right) / 3.0))

    def at(self, x: Array) -> tuple[Array, Array]:
        """Value at each x, and the integral from 0 to x."""
        position = x / self._step
        cell = np.minimum(position.astype(np.int64), self._values.size - 2)
        part = position - cell
        start = self._values[cell]
        rise = self._values[cell + 1] - start
        area = self._step * part * (start + 0.5 * rise * part)
        return start + rise * part, self._integral[cell] + area


class Loss(NamedTuple):
    """Error of one candidate with its best output weights, and the gradient of the error.

    Attributes
    ----------
    error : float
        Mean squared error over [0, 1], plus `RIDGE` times the squared norm of the weights.
    outputs : ndarray, shape (K,)
        Output weights d.
    by_threshold : ndarray, shape (K,)
        Derivative with respect to T.
    by_inhibition : ndarray, shape (K, K)
        Derivative with respect to h, strictly lower-triangular.
    """

    error: float
    outputs: Array
    by_threshold: Array
    by_inhibition: Array


def loss(thresholds: Array, inhibition: Array, target: Target) -> Loss:
    """Exact error of a gate with thresholds T and inhibition h, and its gradient.

    Parameters
    ----------
    thresholds : ndarray, shape (K,)
    inhibition : ndarray, shape (K, K)
        Strictly lower-triangular.
    target : Target
        The function to follow.

    Returns
    -------
    Loss

    Notes
    -----
    Neuron after neuron, [0, 1] is cut into the pieces of constant spike pattern: at most 2^K,
    in practice some tens. Moving the switching point x_b between the levels a and b changes the
    error by (a - f(x_b))^2 - (b - f(x_b))^2 per unit; x_b = T_i + sum_j h_ij s_j, where i is the
    first neuron that differs. The output weights are optimal and add nothing to the gradient.
    """
    n_neurons = len(thresholds)
    low, high = np.zeros(1), np.ones(1)
    spikes = np.zeros((n_neurons, 1))
    for i in range(n_neurons):
        switch = inhibition[i, :i] @ spikes[:i] + thresholds[i]
        cut = np.minimum(np.maximum(switch, low), high)
        silent, firing = cut > low, cut < high
        n_silent = np.count_nonzero(silent)
        spikes = np.concatenate((spikes[:, silent], spikes[:, firing]), axis=1)
        spikes[i, n_silent:] = 1.0
        low, high = (
            np.concatenate((low[silent], cut[firing])),
            np.concatenate((cut[silent], high[firing])),
        )
    order = np.argsort(low)
    low, high, spikes = low[order], high[order], spikes[:, order]

    values, integrals = target.at(low)
    width = high - low
    area = np.append(integrals[1:], target.integral) - integrals
    normal = (spikes * width) @ spikes.T
    normal.flat[:: n_neurons + 1] += RIDGE
    outputs = np.asarray(np.linalg.solve(normal, spikes @ area), dtype=np.float64)
    levels = outputs @ spikes
    mse = float(target.mean_square - 2.0 * (levels @ area) + (levels * levels) @ width)

    edge = values[1:]
    by_edge = (levels[:-1] - edge) ** 2 - (levels[1:] - edge) ** 2
    owner = np.argmax(spikes[:, :-1] != spikes[:, 1:], axis=0)
    by_neuron = np.zeros((n_neurons, edge.size))
    by_neuron[owner, np.arange(edge.size)] = by_edge
    return Loss(
        error=max(mse, 0.0) + RIDGE * float(outputs @ outputs),
        outputs=outputs,
        by_threshold=by_neuron.sum(axis=1),
        by_inhibition=np.tril(by_neuron @ spikes[:, :-1].T, k=-1),
    )


class Point(NamedTuple):
    """A candidate: the log of its error, and its free parameters in one vector."""

    log_error: float
    vector: Array


@dataclass
class Search:
    """Search over all gates of K neurons, or over the restricted ones (h_ij = h_j).

    Parameters
    ----------
    target : Target
        The function to follow.
    n_neurons : int
        K.
    restricted : bool
        Whether h_ij may depend on j only, as in a few-spike neuron.
    rng : numpy.random.Generator
        Draws the changes.
    """

    target: Target
    n_neurons: int
    restricted: bool
    rng: np.random.Generator
    evaluations: int = 0

    def pack(self, thresholds: Array, inhibition: Array) -> Array:
        """Free parameters of a gate: T, then h."""
        if self.restricted:
            return np.append(thresholds, inhibition[-1, :-1])
        return np.append(thresholds, inhibition[np.tril_indices(self.n_neurons, -1)])

    def unpack(self, vector: Array) -> tuple[Array, Array]:
        """Inverse of `pack`."""
        n = self.n_neurons
        inhibition = np.zeros((n, n))
        below = np.tril_indices(n, -1)
        inhibition[below] = np.append(vector[n:], 0.0)[below[1]] if self.restricted else vector[n:]
        return vector[:n], inhibition

    def log_error(self, vector: Array) -> tuple[float, Array]:
        """Logarithm of the error, which makes descents independent of scale, and its gradient."""
        self.evaluations += 1
        found = loss(*self.unpack(vector), self.target)
        # The floor keeps a perfect fit finite.
        error = found.error + 1e-12 * self.target.mean_square + 1e-300
        by_inhibition = (
            found.by_inhibition.sum(axis=0)[:-1]
            if self.restricted
            else found.by_inhibition[np.tril_indices(self.n_neurons, -1)]
        )
        return np.log(error), np.append(found.by_threshold, by_inhibition) / error

    def descend(self, vector: Array, n_iterations: int) -> Point:
        """Quasi-Newton descent (L-BFGS-B)."""
        from scipy.optimize import minimize  # slow to import, and few studies search

        found = minimize(
            self.log_error,
            vector,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-LIMIT, LIMIT)] * vector.size,
            options={"maxiter": n_iterations, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-6},
        )
        return Point(float(found.fun), found.x)

    def binary_code(self, low: float, high: float) -> Array:
        """Free parameters of the binary code for x in [low, high]."""
        bits = np.ldexp(high - low, -np.arange(1, self.n_neurons + 1))
        return self.pack(low + bits, np.tril(np.tile(bits, (self.n_neurons, 1)), k=-1))

    def changed(self, vector: Array) -> Array:
        """Random change: a few parameters, all a little, or one neuron moved to a new place."""
        rng = self.rng
        kind = rng.choice(3, p=(0.6, 0.2, 0.2))
        if kind == 0:
            chosen = rng.choice(vector.size, rng.integers(1, min(vector.size, 8) + 1), False)
            vector = vector.copy()
            vector[chosen] += rng.normal(size=chosen.size) * 10 ** rng.uniform(-3, -0.5)
        elif kind == 1:
            vector = vector + rng.normal(size=vector.size) * 10 ** rng.uniform(-4, -1.3)
        else:
            vector = self._neuron_moved(vector)
        return np.clip(vector, -LIMIT, LIMIT)

    def _neuron_moved(self, vector: Array) -> Array:
        rng, n = self.rng, self.n_neurons
        old, new = rng.integers(n, size=2)
        scale = 10 ** rng.uniform(-2, -0.3)
        thresholds, inhibition = self.unpack(vector)
        thresholds = np.insert(np.delete(thresholds, old), new, rng.uniform())
        if self.restricted:
            h = np.append(vector[n:], 0.0)
            h = np.insert(np.delete(h, old), new, rng.normal() * scale)
            return np.append(thresholds, h[:-1])
        inhibition = np.delete(np.delete(inhibition, old, axis=0), old, axis=1)
        inhibition = np.insert(np.insert(inhibition, new, 0.0, axis=0), new, 0.0, axis=1)
        inhibition[new, :new] = rng.normal(size=new) * scale * (rng.random(new) < 0.5)
        inhibition[new + 1 :, new] = rng.normal() * scale
        return self.pack(thresholds, inhibition)

    def run(
        self, starts: list[Array], n_evaluations: int, progress: Progress | None = None
    ) -> tuple[Array, Array]:
        """Improve all `starts` in turn; drop the worse half of them at each part of the budget.

        Parameters
        ----------
        starts : list of ndarray
            Vectors of `pack`.
        n_evaluations : int
            Budget, in evaluations of the error; overdrawn by the last descents at most.
        progress : callable, optional
            Called with the evaluations so far and the smallest error so far.

        Returns
        -------
        thresholds : ndarray, shape (K,)
        inhibition : ndarray, shape (K, K)
        """
        chains = [self.descend(start, 2 * LONG) for start in starts]
        n_rounds = int(np.ceil(np.log2(len(chains)))) + 1
        for part in range(1, n_rounds + 1):
            turn = 0
            while self.evaluations < n_evaluations * part / n_rounds:
                own = chains[turn % len(chains)]
                trial = self.descend(self.changed(own.vector), SHORT)
                if trial.log_error < own.log_error + PROMISING:
                    trial = self.descend(trial.vector, LONG)
                if trial.log_error < own.log_error:
                    chains[turn % len(chains)] = trial
                turn += 1
                if progress is not None:
                    progress(self.evaluations, float(np.exp(min(c.log_error for c in chains))))
            chains.sort(key=lambda chain: chain.log_error)
            del chains[-(-len(chains) // 2) :]
        return self.unpack(chains[0].vector)
