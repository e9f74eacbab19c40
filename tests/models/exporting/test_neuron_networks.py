"""Networks from NIR files, written back: reading the file gives the same layers."""

from dataclasses import replace

import numpy as np
import pytest
from ann2brian.models.importing.from_nir import from_nir
from ann2brian.models.networks.dynamics import MODELS, TIMES, Neurons
from ann2brian.models.networks.layers import Conv2D, Flatten
from ann2brian.models.networks.nir_files import Graph, Node, read, write

import ann2brian as ab
from tests.support.nir_files import definition, definitions, fixture, names

pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def assert_same_layers(one, other):
    """Types, names, inputs and every array."""
    assert one.input.shape == other.input.shape
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for a, b in zip(one.layers, other.layers, strict=True):
        assert type(a) is type(b)
        for field in a.__dataclass_fields__:
            own, given = getattr(a, field), getattr(b, field)
            assert np.array_equal(own, given) if field in a.ARRAYS else own == given


def round_trip(network, path, **told):
    """The network of the file that is written of it."""
    ab.to_nir(network, path)
    return from_nir(path, **told)


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith("nirtorch")])
def test_files_of_every_writer_come_back(name, tmp_path):
    """By the writer's conventions and by the definition."""
    found = fixture(name, tmp_path)
    for written_by in (name.partition("_")[0], None):
        told = {"written_by": written_by, "dt": 1e-3}
        try:
            network = from_nir(found.path, **told)
        except ValueError:
            assert written_by is None  # what a writer means can be all that makes sense
            continue
        assert_same_layers(network, round_trip(network, tmp_path / "back.nir", **told))


@pytest.mark.parametrize("name", definitions())
def test_files_of_the_format_come_back(name, tmp_path):
    """Every node there is, as the format's own package wrote it."""
    try:
        network = from_nir(definition(name, tmp_path), dt=1e-3)
    except ValueError:
        assert name == "two_ends"
        return
    if not any(isinstance(layer, Neurons) for layer in network.layers):
        with pytest.raises(ValueError, match="has no neurons"):
            ab.to_nir(network, tmp_path / "back.nir")
        return
    assert_same_layers(network, round_trip(network, tmp_path / "back.nir", dt=1e-3))


