"""Networks from NIR files, as the programs ran them that wrote the files."""

from ...conversion.scheme import Scheme
from .conversion import convert
from .options import NirOptions
from .reference import run

SCHEME = Scheme(
    name="nir",
    title="NIR",
    paper="PedersenEtAl2024",
    options=NirOptions,
    convert=convert,
    reference=run,
    reads_calibration=False,
)
