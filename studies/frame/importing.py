"""Networks of other frameworks as weight files: what a study's ``--network`` names, and its flags.

A file is imported whenever a study names it. The weight file that it becomes stands in the cache,
named by its content, and is then read like any other: importing it first, with
``studies/import_network.py``, gives the same numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ann2brian.models.importing.formats import network_format
from ann2brian.models.networks import weight_files
from ann2brian.models.networks.file_formats import recognised
from ann2brian.models.networks.image_sets import ImageSet
from ann2brian.models.networks.network import InputCoding, Network
from ann2brian.models.places import cache_folder
from numpy.typing import NDArray

HAS_NAMES = "has_class_names"  # in a weight file's info: whether anyone said what the classes are
COMMAND = "python studies/import_network.py"
_N_EXAMPLES = 512  # images from which a reader takes those that it compares
_INPUT = ("mean", "std", "pixel_scale", "maximum")
_MODULES = (".pt", ".pth")


@dataclass(frozen=True, kw_only=True)
class InputFlags:
    """How a network of another framework sees an image; None where the flag was not given.

    Parameters
    ----------
    mean, std : list of float or None
        One number, or one for each channel.
    pixel_scale, maximum : float or None
        What the largest pixel is before mean and std, and the largest value of an image.
    written_by : str or None
        Program that wrote a NIR file.
    """

    mean: list[float] | None = None
    std: list[float] | None = None
    pixel_scale: float | None = None
    maximum: float | None = None
    written_by: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> InputFlags:
        """Those of the command line; of several writers the first."""
        written_by, *_ = getattr(arguments, "written_by", None) or [None]
        return cls(**{name: getattr(arguments, name) for name in _INPUT}, written_by=written_by)

    @property
    def given(self) -> dict[str, Any]:
        """Keywords for a reader."""
        found = {name: getattr(self, name) for name in _INPUT}
        return {name: value for name, value in found.items() if value is not None}


def add_input_flags(flags: argparse._ActionsContainer) -> None:
    """How a network of another framework sees an image."""
    how = "of the standardisation x = (image / maximum * pixel scale - mean) / std"
    flags.add_argument(
        "--mean", type=float, nargs="+", help=f"{how}: a number, or one a channel (default: 0)"
    )
    flags.add_argument(
        "--std", type=float, nargs="+", help=f"{how}: a number, or one a channel (default: 1)"
    )
    flags.add_argument(
        "--pixel-scale",
        type=float,
        help="largest pixel before mean and std: 1 after torchvision's ToTensor, 255 for pixels "
        "as they are (default: 1)",
    )
    flags.add_argument(
        "--maximum", type=float, help="largest value of an image (default: from the images)"
    )


def takes_input_flags(names: Sequence[str]) -> bool:
    """Whether a study can have these flags beside options of these names."""
    return not set(_INPUT) & set(names)


def noted(read: Callable[[], Network]) -> tuple[Network, list[str]]:
    """A network, and what its reader warned of, each line once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network = read()
    said = [str(one.message) for one in caught if one.category is UserWarning]
    return network, list(dict.fromkeys(" ".join(text.split()) for text in said))


def read_file(path: Path, example: NDArray | None, **keywords: Any) -> Network:
    """Import an ``.onnx``, ``.keras``, ``.h5`` or ``.nir`` file; `keywords` are the reader's.

    Raises
    ------
    ValueError
        If it cannot be read, or differs from what the file computes; the message names the place.
    ImportError
        If a package is not installed; the message says which.
    """
    if _kind(path) == "nir":
        from ann2brian.models.importing.from_nir import from_nir

        return from_nir(path, **keywords)
    if _kind(path) == "onnx":
        from ann2brian.models.importing.from_onnx import from_onnx

        return from_onnx(path, example, **keywords)
    from ann2brian.models.importing.from_keras import from_keras

    return from_keras(path, example, **keywords)


