"""Converted networks as NIR files: the file, read again and run, has the spikes of the network."""

import numpy as np
import pandas as pd
import pytest
from ann2brian.models.networks.nir_files import read
from ann2brian.models.places import ROOT

import ann2brian as ab
from tests.support.binary_networks import mixed
from tests.support.networks import assert_same, everything, images_for, noisy, pooled_network

pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
N_IMAGES = 8
PUBLISHED = ROOT / "studies" / "published"


def converted(network, options):
    """With its own drawn images for calibration."""
    return ab.convert(network, options, images_for(network, 20))


def shipped(name, options):
    """One of the trained networks of the digits."""
    training, _ = ab.load_images("digits", "train")
    return ab.convert(ab.load_network(ab.trained(name)), options, training[:100])


def digits():
    """Some test images."""
    return ab.load_images("digits", "test")[0][:N_IMAGES]


EXACT = {
    "burst of one": lambda: converted(pooled_network(), ab.BurstOptions(n_steps=9, gamma=1)),
    "bursts": lambda: converted(pooled_network(), ab.BurstOptions(n_steps=7, gamma=4)),
    "bursts, or": lambda: converted(
        pooled_network((2, 2), (2, 2), (1, 0, 0, 1)),
        ab.BurstOptions(n_steps=7, gamma=3, pooling="or", initial=0.0),
    ),
    "alternating": lambda: converted(
        pooled_network(), ab.BurstOptions(n_steps=5, gamma=2, timing="alternating")
    ),
    "own limits": lambda: shipped("digits-burst", ab.BurstOptions(n_steps=5, own_limits=True)),
    "noise": lambda: converted(noisy(pooled_network()), ab.NoiseOptions(n_steps=7)),
    "noise, leak": lambda: converted(
        noisy(pooled_network()), ab.NoiseOptions(n_steps=7, leak=0.5, reset="soft")
    ),
    "noise, one step": lambda: converted(noisy(pooled_network()), ab.NoiseOptions(n_steps=1)),
    "noise, hard": lambda: shipped("digits-noise", ab.NoiseOptions(leak=0.9, reset="hard")),
    "albsnn": lambda: converted(mixed("rbbrb"), ab.AlbsnnOptions(n_steps=4)),
    "albsnn, soft": lambda: converted(mixed("bbrrb"), ab.AlbsnnOptions(n_steps=4, reset="soft")),
}


@pytest.mark.parametrize("case", EXACT)
def test_a_graph_has_our_spikes(case, tmp_path):
    """Every spike of every layer and step, by the definition of NIR."""
    conversion = EXACT[case]()
    n = conversion.spiking
    images = digits() if "digits" in n.name else images_for_shape(n)
    export = ab.to_nir(
        conversion, tmp_path / "net.nir", as_graph=True, input_as="currents", images=images
    )
    assert export.losses == () and export.loss.is_none
    assert sum(export.loss.spikes.values()) > 100
    assert export.loss.agreement == 1


def test_a_graph_runs_in_brian2(tmp_path):
    """Copies with thresholds, and pooling with lateral inhibition, as neurons of ours."""
    conversion = EXACT["bursts"]()
    images = images_for_shape(conversion.spiking)[:2]
    export = ab.to_nir(conversion, tmp_path / "net.nir", as_graph=True, input_as="currents")
    file = export.read()
    inputs = export.inputs(images).transpose(0, 2, 3, 1)
    recording = ab.simulate(file, inputs, target="numpy", record=True)
    assert_same(recording, ab.reference(file, inputs))
    ours = ab.reference(conversion, images)
    assert np.allclose(recording.scores[:, -1], ours.scores[:, -1], rtol=0, atol=1e-9)


def images_for_shape(spiking):
    """Drawn images of a network that is converted already."""
    shape, most = spiking.image_shape, int(spiking.coding.maximum)
    return np.random.default_rng(3).integers(0, most + 1, (N_IMAGES, *shape))


def test_the_comparison_can_fail(tmp_path):
    """A file whose thresholds are moved by 2**-4 has other spikes."""
    from ann2brian.models.networks.nir_files import write

    conversion = EXACT["noise"]()
    export = ab.to_nir(conversion, tmp_path / "a.nir", as_graph=True, input_as="currents")
    graph = read(export.path)
    for node in graph.nodes.values():
        if node.kind == "Threshold":
            node.fields["threshold"] = node.fields["threshold"] + 2.0**-4
    write(graph, export.path)
    loss = export.measured(images_for_shape(conversion.spiking))
    assert not loss.is_none and "spikes differ" in repr(loss)


