"""Print the folders of tests of what changed since the last commit, or in it if nothing did since.

Tests stand in the folders of what they test, so the tests of ``models/engine/builds.py`` are those
of ``tests/models/engine``.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALWAYS = ("tests/test_architecture.py",)


def tests_of(files, root=ROOT):
    """Tests of some files: their folder's, or of the closest folder above that has any.

    Parameters
    ----------
    files : sequence of str
        Paths from the root; of the code, of tests, or of something else, which has none.
    root : Path
        Of the repository.
    """
    found = set(ALWAYS)
    for file in files:
        path = Path(file)
        if path.parts[0] == "tests":
            if path.name.startswith("test_") and (root / path).exists():
                found.add(file)
            continue
        if path.name == "README.md" or path.parts[0] == "docs":
            found.add("tests/docs")
        elif path.parts[0] in ("models", "analysis", "studies"):
            folder = Path("tests") / path.parent
            while not any((root / folder).rglob("test_*.py")):
                folder = folder.parent
            found.add(folder.as_posix())
    return sorted(path for path in found if (root / path).exists())


def changed(root=ROOT):
    """Files changed since the last commit, new ones included; or in it if there are none."""

    def git(*arguments):
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    now = git("diff", "--name-only", "HEAD") + git("ls-files", "--others", "--exclude-standard")
    return now or git("show", "--name-only", "--format=", "HEAD")


if __name__ == "__main__":
    sys.stdout.write(" ".join(tests_of(changed())))
