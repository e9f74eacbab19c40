"""Generated tables, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from ann2brian.models.conversion.options import Options, options_of
from ann2brian.models.networks.weight_files import load_info, trained_networks


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of sequence of str
        Cells, row by row.

    Returns
    -------
    str
        Lines of equal numbers of cells.
    """
    first, *others = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *others])


def checks_table(checks: pd.DataFrame) -> str:
    """What must hold, and what was found."""
    rows = (
        [row.check, row.what, f"{row.at_least:g}", f"{row.found:.3g}"]
        for row in checks.itertuples()
    )
    return markdown(["check", "what", "at least", "found"], rows)


def accuracies(by_step: pd.DataFrame, steps: Sequence[int]) -> list[str]:
    """Accuracy after each of some steps, nothing where there is none."""
    return [f"{by_step.accuracy[t]:.2%}" if t in by_step.index else "" for t in steps]


def options_table(kind: type[Options], unused: Sequence[str] = ()) -> str:
    """Options of a scheme as they are declared; `unused` ones have no flag in its study."""
    rows = []
    for option in options_of(kind):
        default = f"`{option.default}`" if option.default is not None else option.usual
        flag = "none" if option.name in unused else f"`--{option.flag}`"
        rows.append([f"`{option.name}`", flag, default, option.range, option.help])
    return markdown(["option", "flag", "default", "range", "what it is"], rows)


def networks_table() -> str:
    """Shipped networks, what they were trained for and their accuracy, from the weight files."""
    rows = []
    for name, path in trained_networks().items():
        info = load_info(path)
        rows.append(
            [
                f"`{name}`",
                info["scheme"],
                info["dataset"],
                f"{info['n_parameters']:,}",
                f"{info['test_accuracy']:.2%}",
                f"{path.stat().st_size / 1000:,.0f} kB",
            ]
        )
    head = ["network", "trained for", "data", "parameters", "test accuracy", "file"]
    return markdown(head, rows)
