"""Result folders: what their names depend on."""

import pytest
from ann2brian.studies.frame.provenance import source_digest
from ann2brian.studies.frame.result_folder import ResultFolder


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


def write(text):
    return lambda folder: (folder / "metrics.csv").write_text(f"a\n{text}\n")


def test_rerun_begins_from_nothing(tmp_path):
    """A finished result and a stopped one of the same name are removed, others stay."""
    for label in ("this", "other"):
        with ResultFolder(tmp_path, label, {}) as folder:
            done = folder.finish([folder.condition("000", write("old"))], {}, ("a",))
        with ResultFolder(tmp_path, label, {}) as folder:
            folder.condition("000", write("old"))
            part = folder.part
    with ResultFolder(tmp_path, "this", {}) as folder:
        assert folder.has("000")
    with ResultFolder(tmp_path, "this", {}, rerun=True) as folder:
        assert not folder.has("000")
        assert not folder.path.exists()
        new = folder.finish([folder.condition("000", write("new"))], {}, ("a",))
    assert (new / "metrics.csv").read_text() == "a\nnew\n"
    assert (done / "metrics.csv").exists()
    assert (part / "000" / "metrics.csv").exists()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        *(new.name, done.name, part.name)
    }
