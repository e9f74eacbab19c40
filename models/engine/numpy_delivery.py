"""The functions of delivery.h in NumPy, for whole vectors of spikes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Integers
from .layout import LATERAL, SPARSE, WINDOW, Layout, Route


class State(NamedTuple):
    """State variables that the functions read and write: those of struct State, in its order.

    One entry for most, an array or its name; one a group for `ages` to `fires`, None for the
    `images` of neurons that are not told; one a variable that spikes add to for `targets` in double
    and `singles` in single precision, None in the other of the two; none for what the network
    lacks.
    """

    targets: Sequence[Any]
    singles: Sequence[Any]
    ages: Sequence[Any]
    images: Sequence[Any]
    n_spikes: Sequence[Any]
    n_before: Sequence[Any]
    spikes: Sequence[Any]
    fires: Sequence[Any]
    remembered: Sequence[Any]
    inhibition: Sequence[Any]
    pending: Sequence[Any]
    arrivals: Sequence[Any]
    events: Sequence[Any]
    n_images: Sequence[Any]
    first_image: Sequence[Any]


class NumpyDelivery:
    """The functions of delivery.h in NumPy, for whole vectors of spikes.

    Parameters
    ----------
    layout : Layout
        Where everything lies.
    weights : ndarray
        Its weights in volts.
    state : State
        Arrays.
    delays : sequence of ndarray
        Of each route and position in steps; below 0 where axons do not deliver by block.
    """

    def __init__(
        self,
        layout: Layout,
        weights: NDArray[Any],
        state: State,
        delays: Sequence[Integers] = (),
    ) -> None:
        self.layout, self.weights, self.gains = layout, weights, layout.gains
        self.delays = delays
        longest = max((int(own.max(initial=0)) for own in delays), default=0)
        # Spikes of the last steps, one list a group, the newest first.
        self.remembered: deque[list[Integers]] = deque(maxlen=longest + 1)
        self.spikes, self.fires = state.spikes, state.fires
        bits = np.unpackbits(layout.signs.astype("<i4").view(np.uint8), bitorder="little")
        self.signs = np.where(bits, 1.0, -1.0)
        pairs = zip(state.targets, state.singles, strict=True)
        self.targets = [double if single is None else single for double, single in pairs]
        self.ages, self.n_spikes, self.n_before = state.ages, state.n_spikes, state.n_before
        self.images = state.images
        self.n_images, self.first_image = state.n_images[0], state.first_image[0]
        counts = (len(layout.routes), layout.sizes.steps)
        if layout.routes:
            self.arrivals = state.arrivals[0].reshape(counts)
            self.events = state.events[0].reshape(counts)
        if layout.sizes.pending:
            self.inhibition, self.pending = state.inhibition[0], state.pending[0]

    def find_spikes(self, _: Any) -> NDArray[np.int32]:
        """List the neurons whose flags are set; how many there are."""
        found = 0
        for flags, spikes in zip(self.fires, self.spikes, strict=True):
            neurons = np.flatnonzero(flags)
            spikes[: neurons.size] = neurons
            spikes[-1] = neurons.size
            found += neurons.size
        return np.array([found], dtype=np.int32)

    def deliver(self, step: Any) -> NDArray[np.int32]:
        """Spikes arrive over all routes in `step`; how many."""
        now = int(np.ravel(step)[0])
        self.remembered.appendleft([own[: own[-1]].astype(np.int64) for own in self.spikes])
        delivered = 0
        for number, (r, delays) in enumerate(zip(self.layout.routes, self.delays, strict=True)):
            for position in np.flatnonzero((delays >= 0) & (delays < len(self.remembered))):
                spikes = self.remembered[delays[position]][r.group]
                start = r.offset + position * r.block
                chosen = spikes[(spikes >= start) & (spikes < start + r.block)]
                if chosen.size:
                    delivered += chosen.size
                    self._arrive(number, chosen, now)
        return np.array([delivered], dtype=np.int32)

    def deliver_spike(self, neuron: Any, route: Any, step: Any) -> NDArray[np.int32]:
        """Spikes of `neuron` arrive over `route` in `step`; number of targets of each."""
        neuron, route = np.atleast_1d(neuron), np.atleast_1d(route)
        neuron, route = np.broadcast_arrays(neuron, route)
        reached = np.zeros(neuron.shape, dtype=np.int32)
        for number in np.unique(route):
            chosen = route == number
            reached[chosen] = self._arrive(number, neuron[chosen], int(np.ravel(step)[0]))
        return reached

    def _arrive(self, number: int, neuron: NDArray[Any], step: int) -> NDArray[np.int32]:
        sizes, r = self.layout.sizes, self.layout.routes[number]
        reached = self._inhibit(r, neuron, step) if r.kind == LATERAL else self._spread(r, neuron)
        since = max(step // sizes.phase_steps - r.first_phase, 0)
        at = min(since % sizes.period // sizes.every, sizes.steps - 1)
        self.arrivals[number, at] += neuron.size
        self.events[number, at] += reached.sum()
        return reached

    def _inhibit(self, r: Route, neuron: NDArray[Any], step: int) -> NDArray[np.int32]:
        h = self.weights[r.kernel_start : r.kernel_start + r.positions**2]
        h = np.triu(h.reshape(r.positions, r.positions), 1)
        positions, within = np.divmod(neuron - r.offset, r.block)
        for position, later in np.argwhere(h):
            if later == position + 1:
                target = self.inhibition[r.offset + later * r.block :]
            else:
                target = self._waiting(r.pending_start, r.block, later, step + later - position)
            np.add.at(target, within[positions == position], h[position, later])
        return np.count_nonzero(h, axis=1)[positions]

    def _waiting(self, start: int, block: int, position: int, step: int) -> NDArray[Any]:
        """Where inhibition waits that the neurons at a position get in `step`: see delivery.h."""
        n_rows = position - 1
        first = start + (n_rows * (n_rows - 1) // 2 + step % n_rows) * block
        return self.pending[first : first + block]

    def _spread(self, r: Route, neuron: NDArray[Any]) -> NDArray[np.int32]:
        position, rest = np.divmod(neuron - r.offset, r.block)
        copy, unit = np.divmod(rest, r.units)
        gain = self.gains[r.gain_start + position]
        base = r.target_offset + copy * r.target_units
        if r.readout_row >= 0:
            row = (position + r.readout_row) % self.layout.sizes.readout_rows
            base = base + row * self.layout.n_copies * r.target_units
        if r.kind == SPARSE:
            return self._scatter(r, unit, base, gain)
        y, x, channel = np.unravel_index(unit, (r.height, r.width, r.channels))
        if r.kind == WINDOW:
            return self._to_places(r, y, x, base + channel, gain)
        return self._convolve(r, y, x, channel, base, gain)

    def _scatter(
        self, r: Route, unit: NDArray[Any], base: NDArray[Any], gain: NDArray[Any]
    ) -> NDArray[np.int32]:
        first = self.layout.columns[r.columns_start :][: r.units + 1]
        reached = first[unit + 1] - first[unit]
        ends = np.cumsum(reached)
        entry = np.arange(ends[-1]) + np.repeat(first[unit + 1] - ends, reached)
        at = self.layout.columns[r.columns_start + r.units + 1 + entry] + np.repeat(base, reached)
        weight = self.weights[r.kernel_start + entry] * np.repeat(gain, reached)
        np.add.at(self.targets[r.array], at, weight)
        return reached

    def _to_places(
        self, r: Route, y: NDArray[Any], x: NDArray[Any], base: NDArray[Any], gain: NDArray[Any]
    ) -> NDArray[np.int32]:
        reached = np.zeros(y.shape, dtype=np.int32)
        for py, px, inside in self._pooled(r, y, x):
            place = (y + r.pool_pad_h - py * r.pool_stride_h) * r.pool_w
            place = place + x + r.pool_pad_w - px * r.pool_stride_w
            at = base + (py * r.pooled_w + px) * r.channels
            for one in np.unique(place[inside]):
                hit = inside & (place == one)
                weight = gain[hit] * self.weights[r.kernel_start]
                np.add.at(self.targets[r.array + one], at[hit], weight)
            reached[inside] += 1
        return reached

    def _convolve(
        self,
        r: Route,
        y: NDArray[Any],
        x: NDArray[Any],
        channel: NDArray[Any],
        base: NDArray[Any],
        gain: NDArray[Any],
    ) -> NDArray[np.int32]:
        out_per_group = r.out_channels // r.groups
        shape = (r.channels, r.kernel_h, r.kernel_w, r.tap)
        stored = self.layout.packed if r.is_gathered else self.weights
        stored = self.signs if r.is_binary else stored
        kernel = stored[r.kernel_start : r.kernel_start + int(np.prod(shape))].reshape(shape)
        kernel = kernel[..., :out_per_group]
        target = self.targets[r.array]
        base = base + r.first_channel + channel // (r.channels // r.groups) * out_per_group
        channels = np.arange(out_per_group)
        reached = np.zeros(y.shape, dtype=np.int32)
        for py, px, inside in self._pooled(r, y, x):
            for ky in range(r.kernel_h):
                for kx in range(r.kernel_w):
                    oy, left_y = np.divmod(py + r.pad_h - ky * r.dilation_h, r.stride_h)
                    ox, left_x = np.divmod(px + r.pad_w - kx * r.dilation_w, r.stride_w)
                    hit = inside & (left_y == 0) & (left_x == 0)
                    hit &= (oy >= 0) & (oy < r.out_h) & (ox >= 0) & (ox < r.out_w)
                    if not hit.any():
                        continue
                    start = base[hit] + (oy[hit] * r.out_w + ox[hit]) * r.target_channels
                    weight = kernel[channel[hit], ky, r.kernel_w - 1 - kx]
                    np.add.at(target, start[:, None] + channels, gain[hit][:, None] * weight)
                    reached[hit] += out_per_group
        return reached

    @staticmethod
    def _pooled(r: Route, y: NDArray[Any], x: NDArray[Any]) -> Any:
        """Pooled positions whose window holds (y, x), one possible offset after the other."""
        for dy in range(-(-r.pool_h // r.pool_stride_h)):
            py = (y + r.pool_pad_h) // r.pool_stride_h - dy
            in_y = (py >= 0) & (py < r.pooled_h)
            in_y &= y + r.pool_pad_h < py * r.pool_stride_h + r.pool_h
            for dx in range(-(-r.pool_w // r.pool_stride_w)):
                px = (x + r.pool_pad_w) // r.pool_stride_w - dx
                in_x = (px >= 0) & (px < r.pooled_w)
                in_x &= x + r.pool_pad_w < px * r.pool_stride_w + r.pool_w
                yield py, px, in_y & in_x

    def set_ages(self, copy: Any, phase: Any, most: Any) -> NDArray[np.int32]:
        """Set, for all copies, how long the present image has been at each neuron.

        Returns the most spikes that a neuron of each copy fired for an image before the present
        one, where `most` is what was returned last.
        """
        most = np.broadcast_to(most, np.shape(copy)).astype(np.int32)
        sizes = self.layout.sizes
        for layer in self.layout.layers:
            block = layer.units * sizes.copies
            stop = layer.offset + layer.positions * block
            since = int(phase) - layer.onset - np.arange(layer.positions)[:, None]
            turn, age = np.divmod(since, sizes.period)
            is_there = (since >= 0) & (turn < self.n_images) & (age < sizes.phases)
            ages = np.where(is_there, age, -1)
            own = slice(layer.offset, stop)
            new, old = np.repeat(ages, layer.units, axis=1).ravel(), self.ages[layer.group][own]
            n_spikes, n_before = self.n_spikes[layer.group][own], self.n_before[layer.group][own]
            counts = np.where(new == 0, n_spikes - n_before, 0)
            counts = counts.reshape(layer.positions, sizes.copies, layer.units)
            most = np.maximum(most, counts.max(axis=(0, 2)))
            n_before[new == 0] = n_spikes[new == 0]
            images = self.images[layer.group]
            if images is not None:
                number = self.first_image + sizes.copies * turn
                number = np.repeat(number, layer.units, axis=1).ravel()
                images[own][new == 0] = number[new == 0]
            old[:] = new
        return most

    def travel(self, copy: Any, step: Any) -> NDArray[np.int32]:
        """Move the drive of all copies on along the chains, and fetch what inhibits next."""
        for layer in self.layout.layers:
            block = layer.units * self.layout.n_copies
            own = slice(layer.offset, layer.offset + layer.positions * block)
            drive = self.targets[layer.array][own].reshape(layer.positions, block)
            inhibition = self.inhibition[own].reshape(layer.positions, block)
            drive[1:] = drive[:-1].copy()
            drive[0] = inhibition[:] = 0
            for position in range(2, layer.positions):
                due = self._waiting(layer.pending_start, block, position, int(step) + 1)
                inhibition[position] = due
                due[:] = 0
        return np.full(np.shape(copy), int(step), dtype=np.int32)
