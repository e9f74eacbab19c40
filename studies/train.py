"""Train a network with PyTorch and save it as a weight file.

    python studies/train.py --scheme amos --network fashion-relu

Each recipe is one entry of `studies.recipes.RECIPES`. A run keeps a checkpoint and a CSV log of
its epochs in ``results/train/<network>-seed<seed>/`` and goes on from there after a kill, with
bitwise the same result. The quoted test accuracy is computed by `models.network`, not by PyTorch.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse
import csv
import io
import math
import os
import platform
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from tqdm import tqdm

try:
    import torch
    from torch import nn
except ImportError as error:
    message = "training needs PyTorch; install it with: pip install torch==2.13.0"
    if __name__ == "__main__":
        sys.exit(message)
    raise ImportError(message) from error

from models import albsnn, albsnn_reference, noise, noise_reference
from models.albsnn import ESTIMATES, AlbsnnOptions
from models.binarisation import Binarisation, Binariser, recalibrate
from models.dyadic import power_of_two_at_least, round_to
from models.from_torch import from_torch
from models.layers import Conv2D, Dense, Layer, Spike
from models.network import InputCoding, Network, accuracy
from models.noise import NOISE_STEP, NoiseOptions
from models.storage import TRAINED_FOLDER, save_network
from models.torch_layers import estimate_noise
from studies import datasets
from studies.recipes import RECIPES, Recipe

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "train"
THREADS = 2
KERNEL_BITS = 15
ESTIMATE_STEPS, ESTIMATE_IMAGES = 8, 512
RECALIBRATION_IMAGES = 10_000
QUICK_EPOCHS = 1
QUICK_IMAGES = 512


def input_coding(images: np.ndarray, maximum: int, is_dyadic: bool = False) -> InputCoding:
    """Return the coding that gives the training images mean 0 and variance 1 in each channel.

    Parameters
    ----------
    images : ndarray, shape (n, H, W, C)
        Training images.
    maximum : int
        Largest pixel value the data set can hold.
    is_dyadic : bool
        Round the gain to a power of two and the mean to a whole number.

    Returns
    -------
    InputCoding
        For unsigned images.
    """
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    std = images.std(axis=(0, 1, 2), dtype=np.float64)
    gain, offset = 1.0 / std, -mean / std
    if is_dyadic:
        gain = np.exp2(np.round(np.log2(gain)))
        offset = -np.round(mean) * gain
    rows, columns, channels = images.shape[1:]
    return InputCoding((rows, columns, channels), maximum, gain=gain, offset=offset)


def to_dyadic(network: Network) -> Network:
    """Return the network without batch normalisation and with kernels and biases on a grid.

    Parameters
    ----------
    network : Network
        As trained.

    Returns
    -------
    Network
        In each layer, kernel and bias are multiples of one power of two, `KERNEL_BITS` bits below
        the one that holds the largest weight; so are mean and deviation of noise.

    Raises
    ------
    ValueError
        See `Network.fold_batch_norm`.
    """
    layers: list[Layer] = []
    for layer in network.fold_batch_norm().layers:
        if isinstance(layer, Conv2D | Dense):
            step = power_of_two_at_least(np.abs(layer.kernel).max()) / 2**KERNEL_BITS
            layer = replace(
                layer, kernel=round_to(layer.kernel, step), bias=round_to(layer.bias, step)
            )
        elif isinstance(layer, Spike):
            layer = replace(
                layer,
                mean=float(round_to(layer.mean, NOISE_STEP)),
                sigma=float(round_to(layer.sigma, NOISE_STEP)),
            )
        layers.append(layer)
    return replace(network, layers=tuple(layers))


def augment(images: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Shift and mirror images at random; what comes in at the border is 0 (background).

    Parameters
    ----------
    images : ndarray, shape (n, H, W, C)
        Pixels.
    recipe : Recipe
        Says how much.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    ndarray, shape (n, H, W, C)
        Same dtype.
    """
    n, height, width = images.shape[:3]
    pad = recipe.max_shift
    shifts = rng.integers(0, 2 * pad + 1, size=(2, n, 1))
    rows = np.arange(height) + shifts[0]
    columns = np.arange(width) + shifts[1]
    if recipe.is_flipped:
        is_mirrored = rng.random(n) < 0.5
        columns[is_mirrored] = columns[is_mirrored, ::-1]
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def one_cycle(progress: float) -> float:
    """Learning rate relative to its peak: a linear rise, then half a cosine down to 0.

    Parameters
    ----------
    progress : float
        Fraction of all steps that are done, from 0 to 1.

    Returns
    -------
    float
        From 0 to 1.
    """
    rise = 0.2
    if progress < rise:
        return 0.05 + 0.95 * progress / rise
    return 0.5 * (1.0 + math.cos(math.pi * (progress - rise) / (1.0 - rise)))