@pytest.mark.parametrize("input_as", ["pixels", "standardised"])
def test_images_are_inputs(input_as, tmp_path):
    """With the standardisation in the first weights, or in the images."""
    conversion = shipped("digits-albsnn", ab.AlbsnnOptions(n_steps=3))
    export = ab.to_nir(conversion, tmp_path / "net.nir", input_as=input_as, images=digits())
    assert export.losses == () and export.loss.is_none
    x = export.inputs(digits())
    assert x.shape == (N_IMAGES, 1, 8, 8)
    assert np.array_equal(x[:, 0], digits()[..., 0]) == (input_as == "pixels")


def test_a_rounded_current_is_a_loss(tmp_path):
    """Bursts have the image's current on the grid of the weights."""
    conversion = shipped("digits-rate", ab.BurstOptions(n_steps=16, gamma=1))
    with pytest.raises(ValueError, match="act1: the current of the image is rounded"):
        ab.to_nir(conversion, tmp_path / "net.nir", as_graph=True)
    assert not (tmp_path / "net.nir").exists()
    export = ab.to_nir(
        conversion, tmp_path / "net.nir", as_graph=True, on_loss="nearest", images=digits()
    )
    assert len(export.losses) == 1
    assert sum(export.loss.differing.values()) < 0.01 * sum(export.loss.spikes.values())


def test_losses_are_refused_by_name_or_measured(tmp_path):
    """A soft reset that is not written as a graph, bursts, and pooling over the steps."""
    conversion = EXACT["bursts"]()
    told = {"input_as": "currents", "images": images_for_shape(conversion.spiking)}
    with pytest.raises(ValueError, match=r"takes the threshold off.*up to 4 spikes.*'lipool'"):
        ab.to_nir(conversion, tmp_path / "net.nir", **told)
    export = ab.to_nir(conversion, tmp_path / "net.nir", on_loss="nearest", **told)
    first = conversion.spiking.populations[0].name
    assert export.loss.differing[first] > 0 and len(export.losses) > 3
    assert "losses" in repr(export) and "\n" not in repr(export)


TOOLS = ("snntorch", "sinabs", "spikingjelly", "norse", "spyx")


@pytest.mark.parametrize("tool", TOOLS)
def test_files_for_programs_have_what_they_read(tool, tmp_path):
    """Kinds of nodes, fields, versions; and re-read as the program reads, our spikes if it can."""
    conversion = shipped("digits-albsnn", ab.AlbsnnOptions(n_steps=3))
    export = ab.to_nir(conversion, tmp_path / "net.nir", tool, on_loss="nearest", images=digits())
    graph = read(export.path)
    kinds = {node.kind for node in graph.nodes.values()} - {"Input", "Output"}
    assert kinds <= {"Affine", "Conv2d", "Flatten", "LIF", "IF", "CubaLIF"}
    assert set(graph.nodes) >= {"input", "output"}
    for node in graph.nodes.values():
        if node.kind == "Conv2d":
            assert node.fields["input_shape"].shape == (2,) and node.fields["groups"] == 1
            assert node.fields["weight"].shape[2] == node.fields["weight"].shape[3]
    assert graph.version == ("1.0.4" if tool == "sinabs" else "1.0.8")
    fields = graph.nodes["act1"].fields
    assert ("v_reset" in fields) == (tool != "sinabs")
    assert fields["v_threshold"].shape == ((1,) if tool == "sinabs" else (16, 8, 8))
    assert (export.losses == ()) == (tool in ("snntorch", "spikingjelly", "norse"))
    assert export.loss.is_none == (export.losses == ())
    assert "graph" in export.call
    expected = export.expected(digits())
    assert expected["act1"].shape == (N_IMAGES, 3, 16, 8, 8)
    assert set(export.steps_late.values()) == ({1, 2, 3} if tool == "spyx" else {0})


def test_spyx_reads_columns_with_the_channels_last(tmp_path):
    """The first dense layer after a map."""
    conversion = shipped("digits-noise", ab.NoiseOptions(n_steps=1))
    weights = {}
    for tool in ("spyx", "norse"):
        export = ab.to_nir(conversion, tmp_path / f"{tool}.nir", tool, images=digits())
        assert export.loss.is_none
        nodes = read(export.path).nodes
        (weights[tool],) = (n.fields["weight"] for n in nodes.values() if n.kind == "Affine")
    last = weights["spyx"].reshape(10, -1, 24)
    assert np.array_equal(last.transpose(0, 2, 1).reshape(10, -1), weights["norse"])


