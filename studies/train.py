"""Train a network with PyTorch and save it as a weight file.

    python studies/train.py --scheme amos --network fashion-relu

Each network has a recipe in ``studies/<scheme>/recipes.py``. A run keeps its state in
``results/train/<network>-seed<seed>/`` (see :mod:`studies.training.fitting`). The quoted test
accuracy is computed by `models.networks.network`, not by PyTorch.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

try:
    import torch
except ImportError as error:
    message = "training needs PyTorch; install it with: pip install torch==2.13.0"
    if __name__ == "__main__":
        sys.exit(message)
    raise ImportError(message) from error

from ann2brian.models import places
from ann2brian.models.networks import datasets
from ann2brian.models.networks.grids import on_grid, to_dyadic
from ann2brian.models.networks.network import Network, accuracy, input_coding
from ann2brian.models.networks.weight_files import TRAINED_FOLDER, save_network
from ann2brian.models.pytorch.from_torch import from_torch
from ann2brian.models.schemes import SCHEMES
from ann2brian.studies.catalogue import recipes
from ann2brian.studies.training.fitting import fit
from ann2brian.studies.training.recipe import Recipe

RESULTS = places.RESULTS / "train"
RECIPES = recipes()
THREADS = 2
QUICK_EPOCHS = 1
QUICK_IMAGES = 512


def train(
    name: str,
    recipe: Recipe,
    *,
    seed: int,
    data: str | Path | None,
    results: Path,
    out: Path,
    is_quick: bool = False,
    device: str = "cpu",
) -> Path:
    """Train one recipe, measure its test accuracy and save the network.

    Parameters
    ----------
    name : str
        Of the network, the weight file and the run folder.
    recipe : Recipe
        What to train.
    seed : int
        See `fit`.
    data : str or Path or None
        Data folder; see `datasets.load`.
    results : Path
        The run folder is made in here.
    out : Path
        Folder of the weight file.
    is_quick : bool
        Take a few images only.
    device : str
        See `fit`.

    Returns
    -------
    Path
        The weight file.

    Raises
    ------
    ValueError
        For missing data, a checkpoint of another run, a training that diverges, or a device that
        this machine or this PyTorch does not have.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "--device cuda: PyTorch finds no GPU; install a CUDA build of torch 2.13.0 on a "
            "machine that has one, or leave the flag out"
        )
    images, labels = datasets.load(recipe.dataset, "train", data)
    test_images, test_labels = datasets.load(recipe.dataset, "test", data)
    if is_quick:
        images, labels = images[:QUICK_IMAGES], labels[:QUICK_IMAGES]
        test_images, test_labels = test_images[:QUICK_IMAGES], test_labels[:QUICK_IMAGES]
    coding = input_coding(images, datasets.describe(recipe.dataset).maximum, recipe.is_dyadic)
    folder = results / run_name(name, seed, is_quick)
    module, companion = fit(recipe, images, labels, coding, seed, folder, device)
    network = from_torch(module, input=coding, classes=datasets.classes(recipe.dataset), name=name)
    if recipe.is_dyadic:
        network = on_grid(network) if recipe.binarisation else to_dyadic(network)
    network = recipe.as_network(network)
    score = accuracy(final_scores(network, test_images, recipe), test_labels)
    info = provenance(name, recipe, seed, is_quick, network, device)
    info |= {"test_accuracy": score, "n_test_images": len(test_labels), **companion.about()}
    path = save_network(network, out / f"{name}.safetensors", info)
    print(
        f"{name}: test accuracy {score:.2%} on {len(test_labels)} images, "
        f"{network.n_parameters} parameters, {path.stat().st_size / 1000:.0f} kB -> {path}"
    )
    return path


