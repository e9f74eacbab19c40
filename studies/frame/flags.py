"""Flags of a study: those that every study has, and those that a scheme's options declare."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ann2brian.models.conversion.as_trained import as_trained
from ann2brian.models.conversion.options import Option, Options, options_of
from ann2brian.models.networks.datasets import DATASETS
from ann2brian.models.networks.network import Network
from ann2brian.models.places import RESULTS

CALIBRATION = 512  # training images
QUICK_IMAGES, QUICK_CALIBRATION = 50, 100


def positive(text: str, smallest: int = 1) -> int:
    """Whole number of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = smallest - 1
    if value < smallest:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {smallest}")
    return value


def natural(text: str) -> int:
    """Whole number of at least 0, for argparse."""
    return positive(text, smallest=0)


def images_asked(text: str) -> int | Path:
    """Number of images or a file with images, for argparse; a file named 5 is ``./5``."""
    return positive(text) if text.lstrip("+-").isdecimal() else Path(text).expanduser()


class TakeSpikes(argparse.Action):
    """``--spikes``: a number, a file, or both, as `spikes` and `own_spikes`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Tell the two apart by their types."""
        for value in values:
            setattr(namespace, "spikes" if isinstance(value, int) else "own_spikes", value)


class TakeImages(argparse.Action):
    """``--images``: a number, a file or folder, or both, as `images` and `own_images`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Tell the two apart by their types."""
        numbers = [value for value in values if isinstance(value, int)]
        paths = [value for value in values if isinstance(value, Path)]
        if len(numbers) > 1 or len(paths) > 1:
            raise argparse.ArgumentError(
                self, "takes a number of images, a file or folder with images, or one of each"
            )
        namespace.images = numbers[0] if numbers else None
        namespace.own_images = paths[0] if paths else None


def add_result_flags(flags: argparse._ActionsContainer) -> None:
    """Where data are and results go, whether they are made anew, and whether the run is small."""
    flags.add_argument(
        "--data", type=Path, help="folder with the data sets (default: ANN2BRIAN_DATA, or download)"
    )
    flags.add_argument(
        "--out",
        type=Path,
        default=RESULTS,
        help="folder for result folders (default: results in the repository)",
    )
    flags.add_argument(
        "--quick", action="store_true", help="a small run that proves the installation works"
    )
    flags.add_argument(
        "--rerun",
        action="store_true",
        help="begin from nothing: remove this result, and what a stopped run has finished of it",
    )


def add_subject_flags(
    flags: argparse.ArgumentParser,
    networks: Mapping[str, str],
    *,
    takes_several: bool,
    reads_calibration: bool,
    imports: bool,
) -> None:
    """Flags that choose networks and images; `networks` names each data set's default network."""
    first = next(iter(networks))
    flags.set_defaults(own_images=None, calibration_images=None)
    flags.add_argument(
        "--dataset",
        choices=tuple(DATASETS),
        help=f"data set with the test images (default: {first}); own ones: --images",
    )
    flags.add_argument(
        "--network",
        nargs="+" if takes_several else None,
        help="a shipped network, "
        + (
            "a .safetensors file, or an .onnx, .keras, .h5 or .nir file, which is imported"
            if imports
            else "or a .safetensors file"
        )
        + " (default: by data set)"
        + ("; several are compared" if takes_several else ""),
    )
    flags.add_argument(
        "--any-classes",
        action="store_true",
        help="take labels by number where the classes of network and images have other names",
    )
    if reads_calibration:
        flags.add_argument(
            "--calibration",
            type=positive,
            default=CALIBRATION,
            help=f"training images from which ranges are read (default: {CALIBRATION})",
        )
        flags.add_argument(
            "--calibration-images",
            type=Path,
            help="file or folder with these training images (default: those of the data set)",
        )


def add_run_flags(
    flags: argparse.ArgumentParser, n_spikes: int, *, takes_sequences: bool = False
) -> None:
    """Flags of the simulation; `n_spikes` images have their spike trains analysed by default.

    With `takes_sequences`, ``--spikes`` may also name a file whose spikes are presented.
    """
    run = add_simulation_flags(flags)
    run.add_argument(
        "--pipelined",
        action="store_true",
        help="let a new image enter as soon as the first layer is free",
    )
    result = flags.add_argument_group("data and results")
    add_result_flags(result)
    about = f"images whose spike trains are analysed (default: {n_spikes}); of the last "
    about += "condition they are kept"
    flags.set_defaults(own_spikes=None)
    if takes_sequences:
        result.add_argument(
            "--spikes",
            type=images_asked,
            nargs="+",
            action=TakeSpikes,
            default=n_spikes,
            metavar="N|FILE",
            help=f"a file with what enters in each step: an .npz with an array spikes, (n, "
            f"n_steps, ...), or with events; or how many {about}; or both",
        )
    else:
        result.add_argument("--spikes", type=positive, default=n_spikes, help=about)


