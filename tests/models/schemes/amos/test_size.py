"""Counting code against the published sizes of the authors' networks (A8)."""

import pytest
from ann2brian.models.schemes.amos.size import (
    AUTHORS_NEURONS,
    GateLayer,
    amos_size,
    cifar_resnet,
    efficientnet,
    gate_counts,
    imagenet_resnet50,
)


@pytest.fixture(scope="module")
def b7():
    return efficientnet(width=2.0, depth=3.1, resolution=600)


def test_efficientnet_b7_gates(b7):
    """Published: 259 366 992 SiLU gates. Derived in the method note: sigmoids and products."""
    assert gate_counts(b7) == {"silu": 259_366_992, "sigmoid": 70_240, "product": 122_898_720}


def test_efficientnet_b7_layers_by_type(b7):
    """Published (AMOS logs): 163 layers of SiLU, 55 of sigmoid, 55 of products."""
    kinds = [layer.gate for layer in b7]
    assert [kinds.count(gate) for gate in ("silu", "sigmoid", "product")] == [163, 55, 55]


def test_efficientnet_b7_with_exact_products(b7):
    """Published: 2396 sub-layers; derived from published counts: 3 112 965 824 neurons."""
    size = amos_size(b7, {**AUTHORS_NEURONS, "product": 0})
    assert (size.n_neurons, size.n_sublayers) == (3_112_965_824, 2396)


def test_efficientnet_b7_with_spiking_products(b7):
    """Published (a log with 4596 counts per image): 4596 sub-layers; 40 neurons per product."""
    size = amos_size(b7, AUTHORS_NEURONS)
    assert (size.n_neurons, size.n_sublayers) == (3_112_965_824 + 4_915_948_800, 4596)


def test_efficientnet_b0_is_the_unscaled_network():
    """B0 against its published table: 16 blocks, 112x112x32 stem, 7x7x1280 head."""
    b0 = efficientnet(width=1.0, depth=1.0, resolution=224)
    assert sum(layer.gate == "product" for layer in b0) == 16
    assert (b0[0].shape, b0[-1].shape) == ((112, 112, 32), (7, 7, 1280))


def test_efficientnet_b3_rounds_its_channels_up():
    """B3 (1.2, 1.4, 300): 16 channels become 24, as 16 would lose more than a tenth of 19.2.

    The known network: 26 blocks, 40 channels in the stem, 1536 in the head.
    """
    b3 = {layer.name: layer.shape for layer in efficientnet(width=1.2, depth=1.4, resolution=300)}
    assert b3["stage2_block1_expand"] == (150, 150, 6 * 24)
    assert sum(name.endswith("product") for name in b3) == 26
    assert (b3["stem"], b3["head"]) == ((150, 150, 40), (10, 10, 1536))


@pytest.mark.parametrize(
    ("n_layers", "n_gates"), [(8, 73_728), (14, 131_072), (20, 188_416), (50, 475_136)]
)
def test_cifar_resnets(n_layers, n_gates):
    """Gate counts of the method note, table 8.2; ten neurons per gate; 6n + 1 activations."""
    layers = cifar_resnet(n_layers)
    assert gate_counts(layers) == {"relu": n_gates}
    size = amos_size(layers, AUTHORS_NEURONS)
    assert (size.n_neurons, size.n_sublayers) == (10 * n_gates, 10 * (n_layers - 1))


def test_imagenet_resnet50():
    """Published: 9 608 704 gates; 49 layers of ReLU."""
    layers = imagenet_resnet50()
    assert gate_counts(layers) == {"relu": 9_608_704}
    assert amos_size(layers, AUTHORS_NEURONS).n_sublayers == 490


@pytest.mark.parametrize("n_layers", [2, 9, 21, -4])
def test_cifar_resnet_refuses_other_depths(n_layers):
    """A depth that is not 6n + 2 is refused by its number."""
    with pytest.raises(ValueError, match=f"got {n_layers}"):
        cifar_resnet(n_layers)


def test_missing_gate_type_is_named():
    """A type of gate without a number of neurons is refused by its name."""
    with pytest.raises(ValueError, match="product"):
        amos_size([GateLayer("p", "product", (1, 1, 1))], {"relu": 10})


def test_efficientnet_refuses_nonsense():
    """Negative multipliers are refused."""
    with pytest.raises(ValueError, match="above 0"):
        efficientnet(width=-1.0, depth=1.0, resolution=224)