class Drawing:
    """A graph of drawn nodes, with names of all sorts."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.edges = {}, []
        self.style = self.rng.integers(3)

    def number(self, *options):
        return options[self.rng.integers(len(options))]

    def add(self, kind, source, **fields):
        """A node with a name of the graph's style."""
        count = len(self.nodes)
        name = (str(count), f"layer{count}", f"part.{count}")[self.style]
        self.nodes[name] = Node(kind=kind, fields=fields)
        self.edges.append((source, name))
        return name

    def neurons(self, source, shape):
        """Neurons of a drawn model, whose potentials have a threshold behind them."""
        model = self.number(*[name for name in MODELS if name != "Threshold"])
        fields = {}
        for key in MODELS[model]:
            low, high = (1e-3, 5e-2) if key in TIMES else (0.5, 2.0)
            uniform = self.rng.random() < 0.3
            fields[key] = self.rng.uniform(low, high, () if uniform else shape) + np.zeros(shape)
        name = self.add(model, source, **fields)
        if model in ("I", "LI", "CubaLI"):
            threshold = self.rng.uniform(0.5, 2, shape)
            name = self.add("Threshold", name, threshold=threshold)
        return name

    def recurrent(self, name, shape):
        """A vector of neurons whose spikes come back, one step later or more."""
        (n,) = shape
        source = name
        if self.rng.random() < 0.5:
            source = self.add("Delay", name, delay=np.full(n, 2e-3))
        back = self.add("Linear", source, weight=self.rng.normal(size=(n, n)))
        to = next(target for target in self.nodes if (target, name) in self.edges)
        self.edges.append((back, to if self.nodes[to].kind in MODELS else name))

    def drawn(self, path):
        """Write the file."""
        rng = self.rng
        shape = (int(rng.integers(1, 4)), 8, int(rng.integers(6, 9)))
        is_map = rng.random() < 0.6
        shape = shape if is_map else (int(rng.integers(2, 9)),)
        self.nodes["input"] = Node(kind="Input", fields={"shape": np.array(shape)})
        last = "input"
        for _ in range(rng.integers(1, 4)):
            if len(shape) == 3 and rng.random() < 0.6:
                n_out = int(rng.integers(1, 4))
                last = self.add(
                    "Conv2d",
                    last,
                    input_shape=np.array(shape[1:]),
                    weight=rng.normal(size=(n_out, shape[0], 3, 3)),
                    bias=rng.normal(size=n_out),
                    stride=np.array([1, 1]),
                    padding=np.array([1, 1]),
                    dilation=np.array([1, 1]),
                    groups=np.int64(1),
                )
                shape = (n_out, *shape[1:])
                last = self.neurons(last, shape)
                if rng.random() < 0.5 and min(shape[1:]) >= 4:
                    kind = self.number("SumPool2d", "AvgPool2d")
                    two = {key: np.array([2, 2]) for key in ("kernel_size", "stride")}
                    last = self.add(kind, last, padding=np.array([0, 0]), **two)
                    shape = (shape[0], shape[1] // 2, shape[2] // 2)
            else:
                if len(shape) == 3:
                    last = self.add(
                        "Flatten",
                        last,
                        start_dim=np.int64(0),
                        end_dim=np.int64(-1),
                        input_type=np.array(shape),
                    )
                    shape = (int(np.prod(shape)),)
                n_out = int(rng.integers(2, 7))
                weights = [rng.normal(size=(n_out, *shape)) for _ in range(2)]
                before = last
                last = self.add("Affine", before, weight=weights[0], bias=rng.normal(size=n_out))
                shape = (n_out,)
                if rng.random() < 0.4:
                    scale = rng.uniform(0.5, 2, n_out)
                    last = self.add("Scale", last, scale=scale)
                neurons = self.neurons(last, shape)
                if rng.random() < 0.4:  # a branch into the same neurons
                    branch = self.add("Linear", before, weight=weights[1])
                    first = next(t for s, t in self.edges if s == last)
                    self.edges.append((branch, first))
                if rng.random() < 0.5:
                    self.recurrent(neurons, shape)
                last = neurons
        self.nodes["output"] = Node(kind="Output", fields={"shape": np.array(shape)})
        self.edges.append((last, "output"))
        write(Graph(nodes=self.nodes, edges=tuple(self.edges), version="1.0.8"), path)
        return path


@pytest.mark.parametrize("seed", range(60))
def test_drawn_graphs_come_back(seed, tmp_path):
    """Maps and vectors, pools, scales, sums, recurrence, potentials with thresholds."""
    network = from_nir(Drawing(seed).drawn(tmp_path / "drawn.nir"), dt=1e-3)
    assert_same_layers(network, round_trip(network, tmp_path / "back.nir", dt=1e-3))


def test_layers_without_a_node_are_refused(tmp_path):
    """A window with another padding on each side, by name; nothing is left behind."""
    coding = ab.InputCoding((4, 4, 1), 1.0, np.ones(1), np.zeros(1), signed=True)
    one = np.ones((1, 1, 1))
    layers = (
        Conv2D("c", ("input",), np.ones((2, 2, 1, 1)), np.zeros(1), (2, 2), (1, 1, 1, 0)),
        Neurons("n", ("c",), "IF", r=one, v_threshold=one),
        Flatten("f", ("n",)),
    )
    network = ab.Network(name="odd", input=coding, layers=layers, classes=tuple("abcdef"))
    with pytest.raises(ValueError, match="Conv2D 'c': NIR has the same padding on both sides"):
        ab.to_nir(network, tmp_path / "odd.nir")
    assert list(tmp_path.iterdir()) == []


def test_fields_of_one_program_are_not_another_s(tmp_path):
    """What sinabs wrote is written back for sinabs only."""
    found = fixture("sinabs_iaf_grid", tmp_path)
    network = from_nir(found.path, written_by="sinabs")
    export = ab.to_nir(network, tmp_path / "back.nir", "sinabs")
    assert export.losses == () and export.loss is None
    assert read(export.path).version == "1.0.4"
    untold = ab.to_nir(network, tmp_path / "untold.nir")  # is for sinabs again
    assert untold.written_for == "sinabs" and untold.call == export.call
    assert untold.path.read_bytes() == export.path.read_bytes()
    with pytest.raises(ValueError, match="fields that sinabs means"):
        ab.to_nir(network, tmp_path / "other.nir", "norse")
    with pytest.raises(ValueError, match="written of a network from a file"):
        export.inputs(np.zeros((1, 1, 1, 1)))


def test_fields_of_a_newer_sinabs_are_kept(tmp_path):
    """With nir 1.0.8 it writes v_reset, with nir 1.0.4 none."""
    network = from_nir(fixture("sinabs_new_iaf_grid", tmp_path).path, written_by="sinabs")
    path = ab.to_nir(network, tmp_path / "back.nir", "sinabs").path
    assert_same_layers(network, from_nir(path, written_by="sinabs"))
    assert read(path).version == "1.0.8"
    old = from_nir(fixture("sinabs_iaf_grid", tmp_path).path, written_by="sinabs")
    assert read(ab.to_nir(old, tmp_path / "old.nir", "sinabs").path).version == "1.0.4"


def test_a_file_of_a_program_for_which_none_is_written(tmp_path):
    """It is read here again, by the name of its writer."""
    network = from_nir(fixture("rockpool_lif_grid", tmp_path).path, written_by="rockpool")
    export = ab.to_nir(network, tmp_path / "back.nir")
    assert export.written_for == "rockpool"
    assert export.call == "ann2brian.from_nir(path, written_by='rockpool')"


def test_a_file_that_is_read_as_another_network_is_not_left(tmp_path, monkeypatch):
    """What stood at the path stays as it was."""
    network = from_nir(fixture("spikingjelly_if_grid", tmp_path).path, written_by="spikingjelly")
    path = tmp_path / "net.nir"
    path.write_text("before")
    found = replace(network.layers[0], bias=network.layers[0].bias + 1)
    wrong = replace(network, layers=(found, *network.layers[1:]))
    monkeypatch.setattr(
        "ann2brian.models.exporting.neuron_networks.from_nir", lambda *_, **__: wrong
    )
    with pytest.raises(ValueError, match="would be read as another: bias of Dense"):
        ab.to_nir(network, path)
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 2
