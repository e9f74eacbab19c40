"""Result folders: what their names depend on."""

import pytest
from ann2brian.studies.frame.provenance import source_digest


@pytest.mark.parametrize(
    "path", ["ann2brian/c.py", "models/a/b/c.py", "models/a/b/c.h", "studies/a/c.json"]
)
def test_digest_sees_every_folder(tmp_path, path):
    """Code that changes, moves or appears deep in a folder gives results another name."""
    for folder in ("models", "analysis"):
        (tmp_path / folder).mkdir()
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    found = [source_digest(tmp_path)]
    for text in ("one", "two"):
        file.write_text(text)
        found.append(source_digest(tmp_path))
    file.rename(file.with_name(f"d{file.suffix}"))
    found.append(source_digest(tmp_path))
    assert len(set(found)) == len(found)
    (file.parent / "notes.txt").write_text("no code")
    assert source_digest(tmp_path) == found[-1]
