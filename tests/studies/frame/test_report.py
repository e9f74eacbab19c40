"""The page of a result: whole, self-contained, and with the numbers of the tables."""

import base64
import csv
import gzip
import json
import shutil
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from ann2brian.analysis.figures.style import SCHEME_COLOURS
from ann2brian.studies import make_figures as command
from ann2brian.studies.amos.study import STUDY as AMOS
from ann2brian.studies.frame import report
from ann2brian.studies.frame import study as frame
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.page import raster
from ann2brian.studies.frame.report import MOST_BYTES, shown, try_report, write_report
from bokeh.plotting import figure
from statsmodels.stats.proportion import proportion_confint

from tests.support.html import parsed, references
from tests.support.recordings import layer, recording_of
from tests.support.results import (
    AWKWARD,
    SPIKES,
    first_figure,
    metrics_of,
    second_figure,
    time_of,
    write_result,
)

DRAWS = (first_figure, second_figure)


def page_of(folder, draws=()):
    return parsed(write_report(folder, draws).read_text())


def stored(page, name):
    return json.loads(page.only("script", id=name).text)


def sources(item):
    """Columns of the sources of a plot, unpacked as BokehJS does it."""

    def unpacked(values):
        if not isinstance(values, dict):
            return values
        content = gzip.decompress(base64.b64decode(values["array"]["data"]))
        return np.frombuffer(content, values["dtype"]).reshape(values["shape"]).tolist()

    found = []

    def look(part):
        if isinstance(part, dict):
            if part.get("name") == "ColumnDataSource" and "id" in part:
                entries = part["attributes"]["data"]["entries"]
                found.append({key: unpacked(values) for key, values in entries})
            part = list(part.values())
        if isinstance(part, list):
            for one in part:
                look(one)

    look(item)
    return found


def drawn_spikes(data):
    """Spikes (image, layer, neuron, time) as the page's own script reads them."""
    neuron, step = (
        np.frombuffer(
            base64.b64decode(packed["base64"]), np.dtype(packed["type"]).newbyteorder("<")
        )
        for packed in (data["neuron"], data["step"])
    )
    n_layers = len(data["layers"])
    return [
        (part // n_layers, part % n_layers, int(neuron[at]), float(step[at] * data["dt_ms"]))
        for part, (start, end) in enumerate(pairwise(data["starts"]))
        for at in range(start, end)
    ]


def cells_of(page, name):
    """Cells of a table of the page as they stand in the file, by row, its columns first."""
    table = page.only("section", aria_label=f"{name}.csv").only("table")

    def exact(cell):
        inner = cell.all("data")
        return inner[0].attributes["value"] if inner else cell.text

    rows = [[exact(cell) for cell in row.all("th", "td")] for row in table.all("tr")]
    return rows if table.all("thead") else [list(row) for row in zip(*rows, strict=True)]


def file_rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_every_cell_of_metrics_is_in_the_page(tmp_path):
    few = write_result(tmp_path / "few")
    many = write_result(tmp_path / "many", [f"condition {k}" for k in range(30)])
    for folder in (few, many):
        page = page_of(folder)
        for name in ("metrics", "time"):
            assert cells_of(page, name) == file_rows(folder / f"{name}.csv")


def test_of_a_long_table_the_first_rows_and_how_many_there_are(tmp_path):
    folder = write_result(tmp_path / "result")
    page = page_of(folder)
    cells = cells_of(page, "intervals")
    assert cells == file_rows(folder / "intervals.csv")[: len(cells)]
    assert 100 < len(cells) < 2000
    about = f"The first {len(cells) - 1:,} of 2,000 rows; all are in intervals.csv."
    assert about in [one.text for one in page.all("p")]


def test_headlines_have_the_numbers_and_their_interval(tmp_path):
    folder = write_result(tmp_path / "result", ["plain", "other", "third"])
    metrics = pd.read_csv(folder / "metrics.csv", dtype=str)
    headlines = page_of(folder).only("section", id="headlines")
    for column in ("n_images", "ann_accuracy", "snn_accuracy", "latency_ms", "spikes_per_image"):
        found = headlines.all("data", data_column=column)
        assert [one.attributes["value"] for one in found] == list(metrics[column])
    low, high = proportion_confint(58, 60, method="wilson")
    assert f"{58 / 60:.2%} ({low:.1%} to {high:.1%})" in headlines.text


def test_no_interval_for_what_is_no_fraction_of_images(tmp_path):
    folder = write_result(tmp_path / "result", n_images=7)
    assert " to " not in page_of(folder).only("section", id="headlines").only("table").text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.9666666666666667", "0.966667"),
        ("-1.5e-07", "-1.5e-07"),
        ("981360000", "981360000"),
        ("5.000000000000001e-08", "5e-08"),
        ("12", "12"),
        ("1_0", None),
        ("nan", None),
        ("", None),
        ("True", None),
        ("Q99.99/gamma", None),
    ],
)
def test_numbers_and_texts(text, number):
    assert shown(text) == number


