"""Networks trained for one step with noise, run for N steps (arXiv 2211.05453)."""

from ...conversion.scheme import Scheme
from .conversion import convert
from .options import NoiseOptions
from .reference import run

SCHEME = Scheme(
    name="noise",
    title="Noise-trained networks",
    paper="JiangZhang2022",
    options=NoiseOptions,
    convert=convert,
    reference=run,
    reads_calibration=False,
)
