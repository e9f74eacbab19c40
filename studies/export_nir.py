"""Write a network as a NIR file that another program runs, and measure what is lost.

    python studies/export_nir.py --network digits-albsnn --scheme albsnn --for snntorch
    python studies/export_nir.py --network digits-burst --scheme burst --as-graph --input currents
    python studies/export_nir.py --network net.onnx --scheme burst --gamma 1 --for norse
    python studies/export_nir.py --network net.nir --written-by sinabs --out again.nir

The network is converted by the scheme, the file is written and read again as the program reads it,
and run by a reference beside our neurons on the test images. A file whose spikes would not be ours
is refused, or with --on-loss nearest written.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
from collections.abc import Sequence
from typing import Any

from ann2brian.models.exporting.conversions import INPUTS
from ann2brian.models.exporting.nir import DT, ON_LOSS, NirExport, to_nir
from ann2brian.models.exporting.readers import READERS
from ann2brian.models.importing.from_nir import from_nir
from ann2brian.models.networks.datasets import DATASETS
from ann2brian.models.networks.dynamics import Neurons
from ann2brian.models.networks.weight_files import load_network
from ann2brian.models.schemes import SCHEMES
from ann2brian.studies.frame import console, flags, importing, network_under_test, study_images

EXPORTED = ("burst", "noise", "albsnn")
N_IMAGES = 64


def parser(scheme: str | None) -> argparse.ArgumentParser:
    """Flags of this command, with those of a scheme's options."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument(
        "--network",
        required=True,
        help="a shipped network, a .safetensors file, a file that is imported, or a .nir file, "
        "which is written back",
    )
    found.add_argument(
        "--scheme",
        choices=EXPORTED,
        help="by which it is converted; --help with a scheme lists the scheme's options",
    )
    found.add_argument(
        "--for",
        dest="written_for",
        choices=tuple(READERS),
        default="definition",
        help="program that will read the file (default: the definition of NIR)",
    )
    found.add_argument("--out", type=Path, help="file to write (default: NETWORK.nir here)")
    found.add_argument("--force", action="store_true", help="replace a file that exists")
    found.add_argument(
        "--on-loss",
        choices=ON_LOSS,
        default=ON_LOSS[0],
        help="what to do where the file would not have our spikes (default: refuse)",
    )
    found.add_argument(
        "--as-graph",
        action="store_true",
        help="write soft resets, bursts and pooling exactly, as recurrent graphs",
    )
    found.add_argument(
        "--input",
        choices=INPUTS,
        default=INPUTS[0],
        help="what the file's input is: the image, standardised or not, or the currents that it is "
        "to the first neurons (default: standardised)",
    )
    found.add_argument(
        "--dt", type=float, default=DT, help=f"length of a step in s, of the definition ({DT:g})"
    )
    found.add_argument(
        "--written-by", help="program that wrote a .nir file (default: the definition of NIR)"
    )
    found.add_argument(
        "--dataset",
        choices=tuple(DATASETS),
        default="digits",
        help="data set with the images (default: digits)",
    )
    found.add_argument(
        "--images",
        type=flags.images_asked,
        nargs="+",
        action=flags.TakeImages,
        metavar="N|FILE",
        help=f"test images on which the loss is measured (default: {N_IMAGES}), or own ones",
    )
    found.add_argument(
        "--calibration",
        type=flags.positive,
        default=flags.CALIBRATION,
        help=f"training images from which ranges are read (default: {flags.CALIBRATION})",
    )
    found.add_argument("--calibration-images", type=Path, help="file or folder with these")
    found.add_argument("--data", type=Path, help="folder with the data sets")
    found.set_defaults(own_images=None, images=N_IMAGES)
    if scheme is not None:
        kind = SCHEMES[scheme].options
        flags.add_option_flags(found, kind, sweeps=(), unused=(), by_network={})
    return found