def test_lines_over_time_are_those_of_the_table(tmp_path):
    folder = write_result(tmp_path / "result")
    time = pd.read_csv(folder / "time.csv")
    page = page_of(folder)
    lines = [one for one in sources(stored(page, "time-item")) if "accuracy" in one]
    assert len(lines) == 2
    for line, (_, rows) in zip(lines, time.groupby("condition", sort=False), strict=True):
        assert line["time_ms"] == rows.time_ms.tolist()
        assert line["accuracy"] == (100 * rows.accuracy).tolist()
        n_correct = (rows.accuracy * 60).round()
        low, high = proportion_confint(n_correct, 60, method="wilson")
        assert line["low"] == pytest.approx((100 * low).tolist(), abs=1e-9)
        assert line["high"] == pytest.approx((100 * high).tolist(), abs=1e-9)
    names = [one.text for one in page.only("section", id="time").all("label")]
    assert names == ["plain", "other", "trained network"]


def test_each_scheme_has_its_colour(tmp_path):
    folder = write_result(tmp_path / "one", ["plain"], scheme="albsnn")
    (label, _) = page_of(folder).only("section", id="time").all("label")
    assert SCHEME_COLOURS["albsnn"].lower() in label.only("span").attributes["style"]
    several = write_result(tmp_path / "several", list(SCHEME_COLOURS))
    metrics = metrics_of(list(SCHEME_COLOURS), scheme=list(SCHEME_COLOURS))
    metrics.to_csv(several / "metrics.csv", index=False)
    time_of(metrics).to_csv(several / "time.csv", index=False)
    labels = page_of(several).only("section", id="time").all("label")
    for label, (scheme, colour) in zip(labels, SCHEME_COLOURS.items(), strict=False):
        assert label.text == scheme
        assert colour.lower() in label.only("span").attributes["style"]


def test_spikes_are_those_of_the_file(tmp_path):
    page = page_of(write_result(tmp_path / "result"))
    data = stored(page, "raster-data")
    assert drawn_spikes(data) == [(i, k, n, 0.5 * step) for i, k, n, step in sorted(SPIKES)]
    assert data["layers"] == [4, 24]
    options = [one.text for one in page.only("select").all("option")]
    assert options == ["image 0: class 0, read out as 2", "image 1: class 2, read out as 1"]
    assert [one["note"] for one in data["images"]] == [
        "3 spikes, all of them drawn.",
        "2 spikes, all of them drawn.",
    ]


def test_too_many_spikes_are_thinned_by_neurons_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "MOST_SPIKES_OF_IMAGE", 30)
    monkeypatch.setattr(raster, "MOST_SPIKES", 40)
    full = [(i, 1, neuron, step) for i in (0, 1) for neuron in range(24) for step in range(4)]
    page = page_of(write_result(tmp_path / "result", spikes=full))
    data = stored(page, "raster-data")
    drawn = drawn_spikes(data)
    neurons = sorted({neuron for _, _, neuron, _ in drawn})
    assert drawn == [(0, 1, neuron, 0.5 * step) for step in range(4) for neuron in neurons]
    assert 4 <= len(neurons) <= 30 / 4
    assert {neuron % 4 for neuron in neurons} == {0, 1, 2, 3}  # of every channel
    n = len(drawn)
    (image,) = data["images"]
    assert image["note"] == (
        f"Drawn are the {n} spikes of about one neuron in 4; all neurons fired 96."
    )


