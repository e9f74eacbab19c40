"""Import a trained network from ONNX, Keras or PyTorch as a weight file that every study takes.

    python studies/import_network.py net.onnx --images sample.npz --mean .1307 --std .3081
    python studies/import_network.py net.keras --pixel-scale 255 --classes cat dog
    python studies/import_network.py mynet.py:build --weights net.pt --images sample.npz

The network is run beside its framework on sample images, layer by layer, and refused at the first
layer that differs. The images are raw: as the spiking network will get them, not standardised. For
PyTorch, FILE.py:FUNCTION is a function of yours without arguments that builds the module.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from ann2brian.models.importing.keras_oracle import NOT_COMPARED
from ann2brian.models.networks import own_images
from ann2brian.models.networks.image_sets import ImageSet, require_known_order, shortened
from ann2brian.models.networks.network import Network, accuracy
from ann2brian.models.networks.weight_files import save_network
from ann2brian.studies.frame import console
from ann2brian.studies.frame.importing import (
    HAS_NAMES,
    InputFlags,
    add_input_flags,
    noted,
    read_file,
    shown_coding,
)


def parser() -> argparse.ArgumentParser:
    """Flags of this command."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("network", help="an .onnx, .keras or .h5 file, or FILE.py:FUNCTION")
    flags.add_argument("--weights", type=Path, help="state dict of the module that FUNCTION builds")
    flags.add_argument(
        "--images",
        type=Path,
        help="raw sample images: an .npz with images (and labels, for the accuracy), an .npy or "
        "IDX file, a folder of class folders",
    )
    add_input_flags(flags)
    flags.add_argument(
        "--classes",
        nargs="+",
        help="names, in the order of the network's outputs (default: those of the images, else 0, "
        "1, ...)",
    )
    flags.add_argument("--name", help="of the network (default: that of the file)")
    flags.add_argument(
        "--out", type=Path, help="weight file to write (default: NAME.safetensors here)"
    )
    flags.add_argument("--force", action="store_true", help="replace a weight file that exists")
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Import the network named on the command line; returns the weight file."""
    arguments = parser().parse_args(argv)
    with console.refusals():
        return _import(arguments)


def _import(arguments: argparse.Namespace) -> Path:
    source, _, function = arguments.network.partition(".py:")
    path = Path(f"{source}.py" if function else source).expanduser()
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    name = arguments.name or (arguments.weights or path).stem
    out = _free(arguments.out or Path(f"{name}.safetensors"), arguments.force)
    sample = None if arguments.images is None else own_images.read(arguments.images)
    example = None if sample is None else sample.images
    keywords = InputFlags.of(arguments).given | {"name": name, "classes": arguments.classes}
    if function:
        if sample is None:
            raise ValueError(f"{arguments.network}: PyTorch modules need sample images: --images")
        network, said = noted(
            lambda: _from_module(path, function, arguments.weights, example, keywords)
        )
    elif arguments.weights is not None:
        raise ValueError(f"--weights: {path} has its weights inside; leave the flag out")
    elif path.suffix == ".py":
        raise ValueError(f"{path}: say which function builds the module: {path}:FUNCTION")
    else:
        network, said = noted(lambda: read_file(path, example, **keywords))
    if function and arguments.weights is None:
        said = [
            *said,
            f"the weights are those that {function}() gives; --weights FILE loads others",
        ]
    named = "--classes" if arguments.classes else ""
    if not named and sample is not None and sample.classes is not None:
        network, named = _named_as(network, sample), f"of {sample.name}"
    info: dict[str, Any] = {"imported_from": path.name, HAS_NAMES: bool(named)}
    info["sha256"] = hashlib.sha256((arguments.weights or path).read_bytes()).hexdigest()
    save_network(network, out, info)
    _print(network, sample, said, named or "numbers, since nobody names them")
    print(f"weight file: {out}")
    return out


def _named_as(network: Network, sample: ImageSet) -> Network:
    """The network with the class names of the sample images."""
    assert sample.classes is not None
    require_known_order(sample.name, sample.classes)
    n_classes = len(network.classes)
    if len(sample.classes) != n_classes:
        raise ValueError(
            f"--images {sample.name}: names {len(sample.classes)} classes, the network has "
            f"{n_classes}; give all names in the network's order: --classes"
        )
    return replace(network, classes=sample.classes)


def _free(out: Path, is_forced: bool) -> Path:
    """The file to write, if it may be written."""
    if out.suffix != ".safetensors":
        raise ValueError(f"--out {out}: a weight file is named *.safetensors")
    if out.exists() and not is_forced:
        raise ValueError(f"--out {out}: there is such a file; --force replaces it")
    return out


def _from_module(
    path: Path, function: str, weights: Path | None, example: Any, keywords: dict[str, Any]
) -> Network:
    """Build a module by the user's function, load its weights and import it."""
    from ann2brian.models.pytorch.checkpoint import load_weights  # both need PyTorch
    from ann2brian.models.pytorch.from_torch import from_torch

    module = _built(path, function)
    if not callable(getattr(module, "state_dict", None)):
        raise ValueError(f"{path}:{function}: returns no nn.Module but {type(module).__name__}")
    if weights is not None:
        load_weights(module, weights)
    return from_torch(module, example, **keywords)


def _built(path: Path, function: str) -> Any:
    """What a function of the user's file returns."""
    name = f"_{path.stem}"  # beside a module of this name that the file may import
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    own = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # for what stands beside it
    sys.modules[name] = own
    try:
        spec.loader.exec_module(own)
        return getattr(own, function)()
    except Exception as error:  # whatever the user's code raises
        raise ValueError(
            f"{path}:{function}: {type(error).__name__}: {' '.join(str(error).split())}; it must "
            "be a function without arguments that returns the module"
        ) from error
    finally:
        sys.path.remove(str(path.resolve().parent))


def _print(network: Network, sample: ImageSet | None, said: Sequence[str], named: str) -> None:
    """Print layers and parameters, what was compared, and what a reader should know."""
    shape = {layer.name: network.shapes[layer.name] for layer in network.layers}
    print(f"{network!r}\n")
    console.print_table(
        (layer.label, "x".join(map(str, shape[layer.name]))) for layer in network.layers
    )
    print()
    is_unchecked = any(NOT_COMPARED in line for line in said)
    rows: list[tuple[str, object]] = [
        ("input", network.input),
        ("the network sees", shown_coding(network.input)),
        ("parameters", f"{network.n_parameters:,}"),
        ("classes, in its order", f"{shortened(network.classes)}: {named}"),
        (
            "compared with the framework",
            "no" if is_unchecked else "every layer agrees, to rounding",
        ),
    ]
    if sample is not None and sample.labels is not None:
        images = network.check_images(sample.shaped(network.input.shape))
        labels = sample.labels_among(network.classes)
        rows.append(
            ("accuracy", f"{accuracy(network.forward(images), labels):.2%} of {len(labels)} images")
        )
    console.print_table(rows)
    for line in said:
        print(f"note: {line}")
    if sample is not None:
        largest = max(float(sample.images.max()), -float(sample.images.min()))
        if largest <= network.input.maximum / 2:
            print(
                f"note: the sample images reach {largest:g} of {network.input.maximum:g}; if "
                "others do not go beyond either, state it: --maximum"
            )


if __name__ == "__main__":
    main()