@pytest.mark.parametrize("tool", TOOLS)
def test_branches_are_written_only_for_those_that_add_them(tool, tmp_path):
    """The others read one of the branches, or what it gave a step before, without a word."""
    network = noisy(pooled_network())
    conversion = converted(network, ab.NoiseOptions(n_steps=4, mean=0.0, reset="hard"))
    told = {"on_loss": "nearest", "input_as": "currents"}
    if tool in ("snntorch", "spikingjelly"):
        told["images"] = images_for(network, 4)
        assert ab.to_nir(conversion, tmp_path / "net.nir", tool, **told).loss.is_none
    else:
        with pytest.raises(ValueError, match=f"{tool} reads chains of layers only"):
            ab.to_nir(conversion, tmp_path / "net.nir", tool, **told)


def test_kernels_for_programs_are_square(tmp_path):
    """A kernel that cannot be made so becomes a matrix; the definition keeps it."""
    conversion = converted(mixed("rbbrb"), ab.AlbsnnOptions(n_steps=2))
    kinds = {}
    for tool in (None, "snntorch"):
        nodes = read(ab.to_nir(conversion, tmp_path / "net.nir", tool).path).nodes
        kinds[tool] = nodes["act3_in"].kind
    assert kinds == {None: "Conv2d", "snntorch": "Affine"}


def test_what_the_programs_gave_is_what_was_said():
    """The published runs: our spikes where no loss is stated, else what our reference measured."""
    exports = pd.read_csv(PUBLISHED / "nir_exports.csv").fillna({"stated": ""})
    assert set(exports.tool) == {*TOOLS, "nirtorch"}
    assert (exports.groupby("tool").size() == 22).all()
    assert (exports.differing == exports.by_our_reference).all()
    assert (exports.differing[exports.stated == ""] == 0).all()
    assert (exports.stated == "").sum() >= 24


def test_norse_takes_soft_resets(tmp_path):
    """With the reset that its reader is told, from any start."""
    conversion = shipped("digits-noise", ab.NoiseOptions(n_steps=6))
    told = {"input_as": "currents", "images": digits()}
    export = ab.to_nir(conversion, tmp_path / "net.nir", "norse", **told)
    assert export.loss.is_none and "reset_subtract" in export.call


@pytest.mark.parametrize(
    ("options", "network", "words"),
    [
        (ab.AmosOptions(), everything, "chains"),
        (ab.NoiseOptions(rule="memoryless"), lambda: noisy(pooled_network()), "random"),
        (ab.NoiseOptions(has_floor=True), lambda: noisy(pooled_network()), "raised"),
        (ab.BurstOptions(pooling="gated"), pooled_network, "'gated'"),
    ],
    ids=lambda x: getattr(x, "rule", ""),
)
def test_what_no_file_holds_is_refused(options, network, words, tmp_path):
    """By name, and without a file."""
    conversion = converted(network(), options)
    with pytest.raises(ValueError, match=words):
        ab.to_nir(conversion, tmp_path / "net.nir", as_graph=True, input_as="currents")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"written_for": "nest"}, "written_for must be one of definition"),
        ({"on_loss": "hide"}, "on_loss must be one of refuse, nearest"),
        ({"input_as": "spikes"}, "input_as must be one of standardised"),
        ({"dt": 0.0}, "dt must be above 0"),
        ({"written_for": "norse", "as_graph": True}, "norse reads no such graphs"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(told, words, tmp_path):
    """Each with the choices there are."""
    conversion = EXACT["noise, one step"]()
    with pytest.raises(ValueError, match=words):
        ab.to_nir(conversion, tmp_path / "net.nir", **told)
    with pytest.raises(TypeError, match="SpikingNetwork"):
        ab.to_nir(conversion.spiking, tmp_path / "net.nir")
    network = ab.load_network(ab.trained("digits-lif"))
    again = ab.convert(network, ab.NirOptions(n_steps=2))
    with pytest.raises(ValueError, match=r"'nir' does not say.*is written itself"):
        ab.to_nir(again, tmp_path / "net.nir")
    with pytest.raises(ValueError, match="has no neurons; convert it first"):
        ab.to_nir(pooled_network(), tmp_path / "net.nir")


@pytest.mark.parametrize("tool", [None, *TOOLS])
def test_the_nir_package_reads_what_is_written(tool, tmp_path):
    """Where it is installed: with its check of all shapes."""
    nir = pytest.importorskip("nir")
    conversion = shipped("digits-albsnn", ab.AlbsnnOptions(n_steps=3))
    export = ab.to_nir(conversion, tmp_path / "net.nir", tool, on_loss="nearest")
    if tool != "sinabs":  # of fields of one entry, which nir 1.0.8 takes for a shape
        assert set(nir.read(export.path).nodes) == set(read(export.path).nodes)
