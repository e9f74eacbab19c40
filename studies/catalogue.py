"""The studies there are, and the other results that have figures and are published."""

from __future__ import annotations

from ann2brian.studies.albsnn.study import STUDY as ALBSNN
from ann2brian.studies.amos.study import STUDY as AMOS
from ann2brian.studies.benchmarks.published import BENCHMARK, TRAINING
from ann2brian.studies.burst.study import STUDY as BURST
from ann2brian.studies.frame.publishing import Reported
from ann2brian.studies.frame.study import Study
from ann2brian.studies.noise.study import STUDY as NOISE

STUDIES: tuple[Study, ...] = (
    AMOS,
    BURST,
    NOISE,
    ALBSNN,
)
REPORTS: tuple[Reported, ...] = (*STUDIES, TRAINING, BENCHMARK)
