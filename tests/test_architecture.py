"""Imports follow the rules of docs/architecture.md, in every file of every folder."""

import ast
from pathlib import Path

import pytest
from ann2brian.models.places import ROOT

GROUND = tuple(
    f"models.{x}"
    for x in ("arrays", "checks", "dyadic", "installs", "messages", "philox", "places")
)
SCHEMES = tuple(sorted(path.parent.name for path in ROOT.glob("models/schemes/*/__init__.py")))
OF_SCHEMES = tuple(f"models.schemes.{x}" for x in SCHEMES)
DATA = (*GROUND, "models.networks", "models.spiking")
# Room: what its files may import beside each other. The longest name that fits a module counts.
MAY_IMPORT = {
    **dict.fromkeys(GROUND, ()),
    "models": (),
    "models.networks": GROUND,
    "models.importing": (*GROUND, "models.networks"),
    "models.pytorch": (*GROUND, "models.networks", "models.importing"),
    "models.spiking": (*GROUND, "models.networks"),
    "models.conversion": DATA,
    "models.engine": DATA,
    "models.biology": (*DATA, "models.conversion"),
    "models.schemes": (*DATA, "models.conversion", *OF_SCHEMES),
    "models.exporting": (*DATA, "models.conversion", "models.importing", "models.schemes"),
    **{f"models.schemes.{x}": (*DATA, "models.conversion") for x in SCHEMES},
    **{
        f"models.schemes.{x}.training": (
            *DATA,
            "models.conversion",
            "models.pytorch",
            f"models.schemes.{x}",
        )
        for x in SCHEMES
    },
    "analysis": (),
    "analysis.statistics": DATA,
    "analysis.figures": (*DATA, "analysis.statistics"),
    "ann2brian": ("models", "analysis.statistics"),
}
BRIAN2 = ("models.biology", "models.engine", "models.conversion", "models.schemes", "studies")
TORCH = (
    "models.pytorch",
    *(f"models.schemes.{x}.training" for x in SCHEMES),
    "studies.training",
    *(f"studies.{x}.recipes" for x in SCHEMES),
    "studies.train",
    "studies.training_cost",
    "studies.benchmarks.peers",
    "studies.exchange.writers",
)
PACKAGES = ("models", "analysis", "studies")
OWN_COMMANDS = {"fit_gates": "amos", "exchange": "nir"}  # of a study, beside run_<study>


def is_in(module, rooms):
    """Whether a dotted name is one of the rooms or inside one."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def module_of(path, root):
    """Dotted name of a file, without ``__init__``."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root):
    """All modules of the project by dotted name."""
    files = (
        path
        for folder in ("models", "analysis", "studies", "ann2brian")
        for path in sorted((root / folder).rglob("*.py"))
    )
    return {module_of(path, root): path for path in files}


