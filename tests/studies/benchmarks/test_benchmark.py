"""The command: flags, resuming, numbers and figures from made-up measurements; one real run."""

import pandas as pd
import pytest
from ann2brian.studies import benchmark
from ann2brian.studies.benchmarks import figures, limits, peers, published
from ann2brian.studies.benchmarks.contenders import Case, Room, Task, compare
from ann2brian.studies.benchmarks.part import plain
from ann2brian.studies.benchmarks.parts import PARTS
from ann2brian.studies.benchmarks.subjects import DIGITS


def made_up(case, _room, rounds, _tell):
    """Measurements of every contender, the same in each round but for a little."""
    rows = []
    for number in range(rounds):
        for k, (name, task) in enumerate(case.tasks.items()):
            seconds = (1 + k) * (1 + 0.01 * number)
            rows.append(
                {"case": case.name, "contender": name, "round": number, "loop_s": seconds}
                | {"all_s": 2 * seconds, "build_s": 0.1, "first_build_s": seconds}
                | {"n_images": task.n_images, "n_neurons": 100 * (k + 1), "program_mb": 5.0 - k}
                | {"memory_mb": 90.0, "spikes_per_image": 9.0, "accuracy": 0.9}
                | {"events_per_image": 100.0 * (k + 1), "ann_accuracy": 0.9}
                | {"delivery_s": 0.5, "others_s": 0.5, "steps_per_image": 4}
                | {"event_ns": 0.01, "update_ns": 0.1}
            )
    return pd.DataFrame(rows)


def test_whole_run(tmp_path, monkeypatch, capsys):
    """Quantities of every part, all figures, and printed lines, of made-up measurements."""
    monkeypatch.setattr(benchmark, "compare", made_up)
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    result = benchmark.main(["--quick", "--rounds", "3", "--out", str(tmp_path)])
    assert result.parent.name == "benchmark"
    metrics = pd.read_csv(result / "metrics.csv")
    assert list(dict.fromkeys(metrics.part)) == [part.name for part in PARTS]
    assert (metrics.rounds == 3).all()
    assert metrics.quantity.is_unique
    drawn = {path.stem for path in (result / "figures").glob("*.png")}
    assert drawn == {"benchmark_speed", "benchmark_cost", "benchmark_growth"}
    printed = capsys.readouterr()
    assert "against, median of 3 rounds" in printed.out
    assert "--against PATH" in printed.err
    assert "pip install --constraint constraints.txt torch==2.13.0 sinabs==3.1.3" in printed.err
    table = published.collect_benchmark([result])["benchmark"]
    assert len(published.benchmark_table(table).split("\n")) == 2 + len(metrics)


def test_a_stopped_run_continues(tmp_path, monkeypatch, capsys):
    """Comparisons that were finished are not made again."""
    made = []

    def stop_at(number):
        def some(case, *rest):
            made.append(case.name)
            if len(made) == number:
                raise RuntimeError("stopped here")
            return made_up(case, *rest)

        return some

    flags = ["--quick", "--only", "growth,build", "--out", str(tmp_path)]
    monkeypatch.setattr(benchmark, "compare", stop_at(3))
    with pytest.raises(SystemExit):
        benchmark.main(flags)
    assert "error: stopped here" in capsys.readouterr().err
    monkeypatch.setattr(benchmark, "compare", stop_at(-1))
    result = benchmark.main(flags)
    assert result.parent.name == "benchmark-parts"
    assert made == ["build", "neurons", "events", "events", "depth", "images", "copies"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--only", "peers,speed"], "no part 'speed'; there are against, peers"),
        (["--against", "/nowhere"], "no checkout of this project"),
        (["--scale", "0"], "'0' is not a number above 0"),
        (["--rounds", "x"], "'x' is not a whole number"),
    ],
)
def test_bad_flags_are_named(flags, message, capsys):
    """What is wrong with a flag, in one line."""
    with pytest.raises(SystemExit):
        benchmark.main(flags)
    assert message in capsys.readouterr().err


def test_figures_need_their_parts(tmp_path):
    """No figure of what was not measured."""
    (tmp_path / "config.json").write_text("{}")
    row = {"part": "threads", "quantity": "q", "value": 1, "low": 1, "high": 1, "panel": ""}
    pd.DataFrame([row]).to_csv(tmp_path / "metrics.csv", index=False)
    result = figures.Result(tmp_path)
    assert figures.benchmark_speed(result) is None
    assert figures.benchmark_cost(result) is None
    assert figures.benchmark_growth(result) is None


@pytest.mark.slow
def test_explicit_synapses_give_the_same_spikes(tmp_path):
    """Digest of counts and scores, shared kernels against explicit synapses; max pooling in it."""
    shared = Task(subject=DIGITS, n_images=3, options=plain(8), profile=True)
    explicit = Task(subject=DIGITS, n_images=3, options=plain(8), connections="explicit", batch=1)
    tasks = {"shared": shared, "explicit": explicit}
    case = Case(name="digits", tasks=tasks, same=tuple(tasks))
    table = compare(case, Room(folder=tmp_path), 1).set_index("contender")
    assert table.digest.nunique() == 1
    assert (table.spikes_per_image > 100).all()
    assert table.events_per_image["shared"] > 1000
    assert table.program_mb["explicit"] > table.program_mb["shared"] > 1
    assert 0 < table.delivery_s["shared"] < table.delivery_s["shared"] + table.others_s["shared"]


@pytest.mark.compiled
def test_limits_of_the_processor(tmp_path):
    """Adds in registers against the update of a neuron, which moves more memory."""
    found = limits.measured(limits.compiled(tmp_path))
    assert 0 < found["event_ns"] < found["update_ns"] < 100