def main(argv: Sequence[str] | None = None) -> Path:
    """Write the file named on the command line; returns it."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--scheme", choices=EXPORTED)
    scheme = first.parse_known_args(argv)[0].scheme
    arguments = parser(scheme).parse_args(argv)
    with console.refusals(), console.notes():
        export = _back(arguments) if _is_nir(arguments) else _converted(arguments)
    _print(export)
    return export.path


def _is_nir(arguments: argparse.Namespace) -> bool:
    return Path(arguments.network).suffix == ".nir"


def _back(arguments: argparse.Namespace) -> NirExport:
    """A NIR file read and written back."""
    if arguments.scheme is not None:
        raise ValueError(
            f"--scheme {arguments.scheme}: {arguments.network} has neurons of its own; leave it out"
        )
    _refuse_unused(arguments)
    path = Path(arguments.network)
    network, said = importing.noted(
        lambda: from_nir(path, written_by=arguments.written_by, dt=None)
    )
    for line in said:
        print(f"note: {line}")
    return to_nir(network, _free(arguments, f"{path.stem}-again"), _program(arguments))


def _as_it_is(arguments: argparse.Namespace, path: Path) -> NirExport:
    """A network that has neurons of its own."""
    is_trained = path.suffix == ".safetensors"
    network = load_network(path) if is_trained else None
    if network is None or not any(isinstance(layer, Neurons) for layer in network.layers):
        raise ValueError(f"--scheme: say by which scheme: {', '.join(EXPORTED)}")
    _refuse_unused(arguments)
    return to_nir(network, _free(arguments, network.name), _program(arguments))


def _refuse_unused(arguments: argparse.Namespace) -> None:
    """Flags that say how a conversion is written; neurons of a file are written as they are."""
    usual = parser(None).parse_args(["--network", arguments.network])
    for name in ("on_loss", "as_graph", "input", "dt", "images", "own_images"):
        if getattr(arguments, name) != getattr(usual, name):
            flag = name.removeprefix("own_").replace("_", "-")
            raise ValueError(
                f"--{flag}: {arguments.network} has neurons of its own, which are written as they "
                "are; leave it out"
            )


def _program(arguments: argparse.Namespace) -> str | None:
    """For which the neurons of a network must have been meant already."""
    return None if arguments.written_for == "definition" else str(arguments.written_for)


def _converted(arguments: argparse.Namespace) -> NirExport:
    """A trained network converted and written."""
    path = importing.network_path(arguments.network, importing.InputFlags())
    if arguments.scheme is None:
        return _as_it_is(arguments, path)
    source = study_images.load(
        arguments.dataset,
        own=arguments.own_images,
        n_images=arguments.images,
        has_fewer=True,
        own_calibration=arguments.calibration_images,
        n_calibration=arguments.calibration,
        seed=1,
        data=arguments.data,
    )
    subject = network_under_test.load(path, source, any_classes=True, seen=importing.InputFlags())
    scheme = SCHEMES[arguments.scheme]
    (options,) = flags.options_asked(scheme.options, arguments)
    calibration: Any = subject.calibration if scheme.reads_calibration else None
    conversion = scheme.convert(subject.network, options, calibration)
    return to_nir(
        conversion,
        _free(arguments, subject.network.name),
        arguments.written_for,
        on_loss=arguments.on_loss,
        as_graph=arguments.as_graph,
        input_as=arguments.input,
        dt=arguments.dt,
        images=subject.images,
    )


def _free(arguments: argparse.Namespace, name: str) -> Path:
    """The file to write, if it may be written."""
    out: Path = arguments.out or Path(f"{name}.nir")
    if out.exists() and not arguments.force:
        raise ValueError(f"--out {out}: there is such a file; --force replaces it")
    return out


def _print(export: NirExport) -> None:
    """What was written, how it is read, and what is lost."""
    rows: list[tuple[str, object]] = [
        ("written for", export.written_for),
        ("read with", export.call),
        ("input", export.input_as),
    ]
    rows += [("lost", loss) for loss in export.losses] or [("lost", "nothing")]
    loss = export.loss
    if loss is not None:
        for name, count in loss.spikes.items():
            rows.append((f"spikes of {name}", f"{loss.differing[name]:,} of {count:,} differ"))
        rows.append(("predictions", f"{loss.agreement:.2%} of {loss.n_images} images agree"))
    console.print_table(rows)
    print(f"NIR file: {export.path}")


if __name__ == "__main__":
    main()