def add_simulation_flags(flags: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Flags of any simulation: what is presented, by whom and with which seed."""
    run = flags.add_argument_group("simulation")
    run.add_argument(
        "--images",
        type=images_asked,
        nargs="+",
        action=TakeImages,
        metavar="N|FILE",
        help="test images to present: how many (default: all), or own ones: an .npz with images "
        "and labels, an IDX file, a folder of class folders; or both",
    )
    run.add_argument(
        "--batch", type=positive, help="images side by side (default: what fits the cache)"
    )
    run.add_argument(
        "--jobs", type=positive, default=1, help="processes that share the images (default: 1)"
    )
    run.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="Dask scheduler whose workers do the work, on this machine or others "
        "(docs/many-machines.md)",
    )
    run.add_argument(
        "--target",
        choices=("cpp_standalone", "cython", "numpy"),
        default="cpp_standalone",
        help="how Brian2 runs the model (default: cpp_standalone)",
    )
    run.add_argument(
        "--seed", type=natural, default=1, help="seed of every random choice (default: 1)"
    )
    return run


def add_option_flags(
    flags: argparse.ArgumentParser,
    kind: type[Options],
    *,
    sweeps: Sequence[str],
    unused: Sequence[str],
    by_network: Mapping[str, str],
) -> None:
    """One flag for each option of a scheme.

    Parameters
    ----------
    flags : ArgumentParser
        Of the study.
    kind : type of Options
        The scheme's.
    sweeps : sequence of str
        Options that take several values.
    unused : sequence of str
        Options without a flag.
    by_network : mapping of str to str
        Options whose default depends on the network, and what it is, for the help; without the
        flag they are None.
    """
    title = "conversion; several values of a flag make a sweep" if sweeps else "conversion"
    group = flags.add_argument_group(title)
    for option in options_of(kind):
        if option.name in unused:
            continue
        shown = by_network.get(option.name, option.usual)
        about = f"{option.help.rstrip('.')} (default: {shown})".replace("%", "%%")
        if option.kind is bool:
            about = option.help.rstrip(".").replace("%", "%%")
            group.add_argument(f"--{option.flag}", action="store_true", help=about)
            continue
        default = None if option.name in by_network else option.default
        more: dict[str, Any] = {"nargs": "+"} if option.name in sweeps else {}
        if option.choices:
            more["choices"] = option.choices
        else:
            more["type"] = partial(_value, option)
        group.add_argument(
            f"--{option.flag}",
            default=[default] if option.name in sweeps else default,
            help=about,
            **more,
        )


def _value(option: Option, text: str) -> Any:
    """Value of an option in its range, for argparse, which puts the flag before the message."""
    try:
        value = option.kind(text)
    except ValueError:
        value = text
    try:
        option.check(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value


def place_of(option: Option) -> str:
    """Name of an option's value among the parsed flags, and in the configuration of a result."""
    return option.flag.replace("-", "_")


def options_asked(kind: type[Options], arguments: argparse.Namespace) -> list[Any]:
    """Options of a scheme as the flags have them: the product of all sweeps, in their order."""
    values: dict[str, list[Any]] = {}
    for option in options_of(kind):
        value = getattr(arguments, place_of(option), None)
        if value not in (None, [None]):
            values[option.name] = value if isinstance(value, list) else [value]
    return [
        kind(**dict(zip(values, chosen, strict=True)))
        for chosen in itertools.product(*values.values())
    ]


def tell_as_trained(
    arguments: argparse.Namespace, kind: type[Options], networks: Sequence[Network]
) -> None:
    """Put into the flags, in place, what is left to the networks and is the same in all of them."""
    told = [as_trained(kind(), network) for network in networks]
    for option in options_of(kind):
        values = {getattr(options, option.name) for options in told}
        place = place_of(option)
        is_left = getattr(arguments, place, 0) in (None, [None])
        if option.otherwise is not None and is_left and len(values) == 1:
            is_sweep = isinstance(getattr(arguments, place), list)
            setattr(arguments, place, [*values] if is_sweep else values.pop())


def reduce(arguments: argparse.Namespace, most: Mapping[str, int]) -> None:
    """Make a run small, in place: few images, and no flag above its bound in `most`."""
    arguments.images = min(arguments.images or QUICK_IMAGES, QUICK_IMAGES)
    for name, bound in {"calibration": QUICK_CALIBRATION, **most}.items():
        value = getattr(arguments, name, None)
        if isinstance(value, list):
            setattr(arguments, name, [v if v is None else min(v, bound) for v in value])
        elif value is not None:
            setattr(arguments, name, min(value, bound))


def n_calibration(arguments: argparse.Namespace) -> int:
    """Training images for calibration, also where a study has no flag for them."""
    default = QUICK_CALIBRATION if arguments.quick else CALIBRATION
    return getattr(arguments, "calibration", default)


AddFlags = Callable[[argparse.ArgumentParser], None]
