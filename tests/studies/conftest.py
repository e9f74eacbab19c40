"""One finished run of each study, shared by all tests of the studies."""

import pytest
from ann2brian.studies.catalogue import STUDIES

from tests.support.studies import quick_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Result folder of a quick run with figures, by the study's name; run when asked for."""
    out = tmp_path_factory.mktemp("finished")
    by_name = {study.name: study for study in STUDIES}
    folders = {}

    def result(name):
        if name not in folders:
            folders[name] = quick_run(by_name[name], out, has_figures=True)
        return folders[name]

    return result
