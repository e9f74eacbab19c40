"""Processes that share the parts of a piece of work: the images of a run, say."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

_forked: Callable[[Any], Any] | None = None  # inherited by workers; Brian2 cannot pickle
_is_worker = False


def require_jobs(jobs: int) -> None:
    """Raise a ValueError if this process may not start others."""
    if jobs > 1 and multiprocessing.current_process().daemon:
        raise ValueError(
            f"jobs must be 1 inside a daemonic process, which may start no others, got {jobs}; "
            "concurrent.futures.ProcessPoolExecutor has workers that may"
        )


def in_processes(run: Callable[[Item], Found], parts: Sequence[Item], jobs: int) -> Iterator[Found]:
    """What all parts give, in this process or in forked ones that inherit `run`.

    In order in this process, as they are finished from others. A process that was forked here
    starts no others: the cores are taken.

    Raises
    ------
    RuntimeError
        If a worker process was ended from outside.
    """
    if jobs == 1 or len(parts) == 1 or _is_worker:
        yield from map(run, parts)
        return
    global _forked
    _forked = run
    context = multiprocessing.get_context("fork")
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(min(jobs, len(parts)), context, _await_orders)
    try:
        for future in as_completed([pool.submit(_run_forked, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process was ended from outside, perhaps for want of memory; run with fewer "
            "--jobs or a smaller --batch"
        ) from error
    except BaseException:
        for worker in set(multiprocessing.active_children()).difference(others):
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        _forked = None


def _await_orders() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        while True:  # not once: the worker may be just about to take a part
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    threading.Thread(target=follow, daemon=True).start()


def _run_forked(part: Any) -> Any:
    global _is_worker
    _is_worker = True
    assert _forked is not None
    try:
        # Until here a worker may just end; from here on it has to take its program with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            return _forked(part)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except SystemExit:
        os._exit(1)  # the pool would take it for a result, and the worker would await another part
