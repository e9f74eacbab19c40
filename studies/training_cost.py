"""What one training step costs: noise training beside direct training and an analogue network.

    python studies/training_cost.py                        # the network of the digits
    python studies/training_cost.py --dataset fashion-mnist

The same network, batch and optimiser for all, in turns of a few batches each, one thread. Times
include standardisation and augmentation of the images, as in `studies.training.fitting`. The
published claim is 65 to 75 % less training time than "the two earlier routes" (abstract of arXiv
2211.05453, with no word on steps or networks); direct training with T steps should cost T times as
much.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # repository root first

import argparse
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

try:
    import torch
except ImportError as error:
    message = "training needs PyTorch; install it with: pip install torch==2.13.0"
    if __name__ == "__main__":
        sys.exit(message)
    raise ImportError(message) from error

from ann2brian.models.networks import datasets
from ann2brian.models.networks.network import input_coding
from ann2brian.models.places import RESULTS
from ann2brian.studies.benchmarks.published import TRAINING
from ann2brian.studies.catalogue import recipes
from ann2brian.studies.frame import console
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.provenance import provenance
from ann2brian.studies.frame.report import try_report
from ann2brian.studies.frame.result_folder import ResultFolder
from ann2brian.studies.training import fitting
from ann2brian.studies.training.methods import DATASETS, METHODS
from ann2brian.studies.training.recipe import Recipe
from torch import nn

BASIS = "direct, T = 4"
ROUNDS, QUICK_ROUNDS = 15, 4
BATCHES = 6  # of each method in a round


class Trainer:
    """One method's module and optimiser.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    images : ndarray, shape (n, H, W, C)
        Training images.
    labels : ndarray, shape (n,)
        Their classes.
    """

    def __init__(self, recipe: Recipe, images: np.ndarray, labels: np.ndarray) -> None:
        torch.manual_seed(0)
        self.recipe, self.images, self.labels = recipe, images, labels
        self.module = recipe.build().train()
        self.optimiser = torch.optim.AdamW(self.module.parameters(), lr=1e-3)
        maximum = datasets.describe(recipe.dataset).maximum
        self.coding = input_coding(images, maximum, recipe.is_dyadic)
        self.rng = np.random.default_rng(0)

    def seconds(self, n_batches: int) -> float:
        """Train for some batches; returns the time they took."""
        started = time.perf_counter()
        for _ in range(n_batches):
            chosen = self.rng.integers(0, len(self.images), self.recipe.batch)
            images = fitting.augment(self.images[chosen], self.recipe, self.rng)
            self.optimiser.zero_grad(set_to_none=True)
            logits = self.module(fitting.to_tensor(images, self.coding))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(self.labels[chosen]))
            loss.backward()
            self.optimiser.step()
            loss.item()
        return time.perf_counter() - started


def measure(dataset: str, n_rounds: int, data: Path | None) -> pd.DataFrame:
    """Time of every method in every round.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    n_rounds : int
        Rounds; in each every method trains for `BATCHES` batches.
    data : Path or None
        Data folder.

    Returns
    -------
    DataFrame
        round, method, n_steps, ms_per_image.
    """
    images, labels = datasets.load(dataset, "train", data)
    all_recipes = recipes()
    trainers = {
        name: Trainer(all_recipes[f"{DATASETS[dataset]}-{name}"], images, labels)
        for name in METHODS
    }
    for trainer in trainers.values():
        trainer.seconds(2)  # the first batches allocate
    rows = []
    for number in console.steps(range(n_rounds), "rounds"):
        turn = number % len(trainers)  # none is always the first
        for name, trainer in [*list(trainers.items())[turn:], *list(trainers.items())[:turn]]:
            seconds = trainer.seconds(BATCHES)
            rows.append(
                {
                    "round": number,
                    "method": METHODS[name],
                    "n_steps": trainer.recipe.n_steps,
                    "ms_per_image": 1e3 * seconds / (BATCHES * trainer.recipe.batch),
                }
            )
    return pd.DataFrame(rows)


def ratios(rounds: pd.DataFrame) -> pd.DataFrame:
    """Medians over rounds and ratios to direct training with 4 steps.

    Parameters
    ----------
    rounds : DataFrame
        As `measure` returns it.

    Returns
    -------
    DataFrame
        method, n_steps, ms_per_image, ratio, low, high: the ratio is the median of those of the
        rounds, and half of them lie between low and high.
    """
    basis = rounds[rounds["method"] == BASIS].set_index("round")["ms_per_image"]
    rows = []
    for method in METHODS.values():
        own = rounds[rounds["method"] == method]
        of_round = own.set_index("round")["ms_per_image"] / basis
        rows.append(
            {
                "method": method,
                "n_steps": int(own["n_steps"].iloc[0]),
                "ms_per_image": own["ms_per_image"].median(),
                "ratio": of_round.median(),
                "low": of_round.quantile(0.25),
                "high": of_round.quantile(0.75),
            }
        )
    return pd.DataFrame(rows)


def parser() -> argparse.ArgumentParser:
    """Flags of the measurement."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument(
        "--dataset", choices=tuple(DATASETS), default="digits", help="default: digits"
    )
    flags.add_argument("--data", type=Path, help="folder with the data sets")
    flags.add_argument("--out", type=Path, default=RESULTS, help="folder for result folders")
    flags.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    return flags


def main(argv: Sequence[str] | None = None) -> Path:
    """Measure, write a result folder and print the ratios."""
    arguments = parser().parse_args(argv)
    with console.refusals():
        torch.set_num_threads(1)
        n_rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
        config = {"scheme": "training", "dataset": arguments.dataset, "rounds": n_rounds}
        config |= {"quick": arguments.quick, "torch": torch.__version__, "threads": 1}

        def run(working: Path) -> None:
            rounds = measure(arguments.dataset, n_rounds, arguments.data)
            rounds.to_csv(working / "rounds.csv", index=False)
            ratios(rounds).to_csv(working / "metrics.csv", index=False)

        origin = provenance(0, "none")
        with ResultFolder(arguments.out / "training", arguments.dataset, config) as folder:
            done = folder.condition("run", run)
            result = folder.finish([done], origin, required=("method", "ratio"))
        figures = make_figures(result, TRAINING.figures)
        page = try_report(result, TRAINING.figures)
    table = pd.read_csv(result / "metrics.csv")
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3g}"))
    print(f"results: {result}\nfigures: {figures[0].parent if figures else 'none'}")
    print(f"report: {page or 'none'}")
    return result


if __name__ == "__main__":
    main()
