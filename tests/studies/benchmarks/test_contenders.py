"""Contenders take turns in processes of their own; what they say is what they answered."""

import json

import pytest
from ann2brian.studies.benchmarks import contenders
from ann2brian.studies.benchmarks.contenders import PREVIOUS, THIS, Case, Contender, Room, Task
from ann2brian.studies.benchmarks.subjects import DIGITS

TASK = Task(subject=DIGITS, n_images=3)
# Says which checkout it runs, and with which measurement of all it was told to do.
STUB = """
import json, os, sys
task = json.loads(input())
if task["batch"] == 99:
    print("out of luck", file=sys.stderr)
    sys.exit(3)
code = "/elsewhere" if task["batch"] == 98 else os.environ["PYTHONPATH"]
print(json.dumps({"n_images": task["n_images"], "checkout": code}), flush=True)
for n, _ in enumerate(sys.stdin):
    turn = len(open(LOG).read())
    open(LOG, "a").write(".")
    print(json.dumps({
        "turn": turn, "n": n, "path": os.environ["PYTHONPATH"],
        "cache": os.environ["ANN2BRIAN_CACHE"], "threads": os.environ["OMP_NUM_THREADS"],
        "digest": str(task["batch"]), "events_digest": str(task["threads"]),
    }), flush=True)
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A room whose contenders are a stub."""
    log = tmp_path / "log"
    log.touch()
    stub = tmp_path / "stub.py"
    stub.write_text(f"LOG = {str(log)!r}\n{STUB}")
    monkeypatch.setattr(contenders, "WORKER", stub)
    return Room(folder=tmp_path, previous=tmp_path / "previous")


def changed(**changes):
    return Task(subject=DIGITS, n_images=3, **changes)


def test_contenders_take_turns(room):
    """Order of all measurements against round by round, and whose code each ran."""
    case = Case(name="c", tasks={"a": TASK, "b": changed(program=PREVIOUS)}, same=("a", "b"))
    told = []
    table = contenders.compare(case, room, 3, told.append)
    assert table.sort_values("turn").contender.tolist() == ["a", "b"] * 3
    assert table["round"].tolist() == [0, 0, 1, 1, 2, 2]
    assert (table.n_images == 3).all()
    paths = table.groupby("contender").path.first()
    assert paths["a"] == str(contenders.ROOT)
    assert paths["b"] == str(room.previous)
    assert table.groupby("contender").cache.first().nunique() == 2
    assert told[-1] == "b: round 3 of 3"


def test_builds_anew_have_caches_of_their_own(room):
    """One process and one build cache a measurement, in turns, too."""
    case = Case(name="c", tasks={"a": TASK, "b": TASK}, builds_anew=True)
    table = contenders.compare(case, room, 2)
    assert table.cache.nunique() == 4
    assert (table.n == 0).all()
    assert table.contender.tolist() == ["a", "b", "a", "b"]


def test_other_spikes_are_refused(room):
    """Digests that differ against the message; of events only where no synapses are explicit."""
    one, two = changed(batch=1), changed(batch=2)
    free = contenders.compare(Case(name="c", tasks={"a": one, "b": two}), room, 1)
    assert free.digest.nunique() == 2
    with pytest.raises(RuntimeError, match="c: a and b gave different spikes"):
        contenders.compare(Case(name="c", tasks={"a": one, "b": two}, same=("a", "b")), room, 1)
    tasks = {"a": TASK, "b": changed(threads=2)}
    with pytest.raises(RuntimeError, match="different synaptic events"):
        contenders.compare(Case(name="c", tasks=tasks, same=("a", "b")), room, 1)
    tasks = {"a": TASK, "b": changed(threads=2, connections="explicit")}
    assert len(contenders.compare(Case(name="c", tasks=tasks, same=("a", "b")), room, 1)) == 2


def test_a_failed_process_says_why(room):
    """Its status and last line in the message, with the name of the contender."""
    with pytest.raises(RuntimeError, match=r"Caffe, a: .* status 3: out of luck"):
        Contender("Caffe, a", changed(batch=99), room)


def test_code_of_another_checkout_is_refused(room):
    """A process that found another release on its path against the message with both."""
    with pytest.raises(RuntimeError, match=r"a: ran the code of /elsewhere in place of .*previous"):
        Contender("a", changed(program=PREVIOUS, batch=98), room)


def test_without_a_previous_release(tmp_path):
    """A task of the previous release without a checkout against the flag it names."""
    with pytest.raises(ValueError, match="--against PATH"):
        Contender("a", changed(program=PREVIOUS), Room(folder=tmp_path))


def test_task_holds_all_that_its_process_needs(tmp_path):
    """Fields of the JSON against those of the task, and files that exist."""
    told = json.loads(TASK.to_json(tmp_path, None))
    assert set(told) == {*Task.__dataclass_fields__} - {"subject"} | {"network", "images"}
    assert told["program"] == THIS
    assert all((tmp_path / told[name]).exists() for name in ("network", "images"))
