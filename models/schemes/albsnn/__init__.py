"""Locally binary networks: layers chosen for one bit a synapse (arXiv 2208.00398)."""

from ...conversion.scheme import Scheme
from .conversion import convert
from .options import AlbsnnOptions
from .reference import run

SCHEME = Scheme(
    name="albsnn",
    title="Locally binary networks",
    paper="XuEtAl2022",
    options=AlbsnnOptions,
    convert=convert,
    reference=run,
    reads_calibration=False,
)
