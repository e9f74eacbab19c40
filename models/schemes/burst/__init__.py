"""Burst conversion with pooling by lateral inhibition (arXiv 2204.13271)."""

from ...conversion.scheme import Scheme
from .conversion import convert
from .options import BurstOptions
from .reference import run

SCHEME = Scheme(
    name="burst",
    title="Burst neurons",
    paper="LiZeng2022",
    options=BurstOptions,
    convert=convert,
    reference=run,
    reads_calibration=True,
)