def test_images_without_room_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "MOST_SPIKES", 4)
    page = page_of(write_result(tmp_path / "result"))
    assert len(stored(page, "raster-data")["images"]) == 1
    assert "The first 1 of 2 images; all are in spikes.npz." in page.text


def test_a_network_without_spikes(tmp_path):
    data = stored(page_of(write_result(tmp_path / "result", spikes=())), "raster-data")
    assert drawn_spikes(data) == []
    assert data["images"][0]["note"] == "0 spikes, all of them drawn."


def test_figures_are_inside_with_what_they_show(tmp_path):
    folder = write_result(tmp_path / "result")
    files = [file for file in make_figures(folder, DRAWS) if file.suffix == ".png"]
    figures = page_of(folder, DRAWS).only("section", id="figures").all("figure")
    for one, file, about in zip(
        figures, files, ("What a reader <sees> first.", "Another."), strict=True
    ):
        picture = one.only("img").attributes
        content = picture["src"].removeprefix("data:image/png;base64,")
        assert base64.b64decode(content) == file.read_bytes()
        assert picture["alt"] == one.only("figcaption").text == about
        assert int(picture["width"]) == 2 * int(picture["height"])


def test_figures_without_room_are_linked(tmp_path, monkeypatch):
    folder = write_result(tmp_path / "result")
    make_figures(folder, DRAWS)
    monkeypatch.setattr(report, "MOST_BYTES", 10_000)
    page = page_of(folder, DRAWS)
    links = [one.attributes["href"] for one in page.only("section", id="figures").all("a")]
    assert links == ["figures/first_figure.png", "figures/second_figure.png"]
    assert all((folder / link).exists() for link in links)
    assert not page.all("img")


