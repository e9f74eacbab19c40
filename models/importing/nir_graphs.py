"""The graph of a NIR file: graphs in graphs taken apart, and an order for its nodes.

Nodes have no order in a file. Neurons come after the neurons that lead to them; where connections
go round in a circle, one of them is recurrent, and brings what its source gave in the step before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import numpy as np

from ..networks.dynamics import MODELS
from ..networks.nir_files import Graph, Node

STATEFUL = (*MODELS, "Delay")


@dataclass(frozen=True, eq=False, kw_only=True)
class FlatGraph:
    """A graph without graphs in it.

    Parameters
    ----------
    nodes : mapping of str to Node
        By name.
    edges : tuple of (str, str)
        Source and target, each once.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Order:
    """How the nodes of a flat graph follow each other.

    Parameters
    ----------
    input, output : str
        The one node of each kind.
    neurons : tuple of str
        Neurons and delays, each after those that lead to it but by recurrent connections.
    sources : mapping of str to tuple of str
        From which nodes each gets something.
    upstream : mapping of str to frozenset of str
        Neurons and delays that lead to each node through nodes without a state.
    graph : FlatGraph
        The graph.
    """

    input: str
    output: str
    neurons: tuple[str, ...]
    sources: Mapping[str, tuple[str, ...]]
    upstream: Mapping[str, frozenset[str]]
    graph: FlatGraph

    @cached_property
    def recurrent(self) -> frozenset[str]:
        """Neurons and delays whose output of the step before is used."""
        return frozenset().union(*(self.late_sources(name) for name in self.neurons))

    def late_sources(self, name: str) -> frozenset[str]:
        """Those that lead to neurons, and come with them or after them in the order."""
        later = self.neurons[self.neurons.index(name) :]
        return self.upstream[name] & frozenset(later)

    def shape_of(self, name: str, known: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """Shape of neurons: known, or that of their own fields, where they tell it."""
        if name in known:
            return known[name]
        node = self.graph.nodes[name]
        shapes = [np.shape(value) for value in node.fields.values() if not isinstance(value, str)]
        found = np.broadcast_shapes(*shapes)
        (first, *others) = self.sources[name]
        is_alone = first in self.neurons and first != name and not others
        if is_alone and (first in known or not found):
            return self.shape_of(first, known)
        if not found:
            raise ValueError(
                f"node {name!r} ({node.kind}): its fields are single numbers, so the shape of its "
                "recurrent connection is not known; write one number for each neuron"
            )
        return found


def flat(graph: Graph) -> FlatGraph:
    """The same graph without graphs in it: their nodes are called ``graph.node``.

    Raises
    ------
    ValueError
        If an edge leads from or to a node that is not there, or stands there twice.
    """
    nodes, edges = _taken_apart(graph, "")
    for (source, target), times in Counter(edges).items():
        if times > 1:
            raise ValueError(
                f"the edge from {source!r} to {target!r} stands there twice; write it once, with "
                "twice the weight if that is meant"
            )
    return FlatGraph(nodes=nodes, edges=tuple(edges))


def _taken_apart(graph: Graph, prefix: str) -> tuple[dict[str, Node], list[tuple[str, str]]]:
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    for name, node in graph.nodes.items():
        full = prefix + name
        if isinstance(node, Node):
            inner, inner_edges = {full: node}, list[tuple[str, str]]()
        else:
            inner, inner_edges = _taken_apart(node, f"{full}.")
        for twice in nodes.keys() & inner.keys():
            raise ValueError(f"two nodes are called {twice!r}, one of them in a graph in the graph")
        nodes |= inner
        edges += inner_edges
    for source, target in graph.edges:
        for end in (source, target):
            if end not in graph.nodes:
                raise ValueError(
                    f"an edge leads from {source!r} to {target!r}; there is no node {end!r}"
                    + (f" in {prefix[:-1]!r}" if prefix else "")
                )
        ends = []
        for end, port in ((source, "Output"), (target, "Input")):
            node = graph.nodes[end]
            ends.append(prefix + end if isinstance(node, Node) else _port(node, prefix + end, port))
        edges.append((ends[0], ends[1]))
    if prefix:
        return _without_ports(nodes, edges, prefix, graph)
    return nodes, edges


def _port(graph: Graph, name: str, kind: str) -> str:
    """Name of the one node by which a graph in a graph is entered or left."""
    found = [n for n, node in graph.nodes.items() if node.kind == kind]
    if len(found) != 1:
        raise ValueError(
            f"node {name!r} is a graph with {len(found)} nodes of type {kind}; one is needed"
        )
    return f"{name}.{found[0]}"


def _without_ports(
    nodes: dict[str, Node], edges: list[tuple[str, str]], prefix: str, graph: Graph
) -> tuple[dict[str, Node], list[tuple[str, str]]]:
    """Ports of an inner graph become nodes that change nothing."""
    for name, node in graph.nodes.items():
        if node.kind in ("Input", "Output"):
            nodes[prefix + name] = Node(kind="Scale", fields={"scale": np.ones(())})
    return nodes, edges


def ordered(graph: FlatGraph) -> Order:
    """Find an order.

    Raises
    ------
    ValueError
        If there is not one input and one output, a node gets nothing or leads nowhere, or
        connections go round without neurons or a delay in between; the message names the nodes.
    """
    nodes = graph.nodes
    ends = {
        kind: [n for n, node in nodes.items() if node.kind == kind] for kind in ("Input", "Output")
    }
    for kind, found in ends.items():
        if len(found) != 1:
            raise ValueError(
                f"has {len(found)} nodes of type {kind}{_listed(found)}; one is needed"
            )
    (first,), (last,) = ends["Input"], ends["Output"]
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    targets: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in graph.edges:
        sources[target].append(source)
        targets[source].append(target)
    if sources[first] or targets[last]:
        raise ValueError(f"an edge leads into the input {first!r} or out of the output {last!r}")
    reached, reaching = _closure([first], targets), _closure([last], sources)
    for name, node in nodes.items():
        if name not in reached or name not in reaching:
            where = "nothing leads to it" if name not in reached else "it leads nowhere"
            raise ValueError(f"node {name!r} ({node.kind}): {where}; an edge is missing")
    given = {name: tuple(sorted(own, key=_by_number)) for name, own in sources.items()}
    upstream = {name: _upstream(name, nodes, given) for name in nodes}
    _refuse_circles(nodes, given)
    return Order(
        input=first,
        output=last,
        neurons=_neurons(first, nodes, targets, upstream),
        sources=given,
        upstream=upstream,
        graph=graph,
    )


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(map(repr, names))
    return f" ({text})" if text else ""


def _by_number(name: str) -> tuple[tuple[int, int, str], ...]:
    """Key that puts 10 after 2, of names in parts."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in name.split("."))


def _closure(start: list[str], towards: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    pending = list(start)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += towards[name]
    return found


def _upstream(
    name: str, nodes: Mapping[str, Node], sources: Mapping[str, tuple[str, ...]]
) -> frozenset[str]:
    """Nodes with a state that lead to a node through others."""
    found: set[str] = set()
    seen: set[str] = set()
    pending = list(sources[name])
    while pending:
        source = pending.pop()
        if source in seen:
            continue
        seen.add(source)
        if _has_state(nodes[source]):
            found.add(source)
        else:
            pending += sources[source]
    return frozenset(found)


def _has_state(node: Node) -> bool:
    return node.kind in STATEFUL


def _refuse_circles(nodes: Mapping[str, Node], sources: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse connections that go round through nodes without a state only."""
    plain = [name for name, node in nodes.items() if not _has_state(node)]
    try:
        TopologicalSorter({n: set(sources[n]).intersection(plain) for n in plain}).prepare()
    except CycleError as error:
        names = ", ".join(map(repr, error.args[1][:-1]))
        raise ValueError(
            f"connections go round through {names} without neurons or a delay in between"
        ) from None


def _neurons(
    first: str,
    nodes: Mapping[str, Node],
    targets: Mapping[str, list[str]],
    upstream: Mapping[str, frozenset[str]],
) -> tuple[str, ...]:
    """Nodes with a state in an order; where they go round, that nearest to the input is first."""
    distance = {first: 0}
    pending = [first]
    while pending:
        following = []
        for name in pending:
            for target in targets[name]:
                if target not in distance:
                    distance[target] = distance[name] + 1
                    following.append(target)
        pending = following
    left = sorted(
        (n for n, node in nodes.items() if _has_state(node)),
        key=lambda name: (distance[name], _by_number(name)),
    )
    found: list[str] = []
    while left:
        waiting = set(left)
        ready = (n for n in left if waiting.isdisjoint(upstream[n] - {n}))
        chosen = next(ready, "") or _of_first_circle(left, upstream)
        found.append(chosen)
        left.remove(chosen)
    return tuple(found)


def _of_first_circle(left: list[str], upstream: Mapping[str, frozenset[str]]) -> str:
    """The nearest to the input of those that only nodes of their own circle lead to."""
    own = {n: _closure([n], {m: [x for x in upstream[m] if x in left] for m in left}) for n in left}
    for name in left:
        if all(name in own[other] for other in own[name]):
            return name
    raise AssertionError("one circle comes before all others")