def final_scores(network: Network, images: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return what a network says after all of its time steps.

    Parameters
    ----------
    network : Network
        As trained.
    images : ndarray, shape (n, H, W, C)
        Test images.
    recipe : Recipe
        Says how many time steps it was trained for.

    Returns
    -------
    ndarray, shape (n, n_classes)
        Logits, or their mean over the steps.
    """
    if recipe.n_steps == 1:
        return network.forward(images)
    parts = (images[start : start + 128] for start in range(0, len(images), 128))
    scheme = SCHEMES[recipe.scheme]
    conversion = scheme.convert(network, scheme.options(n_steps=recipe.n_steps), None)
    return np.concatenate([scheme.reference(conversion, part).scores[:, -1] for part in parts])


def run_name(name: str, seed: int, is_quick: bool) -> str:
    """Return the name of a run folder.

    Parameters
    ----------
    name : str
        Network.
    seed : int
        Seed.
    is_quick : bool
        Quick runs have folders of their own.

    Returns
    -------
    str
        E.g. ``digits-relu-seed1``.
    """
    return f"{name}-seed{seed}" + ("-quick" if is_quick else "")


def provenance(
    name: str, recipe: Recipe, seed: int, is_quick: bool, network: Network, device: str = "cpu"
) -> dict[str, Any]:
    """Return what a weight file says about its origin, test accuracy aside.

    Parameters
    ----------
    name : str
        Network.
    recipe : Recipe
        As trained.
    seed : int
        Seed.
    is_quick : bool
        Whether only a few images were used.
    network : Network
        The result.
    device : str
        Where it was trained.

    Returns
    -------
    dict
        JSON values; no dates or paths, so that the same training gives the same file.
    """
    threads = torch.get_num_threads()
    command = (
        f"python studies/train.py --scheme {recipe.scheme} --network {name} "
        f"--epochs {recipe.epochs} --seed {seed}"
        + (f" --threads {threads}" if threads != THREADS else "")
        + (f" --device {device}" if device != "cpu" else "")
        + (" --quick" if is_quick else "")
    )
    return {
        "command": command,
        "scheme": recipe.scheme,
        "dataset": recipe.dataset,
        "epochs": recipe.epochs,
        "seed": seed,
        "n_parameters": network.n_parameters,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }


def main(argv: Sequence[str] | None = None) -> Path:
    """Train the network named on the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    Path
        The weight file.
    """
    schemes = sorted({recipe.scheme for recipe in RECIPES.values()})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheme", choices=schemes, default="amos", help="default: amos")
    parser.add_argument("--network", required=True, help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument(
        "--data", type=Path, help=f"folder with the data sets; default: ${datasets.SETTING}"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="checkpoints; default: results/train"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the weight file; default: models/trained, with --quick the run's folder",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_EPOCHS} epoch of {QUICK_IMAGES} images"
    )
    parser.add_argument(
        "--threads", type=int, default=THREADS, help=f"of PyTorch; default: {THREADS}"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="of PyTorch; default: cpu"
    )
    arguments = parser.parse_args(argv)

    names = [n for n, recipe in RECIPES.items() if recipe.scheme == arguments.scheme]
    if arguments.network not in names:
        parser.error(f"--scheme {arguments.scheme} has the networks {', '.join(names)}")
    for option in ("epochs", "threads"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            parser.error(f"--{option} must be at least 1, got {value}")
    if arguments.seed < 0:
        parser.error(f"--seed must be at least 0, got {arguments.seed}")

    recipe = RECIPES[arguments.network]
    epochs = arguments.epochs or (QUICK_EPOCHS if arguments.quick else recipe.epochs)
    quick_folder = arguments.results / run_name(arguments.network, arguments.seed, True)
    # Sums depend on the number of threads, so it is fixed for repeatable results.
    torch.set_num_threads(arguments.threads)
    return train(
        arguments.network,
        replace(recipe, epochs=epochs),
        seed=arguments.seed,
        data=arguments.data,
        results=arguments.results,
        out=arguments.out or (quick_folder if arguments.quick else TRAINED_FOLDER),
        is_quick=arguments.quick,
        device=arguments.device,
    )


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
