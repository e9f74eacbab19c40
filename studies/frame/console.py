"""What a study says: refusals in one line, progress bars and printed tables."""

from __future__ import annotations

import _thread
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ann2brian.models.conversion.scheme import ConversionWarning
from tqdm import tqdm


class Refused(SystemExit):
    """Bad input: its message is printed, without a traceback, and the exit status is 2."""

    def __init__(self, message: object) -> None:
        print(f"error: {message}", file=sys.stderr)
        super().__init__(2)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn the errors that bad input raises, and Ctrl-C, into one printed line."""
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_repeat_interrupt, hook)
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        raise Refused(error) from error
    except KeyboardInterrupt:
        print("\nstopped; the same command continues where it can", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        sys.unraisablehook = hook


@contextmanager
def notes() -> Iterator[None]:
    """Print what conversions warn of, each line once."""
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=ConversionWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, ConversionWarning):
                others(message, category, *rest)
            elif str(message) not in said:
                said.add(str(message))
                print(f"note: {message}")

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _repeat_interrupt(hook: Callable[[Any], object], unraisable: Any) -> None:
    """Ctrl-C during the clean-up of an object, of which Brian2 has many, would have no effect."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(0.05, _thread.interrupt_main).start()
    else:
        hook(unraisable)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Progress bar over images, as `simulate` reports them."""
    with tqdm(total=total, desc=title, unit="image", leave=False) as bar:

        def update(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        yield update


def print_table(rows: Iterable[tuple[str, object]]) -> None:
    """Two aligned columns."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def steps(items: Sequence[Any], title: str) -> Iterator[Any]:
    """Go through long steps with a progress bar."""
    yield from tqdm(items, desc=title, leave=False)