def epoch_rng(seed: int, epoch: int) -> np.random.Generator:
    """Return the random stream of one epoch; a run that resumes there draws the same numbers.

    Parameters
    ----------
    seed, epoch : int
        Of the run, and counted from 0.

    Returns
    -------
    numpy.random.Generator
        Independent between epochs.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(b"epoch"), epoch]))


def to_tensor(images: np.ndarray, coding: InputCoding) -> torch.Tensor:
    """Return standardised images as PyTorch wants them.

    Parameters
    ----------
    images : ndarray, shape (n, H, W, C)
        Pixels.
    coding : InputCoding
        Standardisation.

    Returns
    -------
    Tensor, shape (n, C, H, W)
        float32.
    """
    x = coding.standardise(images).astype(np.float32).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(x))


def fit(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    coding: InputCoding,
    seed: int,
    folder: Path,
    device: str = "cpu",
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train, or go on where an earlier run into the same folder stopped.

    Parameters
    ----------
    recipe : Recipe
        What to train and for how long.
    images : ndarray, shape (n, H, W, C)
        Training images.
    labels : ndarray, shape (n,)
        Class indices.
    coding : InputCoding
        Standardisation.
    seed : int
        Initial weights, order of the images and augmentation.
    folder : Path
        Holds ``checkpoint.pt``, ``epochs.csv`` and, for networks that can be binary,
        ``layers.csv``.
    device : str
        Where PyTorch computes: ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    nn.Module
        The trained module in evaluation mode, on the CPU.
    list of dict
        Estimates and choice of binary layers; see `Binariser`.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of another run; the message says what differs.
    """
    torch.manual_seed(seed)
    module = recipe.build().to(device)
    kernels = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": kernels}, {"params": others, "weight_decay": 0.0}],
        weight_decay=recipe.weight_decay,
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    options = recipe.binarisation or Binarisation(variant="none", n_probe=1)
    binariser = Binariser(module, options, recipe.epochs)
    if binariser.layers:
        n_probe = min(options.n_probe, len(images) // 4)
        images, probe = images[:-n_probe], to_tensor(images[-n_probe:], coding).to(device)
        labels, probe_labels = labels[:-n_probe], labels[-n_probe:]
    # The builder has no readable value; the module's text stands for it.
    run = {k: v for k, v in asdict(recipe).items() if k != "build"} | {
        "module": str(module),
        "seed": seed,
        "threads": torch.get_num_threads(),
        "device": device,
        "data": zlib.crc32(labels.tobytes(), zlib.crc32(images.tobytes())),
    }
    checkpoint = folder / "checkpoint.pt"
    log: list[dict[str, float]] = []
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        differing = [k for k in run if state["run"].get(k) != run[k]]
        if differing:
            raise ValueError(
                f"{checkpoint}: belongs to another run, which differs in {', '.join(differing)}; "
                "delete that folder or choose another one with --results"
            )
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        binariser.load_state_dict(state["binariser"])
        log = state["log"]

    n_steps = math.ceil(len(images) / recipe.batch)
    for epoch in range(len(log), recipe.epochs):
        if recipe.estimate_every and epoch and epoch % recipe.estimate_every == 0:
            sample = to_tensor(images[:ESTIMATE_IMAGES], coding).to(device)
            estimate_noise(module, sample, ESTIMATE_STEPS)
        binariser.start_epoch(epoch)
        module.train()
        rng = epoch_rng(seed, epoch)
        torch.manual_seed(int(rng.integers(2**62)))  # for modules that draw numbers themselves
        order = rng.permutation(len(images))
        total_loss, n_right = 0.0, 0
        progress = tqdm(range(n_steps), desc=f"epoch {epoch + 1}/{recipe.epochs}", leave=False)
        for step in progress:
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            x = to_tensor(augment(images[chosen], recipe, rng), coding).to(device)
            y = torch.from_numpy(labels[chosen]).to(device)
            rate = recipe.learning_rate * one_cycle((epoch + step / n_steps) / recipe.epochs)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, enabled=recipe.is_short):
                logits = module(x)
            loss = loss_of(logits.float(), y)
            loss.backward()
            binariser.before_step()
            optimiser.step()
            binariser.after_step()
            total_loss += loss.item() * len(chosen)
            n_right += int((logits.argmax(1) == y).sum())
        row = {
            "epoch": epoch + 1,
            "learning_rate": rate,
            "train_loss": total_loss / len(images),
            "train_accuracy": n_right / len(images),
        }
        if not math.isfinite(row["train_loss"]):
            raise ValueError(
                f"{folder.name}: the loss is {row['train_loss']} in epoch {epoch + 1}; "
                "lower the recipe's learning_rate"
            )
        if binariser.layers:
            binariser.end_epoch(epoch, probe, torch.from_numpy(probe_labels).to(device), loss_of)
        log.append(row)
        tqdm.write(
            f"epoch {epoch + 1:3d}/{recipe.epochs}  loss {row['train_loss']:.4f}  "
            f"training accuracy {row['train_accuracy']:.2%}"
        )
        save_checkpoint(
            folder,
            {
                "run": run,
                "module": module.state_dict(),
                "optimiser": optimiser.state_dict(),
                "binariser": binariser.state_dict(),
                "log": log,
            },
        )
    if binariser.layers:
        parts = range(0, min(len(images), RECALIBRATION_IMAGES), recipe.batch)
        recalibrate(
            module, (to_tensor(images[i : i + recipe.batch], coding).to(device) for i in parts)
        )
    return module.cpu().eval(), binariser.history


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write the log and the checkpoint, each in one step.

    Parameters
    ----------
    folder : Path
        Made if needed.
    state : dict
        ``run``, ``module``, ``optimiser``, ``binariser`` and ``log``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    torch.save(state, packed)
    files = {"epochs.csv": as_csv(state["log"])}
    if state["binariser"]["history"]:
        files["layers.csv"] = as_csv(state["binariser"]["history"])
    files["checkpoint.pt"] = packed.getvalue()  # last: after a kill the tables come from it
    for file, content in files.items():
        part = folder / f".{file}.{os.getpid()}.part"
        part.write_bytes(content)
        part.replace(folder / file)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """Return a table, as the bytes of a CSV file.

    Parameters
    ----------
    rows : list of dict
        With equal keys.

    Returns
    -------
    bytes
        With a header.
    """
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue().encode()


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
    module, history = fit(recipe, images, labels, coding, seed, folder, device)
    network = from_torch(module, coding, datasets.classes(recipe.dataset), name)
    if recipe.is_dyadic:
        network = albsnn.on_grid(network) if recipe.binarisation else to_dyadic(network)
    score = accuracy(final_scores(network, test_images, recipe), test_labels)
    info = provenance(name, recipe, seed, is_quick, network, device) | {
        "test_accuracy": score,
        "n_test_images": len(test_labels),
    }
    if history:
        info["layers"] = by_layer(history)
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
        Logits, or their sum over the steps.
    """
    if recipe.n_steps == 1:
        return network.forward(images)
    parts = (images[start : start + 128] for start in range(0, len(images), 128))
    if recipe.binarisation:
        locally = albsnn.convert(network, AlbsnnOptions(n_steps=recipe.n_steps))
        runs = (albsnn_reference.run(locally, part).scores for part in parts)
        return np.concatenate([locally.logits(scores)[:, -1] for scores in runs])
    direct = noise.convert(network, NoiseOptions(n_steps=recipe.n_steps))
    return np.concatenate([noise_reference.run(direct, part).scores[:, -1] for part in parts])


def by_layer(history: list[dict[str, Any]]) -> dict[str, dict[str, list[float | None]]]:
    """Return the history of the choice of binary layers in the form in which a weight file has it.

    Parameters
    ----------
    history : list of dict
        As `Binariser` keeps it.

    Returns
    -------
    dict of str to dict
        By layer: lists with one entry an epoch, of the estimates (five digits, None for NaN) and
        of ``is_binary``.
    """
    found: dict[str, dict[str, list[float | None]]] = {}
    for row in history:
        of_layer = found.setdefault(row["layer"], {})
        of_layer.setdefault("is_binary", []).append(row["is_binary"])
        for name in ESTIMATES:
            value = None if math.isnan(row[name]) else float(f"{row[name]:.5g}")
            of_layer.setdefault(name, []).append(value)
    return found


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
