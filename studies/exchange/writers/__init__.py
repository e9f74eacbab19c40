"""Networks that other tools write as NIR files, each with the tool's own spikes.

    python -m studies.exchange.writers WRITER [WRITER ...] --out FOLDER

in the root of the checkout, by any Python that has the writer's packages: nothing here needs
ann2brian. The files of the tests were made so, with ``--out tests/data/nir`` and the versions of
`WRITERS`.

Each file is one ``.npz``: `nir`, the bytes of the NIR file as the tool wrote it; `input`, of shape
(200, *input without batch), as the tool saw it; `spikes_<n>` of the n-th spiking layer, in its
step, in the tool's order of axes; `output`, the potentials of a leaky readout; and `about`, bytes
of JSON: the tool, its versions, the parameters, the layers' nodes in the file, what the file leaves
out, how often each layer's neurons fire. "grid" networks have weights and inputs on a dyadic grid,
where potentials hit the threshold exactly; "free" ones have random reals. Several writers keep
edges in a Python set: the command runs with PYTHONHASHSEED=0, so that the bytes repeat.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from . import nirtorch, norse, rockpool, sinabs, snntorch, spikingjelly, spyx
from .drawing import Save

WITH_V_RESET = (1, 0, 6)  # of nir; neurons have a v_reset since


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A tool that writes NIR files.

    Parameters
    ----------
    name : str
        Of the writer.
    write : callable
        ``write(save)`` draws, runs and writes its networks.
    packages : mapping of str to str
        That it needs, with the versions that made the files of the tests; the tool is the first.
    """

    name: str
    write: Callable[[Save], None]
    packages: Mapping[str, str]

    @property
    def tool(self) -> str:
        """Whose networks it writes."""
        return next(iter(self.packages))

    @property
    def missing(self) -> str:
        """What keeps it from writing in this environment; nothing if it can."""
        for package in self.packages:
            try:
                found = version(package)
            except PackageNotFoundError:
                return f"{package} is not installed"
            if package == "nir" and _has_v_reset(found) != _has_v_reset(self.packages["nir"]):
                side = "from" if _has_v_reset(self.packages["nir"]) else "before"
                return f"nir {found} is installed, and this writer takes one {side} 1.0.6"
        return ""


def _has_v_reset(release: str) -> bool:
    return tuple(int(part) for part in release.split(".")[:3] if part.isdigit()) >= WITH_V_RESET


_NIR = {"nir": "1.0.8", "nirtorch": "2.6"}
_TORCH = {**_NIR, "torch": "2.13.0"}
WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        writer.name: writer
        for writer in (
            Writer(
                name="snntorch",
                write=snntorch.write,
                packages={"snntorch": "1.0.0", **_TORCH},
            ),
            Writer(  # with what it asks for
                name="sinabs",
                write=sinabs.write,
                packages={
                    "sinabs": "3.1.3",
                    "nir": "1.0.4",
                    "nirtorch": "1.0",
                    "torch": "2.13.0",
                },
            ),
            Writer(
                name="sinabs_new",
                write=partial(sinabs.write, new=True),
                packages={"sinabs": "3.1.3", **_TORCH},
            ),
            Writer(
                name="spikingjelly",
                write=spikingjelly.write,
                packages={"spikingjelly": "2.0.0", **_TORCH},
            ),
            Writer(name="norse", write=norse.write, packages={"norse": "1.1.0", **_TORCH}),
            Writer(name="rockpool", write=rockpool.write, packages={"rockpool": "3.1.0", **_TORCH}),
            Writer(
                name="spyx",
                write=spyx.write,
                packages={"spyx": "1.0.0", "nir": "1.0.8", "jax": "0.10.2", "flax": "0.12.8"},
            ),
            Writer(
                name="nirtorch",
                write=nirtorch.write,
                packages={"nirtorch": "2.6", "nir": "1.0.8", "torch": "2.13.0"},
            ),
        )
    }
)