def shown_coding(coding: InputCoding) -> str:
    """What a network sees of an image, in words."""
    gain, offset = (
        f"{array[0]:.4g}" if len(set(array)) == 1 else f"({', '.join(f'{x:.4g}' for x in array)})"
        for array in (coding.gain, coding.offset + 0.0)  # of -0 a plain 0
    )
    return f"image * {gain} + {offset}"


def _kind(path: Path) -> str:
    """Which reader reads a file."""
    if path.suffix.lower().partition(":")[0] == ".py":
        raise ValueError(
            f"{path}: is code that builds a module; import it first: {COMMAND} {path} --weights "
            "NET.pt --images SAMPLE.npz --out NET.safetensors"
        )
    content = recognised(path)
    if content == "torch" or (content is None and path.suffix.lower() in _MODULES):
        raise ValueError(
            f"{path}: holds weights and no module; import both with: {COMMAND} FILE.py:FUNCTION "
            f"--weights {path} --images SAMPLE.npz --out {path.stem}.safetensors"
        )
    return network_format(path)


def network_path(name: str, seen: InputFlags | None, refusal: str = "") -> Path:
    """Return the file of a network that a study names.

    Parameters
    ----------
    name : str
        Of a shipped network, or path of a weight file or of one to be imported.
    seen : InputFlags or None
        How an import sees images; None where a study has no flags for it.
    refusal : str
        What to do then, if not to import it beforehand.

    Raises
    ------
    ValueError
        If there is no such network, or files like this are not read; the message says what to do.
    """
    path = Path(name).expanduser()
    is_shipped = name in weight_files.trained_networks() or not (path.suffix or path.exists())
    if is_shipped or _kind(path) == "safetensors":
        if seen is not None and seen.given:
            flag = next(iter(seen.given)).replace("_", "-")
            raise ValueError(f"--{flag}: {name} knows how it sees an image; leave the flag out")
        return weight_files.trained(name) if is_shipped else path
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if seen is None:
        first = f"import it first: {COMMAND} {path} --out {path.stem}.safetensors"
        raise ValueError(f"{path}: {refusal or first}")
    return path


def weight_file(path: Path, images: ImageSet, maximum: int | None, seen: InputFlags | None) -> Path:
    """Return a network's weight file, made by an import if it is a file of another framework.

    Parameters
    ----------
    path : Path
        Of :func:`network_path`.
    images : ImageSet
        On which an import is compared with its framework.
    maximum : int or None
        Largest value that they can hold, if it is known.
    seen : InputFlags or None
        How an import sees them.

    Raises
    ------
    ValueError, ImportError
        See :func:`read_file`.
    """
    if seen is None or _kind(path) == "safetensors":
        return path
    keywords = {"name": path.stem} | seen.given
    if _kind(path) == "nir":
        own = [name for name in seen.given if name != "maximum"]
        if own:
            raise ValueError(
                f"--{own[0].replace('_', '-')}: {path} says what it sees; leave the flag out"
            )
        keywords["written_by"] = seen.written_by
    elif maximum is not None:
        keywords.setdefault("maximum", maximum)
    example = images.images[:_N_EXAMPLES]
    network, said = noted(lambda: read_file(path, example, **keywords))
    print(f"{path.name}: imported; sees {shown_coding(network.input)}")
    for line in said:
        print(f"{path.name}: {line.removeprefix(f'{path}: ')}")
    return _cached(network, {"imported_from": path.name, HAS_NAMES: False})


def _cached(network: Network, info: dict[str, Any]) -> Path:
    """Weight file in the cache, named by its content so that none is ever overwritten by others."""
    folder = cache_folder() / "imported"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        new = weight_files.save_network(network, Path(own) / "network.safetensors", info)
        key = hashlib.sha256(new.read_bytes()).hexdigest()[:16]
        return new.replace(folder / f"{network.name}-{key}.safetensors")