def assert_sound(page):
    """Self-contained, readable for everybody, and valid as far as the parser can tell."""
    for address in references(page):
        assert address.startswith(("#", "data:image/png;base64,", "figures/")), address
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for one in page.all():
        for key in ("aria-labelledby", "for"):
            assert one.attributes.get(key, ids[0]) in ids
        if (one.attributes.get("href") or "").startswith("#"):
            assert one.attributes["href"][1:] in ids
    assert page.only("html").attributes["lang"] == "en-GB"
    assert page.only("title").text == page.only("h1").text
    levels = [int(one.tag[1]) for one in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(one.attributes["alt"] for one in page.all("img"))
    controls = [*page.all("input"), *page.all("select")]
    for one in controls:
        labels = [x for x in page.all("label") if one in x.all() or x.attributes.get("for")]
        assert labels
    policy = page.only("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'")


def test_pages_are_sound(tmp_path):
    folder = write_result(tmp_path / "result")
    make_figures(folder, DRAWS)
    assert_sound(page_of(folder, DRAWS))
    bare = tmp_path / "bare"
    bare.mkdir()
    pd.DataFrame({"tool": ["norse"], "spikes": [12]}).to_csv(bare / "metrics.csv", index=False)
    page = page_of(bare)
    assert_sound(page)
    assert not page.all("script")
    assert cells_of(page, "metrics") == [["tool", "spikes"], ["norse", "12"]]


def test_names_are_text_wherever_they_stand(tmp_path):
    """Of conditions, classes and files; none of them becomes an element or ends a script."""
    plain = page_of(write_result(tmp_path / "plain", classes=["a", "b", "c"]))
    folder = write_result(
        tmp_path / "a & <i>b</i>", [AWKWARD, "other"], classes=[AWKWARD, "b", AWKWARD]
    )
    page = page_of(folder)
    assert_sound(page)
    assert len(page.all()) == len(plain.all())
    assert AWKWARD in [one.text for one in page.only("section", id="time").all("label")]
    assert AWKWARD in cells_of(page, "metrics")[1]
    assert AWKWARD in page.only("select").all("option")[0].text
    for name in ("configuration", "provenance", "run"):
        assert "</script>" in page.only("section", id=name).text
    assert not {"<", ">", "&"} & set(page.only("script", id="time-item").text)
    assert AWKWARD in json.dumps(stored(page, "time-item"), ensure_ascii=False).replace('\\"', '"')


def test_the_same_result_gives_the_same_bytes(tmp_path):
    folder = write_result(tmp_path / "result")
    make_figures(folder, DRAWS)
    first = write_report(folder, DRAWS).read_bytes()
    figure().line([1, 2], [3, 4])  # takes identities of Bokeh
    assert write_report(folder, DRAWS).read_bytes() == first


def test_a_large_result_gives_a_page_of_bounded_size(tmp_path):
    """And one that says of each part what it leaves out."""
    folder = write_result(tmp_path / "result", [f"a condition of number {k}" for k in range(1000)])
    rng = np.random.default_rng(1)
    time_of(metrics_of([f"a condition of number {k}" for k in range(200)]), 300).to_csv(
        folder / "time.csv", index=False
    )
    for k in range(10):
        pd.DataFrame(rng.random((500, 30))).to_csv(folder / f"table{k}.csv", index=False)
    layers, n = (layer("one", (64, 64, 64)), layer("two", (1, 1, 10))), 400_000
    of_layer = np.arange(n) % 2
    neuron = np.where(of_layer == 0, rng.integers(0, 64**3, n), rng.integers(0, 10, n))
    rows = np.stack([np.arange(n) // (n // 2), of_layer, neuron, rng.integers(0, 5000, n)], axis=1)
    recording = recording_of(rows, layers, n_images=2, n_steps=5000)
    frame.save_spikes(folder / "spikes.npz", recording, [0, 1])
    (folder / "figures").mkdir()
    make_figures(folder, DRAWS)
    picture = folder / "figures" / "first_figure.png"
    picture.write_bytes(picture.read_bytes() + bytes(MOST_BYTES))
    file = write_report(folder, DRAWS)
    page = parsed(file.read_text())
    assert 3_000_000 < file.stat().st_size < MOST_BYTES
    for told in (
        "The first 40 of 200 conditions are drawn.",
        "of 1,000 rows; all are in metrics.csv.",
        "At most 250 steps of a condition are drawn",
        "Too large for this page: first_figure.png",
    ):
        assert told in page.text
    for image in stored(page, "raster-data")["images"]:
        assert "spikes of about one neuron in" in image["note"]


def test_incomplete_results_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not a complete result: there is no metrics\.csv"):
        write_report(tmp_path)


def test_no_failure_of_the_page_loses_a_result(tmp_path, capsys):
    folder = write_result(tmp_path / "result")
    before = sorted(path.name for path in folder.iterdir())
    (folder / "spikes.npz").write_bytes(b"no archive")
    assert try_report(folder) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{folder}/report.html could not be written: " in said
    assert "studies/make_figures.py writes the page again" in said
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_study_ends_with_its_page(finished):
    result = finished("amos")
    page = parsed((result / "report.html").read_text())
    assert_sound(page)
    assert cells_of(page, "metrics") == file_rows(result / "metrics.csv")
    assert len(page.all("img")) == len(list((result / "figures").glob("*.png")))


def test_pages_are_written_again(finished, tmp_path):
    result = finished("amos")
    stored, elsewhere = tmp_path / "stored" / "amos" / result.name, tmp_path / "elsewhere"
    shutil.copytree(result, stored)
    (stored / "report.html").unlink()
    files = command.main(["--results", str(tmp_path / "stored"), "--out", str(elsewhere)])
    assert files[-1] == elsewhere / "amos" / result.name / "report.html"
    assert files[-1].read_bytes() == (result / "report.html").read_bytes()
    assert not (stored / "report.html").exists()


def test_a_study_without_its_page_ends_well(tmp_path, monkeypatch, capsys):
    def fails(*_):
        raise ImportError("No module named 'bokeh'")

    monkeypatch.setattr(report, "write_report", fails)
    monkeypatch.setattr(frame, "make_figures", lambda *_: [])
    flags = ("--quick", "--images", "4", "--target", "numpy", "--neurons-per-gate", "2")
    result = frame.run(AMOS, [*flags, "--out", str(tmp_path)])
    assert (result / "metrics.csv").exists() and not (result / "report.html").exists()
    said = capsys.readouterr()
    assert "report.html could not be written: No module named 'bokeh'" in said.err
    assert "report: none\n" in said.out
