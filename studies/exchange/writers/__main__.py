"""The command: write networks, or say with which versions."""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

from . import WRITERS
from .drawing import saving, versions


def main() -> None:
    """Write the networks of some writers, one after the other."""
    flags = argparse.ArgumentParser(prog="python -m studies.exchange.writers")
    flags.add_argument("writers", nargs="+", choices=tuple(WRITERS), metavar="WRITER")
    flags.add_argument("--out", type=Path, default=Path(), help="folder (default: this one)")
    flags.add_argument(
        "--versions", action="store_true", help="write nothing; print the versions as JSON"
    )
    arguments = flags.parse_args()
    chosen = [WRITERS[name] for name in arguments.writers]
    for writer in chosen:
        if writer.missing:
            sys.exit(f"{writer.name}: {writer.missing}")
    if arguments.versions:
        print(json.dumps({w.name: versions(w.tool) for w in chosen}))
        return
    for writer in chosen:
        writer.write(saving(arguments.out))


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        command = [sys.executable, "-m", "studies.exchange.writers", *sys.argv[1:]]
        os.execv(sys.executable, command)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    warnings.simplefilter("ignore")
    main()
