"""AMOS: any gate as a circuit of neurons with at most one spike (arXiv 2001.01682)."""

from ...conversion.scheme import Scheme
from .conversion import convert
from .options import AmosOptions
from .reference import run

SCHEME = Scheme(
    name="amos",
    title="AMOS gates",
    paper="StocklMaass2019",
    options=AmosOptions,
    convert=convert,
    reference=run,
    reads_calibration=True,
)
