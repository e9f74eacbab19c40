"""What `pip install` of a checkout gives, and how little an import does."""

import subprocess
import sys
from pathlib import Path

import pytest
from ann2brian.models.places import ROOT

PACKAGES = ("models", "analysis")


def test_every_folder_is_installed(installed):
    """Files of an installation against those of the checkout; studies stay there."""
    site = installed / "site" / "ann2brian"
    kinds = (".py", ".h", ".json", ".mplstyle", ".safetensors")
    wanted = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in kinds
    }
    found = {p.relative_to(site) for p in site.rglob("*") if p.suffix in kinds}
    assert found == wanted | {Path("__init__.py")}
    for path in wanted:
        assert (ROOT / path.parent / "__init__.py").exists() or path.parent.name == "trained"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with an installation, and beside it a user's own package called models."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    files = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in (n for n in files if n.split("/")[0] in (*PACKAGES, "ann2brian") or "/" not in n):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*pip, "--target", str(folder / "site"), str(source)], check=True)
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text("mine = True\n")
    return folder


def python(code, folder):
    """What Python prints in a folder, with the installation on its path."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "site"), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_installation_runs_beside_a_folder_called_models(installed):
    """A shipped network from conversion to predictions, beside other people's `models`."""
    code = """
import models, ann2brian as ab
assert models.mine and "site" in ab.__file__
network = ab.load_network(ab.trained("digits-relu"))
images, labels = ab.load_images("digits", "test")
training, _ = ab.load_images("digits", "train")
conversion = ab.convert(network, ab.AmosOptions(), calibration=training)
run = ab.simulate(conversion, images[:20], target="numpy")
print((run.predictions == network.forward(images[:20]).argmax(axis=1)).mean())
"""
    assert float(python(code, installed)[0]) > 0.9


def test_figure_style_is_installed(installed):
    """Figures find their style file outside a checkout."""
    code = "from ann2brian.analysis.figures.style import style\nwith style(): print('drawn')"
    assert python(code, installed) == ["drawn"]


def test_builds_of_an_installation_go_to_the_users_cache(installed):
    """The cache folder of an installation against that of a checkout."""
    code = "from ann2brian.models.places import cache_folder as c; print(c())"
    assert python(code, installed) == [str(installed / ".cache" / "ann2brian")]


def test_import_alone_loads_nothing(installed):
    """Modules that `import ann2brian` brings; names come on demand."""
    code = (
        "import sys; before = set(sys.modules); import ann2brian;"
        "print(*(m for m in ('brian2', 'numpy', 'torch', 'matplotlib') if m in sys.modules))"
    )
    assert python(code, installed) == []


def test_unknown_name_is_an_attribute_error(installed):
    """A name that there is not, and the names that there are."""
    code = """
import ann2brian as ab
try:
    ab.simulat
except AttributeError as error:
    print("refused")
print("simulate" in dir(ab), "AmosOptions" in dir(ab))
"""
    assert python(code, installed) == ["refused", "True", "True"]
