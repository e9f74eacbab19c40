"""One finished run of each study, shared by all tests of the studies."""

from functools import partial

import pytest
from ann2brian.studies.catalogue import STUDIES

from tests.support.studies import quick_run


@pytest.fixture(scope="session")
def finished(once):
    """Result folder of a quick run with figures, by the study's name; run when asked for."""
    by_name = {study.name: study for study in STUDIES}

    def result(name):
        run = partial(quick_run, by_name[name], has_figures=True)
        return once(f"finished-{name}", run)

    return result
