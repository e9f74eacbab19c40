"""The training loop: one recipe, from images to a trained PyTorch module.

A run keeps a checkpoint and CSV logs of its epochs in its folder and goes on from there after a
kill, on a processor with bitwise the same result.
"""

from __future__ import annotations

import csv
import io
import math
import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ann2brian.models.networks.network import InputCoding
from ann2brian.studies.training.recipe import Companion, Recipe

FUNCTIONS = ("build", "companion", "as_network")  # of a recipe; files name the recipe instead
from torch import nn
from tqdm import tqdm

FORMAT = 3  # of a checkpoint, and of the rules of the training; older ones are refused
RECALIBRATION_IMAGES = 10_000


def fit(
    recipe: Recipe,
    images: np.ndarray,
    labels: np.ndarray,
    coding: InputCoding,
    seed: int,
    folder: Path,
    device: str = "cpu",
) -> tuple[nn.Module, Companion]:
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
    Companion
        Of the recipe; its history and what it has to say of the training.

    Raises
    ------
    ValueError
        If the folder holds a checkpoint of another run; the message says what differs.
    """
    torch.manual_seed(seed)
    module = recipe.build().to(device)
    if recipe.is_channels_last:  # the first convolution takes the images along
        module = module.to(memory_format=torch.channels_last)
    optimiser = optimiser_of(module, recipe)
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    companion = recipe.companion(module, recipe)
    n_probe = min(companion.n_probe, len(images) // 4)
    held_out = len(images) - n_probe
    images, probe = images[:held_out], to_tensor(images[held_out:], coding).to(device)
    labels, probe_labels = labels[:held_out], torch.from_numpy(labels[held_out:]).to(device)
    # Builder and companion have no readable value; the module's text stands for it.
    run = {k: v for k, v in asdict(recipe).items() if k not in FUNCTIONS} | {
        "module": str(module),
        "format": FORMAT,
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
        companion.load_state_dict(state["companion"])
        log = state["log"]

    def sample(n: int) -> torch.Tensor:
        return to_tensor(images[:n], coding).to(device)

    n_steps = math.ceil(len(images) / recipe.batch)
    for epoch in range(len(log), recipe.epochs):
        companion.start_epoch(epoch, sample)
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
            companion.before_step()
            optimiser.step()
            companion.after_step()
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
        row |= companion.end_epoch(epoch, probe, probe_labels, loss_of)
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
                "companion": companion.state_dict(),
                "log": log,
            },
        )
    parts = range(0, min(len(images), RECALIBRATION_IMAGES), recipe.batch)
    companion.finish(to_tensor(images[i : i + recipe.batch], coding).to(device) for i in parts)
    return module.cpu().eval(), companion


def optimiser_of(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe, with weight decay on kernels only.

    Parameters
    ----------
    module : nn.Module
        To train.
    recipe : Recipe
        Says which optimiser; the learning rate is set step by step.

    Returns
    -------
    torch.optim.Optimizer
        Before the first step.
    """
    kernels = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    decay = recipe.weight_decay
    if recipe.momentum:
        return torch.optim.SGD(groups, momentum=recipe.momentum, weight_decay=decay, nesterov=True)
    return torch.optim.AdamW(groups, weight_decay=decay)


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


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write the log and the checkpoint, each in one step.

    Parameters
    ----------
    folder : Path
        Made if needed.
    state : dict
        ``run``, ``module``, ``optimiser``, ``companion`` and ``log``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    torch.save(state, packed)
    files = {"epochs.csv": as_csv(state["log"])}
    if state["companion"]["history"]:
        files["layers.csv"] = as_csv(state["companion"]["history"])
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