def imports(name, path, known):
    """Modules that a file imports, at its top or inside: own ones by dotted name, others whole."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = (
                package if package[0] == "ann2brian" else ["ann2brian", *package]
            )  # as the packages stand in an installation
            base = above[: len(above) + 1 - node.level] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args:
            # A module by its name as text; of a name that is put together, what stands first.
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            text = node.args[0]
            if called in ("import_module", "__import__") and isinstance(text, ast.Constant):
                target = str(text.value)
                base = package[: len(package) + 1 - (len(target) - len(target.lstrip(".")))]
                inner = ".".join([*base, target.lstrip(".")])
                found.add(inner if target.startswith(".") else target)
    face = {target for target in found if target.startswith("ann2brian.")}
    face = {t for t in face if not is_in(t, [f"ann2brian.{p}" for p in PACKAGES])}
    found = {target.removeprefix("ann2brian.") for target in found - face}
    if face:
        found.add("ann2brian")
    return {
        target if target in known else target.rpartition(".")[0]
        for target in found
        if target in known or target.rpartition(".")[0] in known
    } | {target for target in found if not is_in(target, ("models", "analysis", "studies"))}


def room_of(name):
    return max(
        (r for r in MAY_IMPORT if is_in(name, [r])), key=len, default=name.rpartition(".")[0]
    )


def violations(root):
    """Every broken rule, as text that names file and import."""
    known = modules(root)
    found = []
    edges = {}
    for name, path in known.items():
        targets = imports(name, path, known)
        edges[name] = {target for target in targets if target in known and target != name}

        def refuse(target, why, name=name):
            found.append(f"{name} imports {target}: {why}")

        for target in targets:
            if target.split(".")[0] == "brian2" and not is_in(name, BRIAN2):
                refuse(target, "Brian2 stands in the engine, in neurons and in studies only")
            if name.endswith(".reference") and target.split(".")[0] == "brian2":
                refuse(target, "references are independent of Brian2")
            if target.split(".")[0] == "torch" and not is_in(name, TORCH):
                refuse(target, "PyTorch is for training and import only")
            if target not in known or target == name:
                continue
            room = room_of(name)
            if room in MAY_IMPORT and not is_in(target, (room, *MAY_IMPORT[room])):
                refuse(target, f"{room} may import {', '.join(MAY_IMPORT[room]) or 'nothing'}")
            is_apart = room == "models.exporting" or (room == "models.schemes" and name != room)
            if is_apart and is_in(target, OF_SCHEMES):
                refuse(target, "only the registry imports the schemes")
            if room in GROUND:
                refuse(target, "the ground imports no other file")
            if name.startswith("studies."):
                own = name.split(".")[1].removeprefix("run_")
                own = OWN_COMMANDS.get(own, own)
                for scheme in SCHEMES:
                    of_scheme = (f"models.schemes.{scheme}", f"studies.{scheme}")
                    if is_in(target, of_scheme[1:]) and name == "studies.catalogue":
                        continue
                    if is_in(target, of_scheme) and own != scheme:
                        refuse(target, f"only the study of {scheme} may")
    return found + [f"circle: {' -> '.join(circle)}" for circle in circles(edges)]


def circles(edges):
    """Import circles among the modules."""
    found, done = [], set()

    def visit(name, way):
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for target in sorted(edges[name]):
                visit(target, [*way, name])
            done.add(name)

    for name in sorted(edges):
        visit(name, [])
    return found


def test_imports_follow_the_rules():
    """No file of the project breaks a rule."""
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        ("models/networks/deep/er.py", "from ...spiking import network", "models.spiking.network"),
        ("models/engine/x.py", "from ..schemes.burst import options", "models.schemes.burst"),
        ("models/schemes/noise/x.py", "from ..burst.options import A", "models.schemes.burst"),
        ("models/conversion/x.py", "from ..schemes.burst import options", "models.schemes.burst"),
        ("models/conversion/x.py", "from ann2brian.models.engine import x", "models.engine"),
        ("models/schemes/noise/x.py", "from ann2brian import simulate", "ann2brian"),
        ("models/schemes/noise/x.py", "import ann2brian as ab", "ann2brian"),
        ("models/schemes/noise/x.py", "from .... import simulate", "ann2brian"),
        ("analysis/figures/x.py", "from ann2brian import models", "models"),
        ("models/conversion/x.py", "import_module('ann2brian.models.engine.x')", "models.engine"),
        ("models/conversion/x.py", "importlib.import_module('..engine.x', p)", "models.engine"),
        ("models/spiking/x.py", "__import__('brian2')", "brian2"),
        ("models/schemes/helper.py", "from .burst import options", "models.schemes.burst"),
        ("models/exporting/x.py", "from ..schemes.burst import options", "models.schemes.burst"),
        ("models/dyadic.py", "from .networks import deep", "models.networks.deep"),
        ("models/schemes/burst/reference.py", "import brian2", "brian2"),
        ("models/networks/deep/er.py", "import torch.nn", "torch.nn"),
        ("analysis/statistics/deep/er.py", "from brian2 import ms", "brian2.ms"),
        ("analysis/figures/x.py", "from ann2brian.studies.frame import x", "studies.frame"),
        ("studies/frame/x.py", "def f():\n    from ann2brian.studies.burst import x", "burst"),
        ("studies/noise/x.py", "from ann2brian.models.schemes.burst import options", "burst"),
        ("models/spiking/network.py", "from . import projections", "circle"),
    ],
)
def test_planted_violation_is_seen(tmp_path, file, line, named):
    """A forbidden import in a subfolder, inside a function or as a circle is named."""
    for path in (
        "models/spiking/network.py",
        "models/networks/deep/__init__.py",
        "models/engine/x.py",
        "models/schemes/burst/options.py",
        "studies/frame/x.py",
        "studies/burst/x.py",
        "ann2brian/__init__.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("A = 1\n")
    for folder in sorted(p for p in tmp_path.rglob("*") if p.is_dir()):
        (folder / "__init__.py").touch()
    (tmp_path / "models/spiking/projections.py").write_text("from .network import A\n")
    assert violations(tmp_path) == []
    path: Path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    assert any(named in found for found in violations(tmp_path))


def test_a_file_directly_in_studies_is_a_command_or_the_catalogue():
    """Every file beside the folders can be run, but the catalogue, which is only read."""
    files = {path.stem: path.read_text() for path in (ROOT / "studies").glob("*.py")}
    commands = {name for name, text in files.items() if 'if __name__ == "__main__":' in text}
    assert set(files) - commands == {"__init__", "catalogue"}
    assert {f"run_{scheme}" for scheme in SCHEMES} < commands
