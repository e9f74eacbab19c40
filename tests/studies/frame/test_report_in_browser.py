"""The page of a result in a real browser, without a network.

Needs Chromium (Debian: ``apt-get install chromium``) or Chrome, or the browser that
``playwright install chromium`` brings.
"""

import csv
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from ann2brian.studies.frame.figures import make_figures
from ann2brian.studies.frame.report import write_report
from ann2brian.studies.frame.spike_files import save_spikes

from tests.support.recordings import layer, recording_of
from tests.support.results import AWKWARD, SPIKES, first_figure, write_result

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MOST_MS = 3000  # some 300 on an idle machine
QUIET = ("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-sync")


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=path, args=list(QUIET))
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def opened(browser, file, width=1200):
    """The page, drawn; nothing may be asked of a network or said on the console."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append((message.type, message.text)))
    page.on("pageerror", lambda error: said.append(("error", str(error))))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn=yes]", state="attached", timeout=30_000)
    yield page
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    assert [text for kind, text in said if kind == "error"] == []
    context.close()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = write_result(
        tmp_path_factory.mktemp("results") / "result", [AWKWARD, "other"], classes=["a", "b", "c"]
    )
    make_figures(folder, [first_figure])
    write_report(folder, [first_figure])
    return folder


def of_plot(page, name, expression):
    """Value of an expression about the plot of that name."""
    return page.evaluate(
        f"""() => {{
            const models = Bokeh.documents.find((one) => one.roots()[0].id.startsWith("{name}-"));
            const plot = models.roots()[0];
            const drawn = plot.renderers;
            return {expression};
        }}"""
    )


def middle(page, name):
    """Middle of a plot on the screen, which is scrolled into view."""
    place = page.locator(f"#{name}-plot")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("width", [420, 1200])
def test_loads_without_errors_or_network_and_fits(browser, result, width):
    with opened(browser, result / "report.html", width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#failure").is_hidden()
        assert page.locator("#time-plot canvas").count()
        assert page.locator("#raster-plot canvas").count()
        assert page.locator("#figures img").evaluate("(one) => one.naturalWidth") > 0


def test_numbers_are_those_of_metrics(browser, result):
    with (result / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with opened(browser, result / "report.html") as page:
        for column in ("n_images", "ann_accuracy", "snn_accuracy", "spikes_per_image"):
            found = page.locator(f"#headlines data[data-column={column}]")
            values = found.evaluate_all("(all) => all.map((one) => one.value)")
            assert values == [row[column] for row in rows]
        table = page.locator("[aria-label='metrics.csv'] tr").evaluate_all(
            """(rows) => rows.map((row) => [...row.children].map(
                (cell) => cell.querySelector("data")?.value ?? cell.textContent))"""
        )
    assert table == [[column, *(row[column] for row in rows)] for column in rows[0]]


@pytest.mark.parametrize("name", ["time", "raster"])
def test_zooms_by_box_and_by_wheel_and_resets(browser, result, name):
    ranges = "[plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end]"
    with opened(browser, result / "report.html") as page:
        whole = of_plot(page, name, ranges)
        x, y = middle(page, name)
        page.mouse.move(x - 100, y - 50)
        page.mouse.down()
        page.mouse.move(x + 100, y + 50, steps=5)
        page.mouse.up()
        page.wait_for_timeout(200)
        boxed = of_plot(page, name, ranges)
        assert abs(boxed[1] - boxed[0]) < 0.3 * abs(whole[1] - whole[0])
        assert abs(boxed[3] - boxed[2]) < 0.5 * abs(whole[3] - whole[2])
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(200)
        assert of_plot(page, name, ranges) == boxed  # the page scrolls, the plot does not
        x, y = middle(page, name)
        page.mouse.move(x, y)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -200)
        page.keyboard.up("Control")
        page.wait_for_timeout(200)
        wheeled = of_plot(page, name, ranges)
        assert abs(wheeled[1] - wheeled[0]) < abs(boxed[1] - boxed[0])
        page.locator(f"#{name}-plot .bk-tool-icon-reset").click()
        page.wait_for_timeout(200)
        assert of_plot(page, name, ranges) == pytest.approx(whole)


def test_lines_and_layers_are_switched_off_and_on(browser, result):
    with opened(browser, result / "report.html") as page:
        for name in ("time", "raster"):
            before = of_plot(page, name, "drawn.map((one) => one.visible)")
            assert all(before)
            box = page.locator(f"#{name} input").first
            own = box.get_attribute("data-shows").split()
            box.uncheck()
            hidden = of_plot(page, name, "drawn.filter((one) => !one.visible).map((one) => one.id)")
            assert sorted(hidden) == sorted(own)
            box.check()
            assert of_plot(page, name, "drawn.map((one) => one.visible)") == before


def test_raster_shows_the_chosen_image(browser, result):
    drawn = """drawn.filter((one) => one.data_source.data.has?.("neuron")
        ?? one.data_source.data.neuron).map((one) => {
            const data = one.data_source.data;
            const get = (name) => Array.from(data.get?.(name) ?? data[name]);
            return [get("neuron"), get("time_ms"), get("y")];
        })"""
    with opened(browser, result / "report.html") as page:
        for image in (0, 1, 0):
            page.locator("#image").select_option(str(image))
            for index, (neuron, time_ms, y) in enumerate(of_plot(page, "raster", drawn)):
                own = sorted((s, n) for i, k, n, s in SPIKES if (i, k) == (image, index))
                assert neuron == [n for _, n in own]
                assert time_ms == [0.5 * s for s, _ in own]
                n_neurons = (4, 24)[index]
                assert y == pytest.approx([index + (n + 0.5) / n_neurons for _, n in own])
            n = sum(1 for spike in SPIKES if spike[0] == image)
            assert page.locator("#image-note").inner_text() == f"{n} spikes, all of them drawn."


@pytest.mark.parametrize(("name", "file"), [("time", "accuracy_over_time"), ("raster", "spikes")])
def test_plots_are_saved_as_pictures(browser, result, tmp_path, name, file):
    with opened(browser, result / "report.html") as page:
        with page.expect_download() as download:
            page.locator(f"#{name}-plot .bk-tool-icon-save").click()
        assert download.value.suggested_filename == f"{file}.png"
        download.value.save_as(tmp_path / "saved.png")
        assert (tmp_path / "saved.png").stat().st_size > 5000


def test_pointer_tells_condition_and_neuron_as_text(browser, result):
    with opened(browser, result / "report.html") as page:
        for name, texts in (("time", (AWKWARD, "2.5 ms")), ("raster", ("act1", "23", "2.5 ms"))):
            middle(page, name)
            at = of_plot(
                page,
                name,
                """(() => {
                    const view = Bokeh.index.get_by_id(plot.id);
                    const [x, y] = plot.id.startsWith("time") ? [2.5, 100 * 12 / 60]
                        : [2.5, 1 + 23.5 / 24];
                    const box = view.canvas_view.el.getBoundingClientRect();
                    const frame = view.frame;
                    return [box.x + frame.x_scale.compute(x), box.y + frame.y_scale.compute(y)];
                })()""",
            )
            page.mouse.move(at[0] + 1, at[1])
            page.mouse.move(*at)
            page.wait_for_timeout(300)
            tip = page.locator(".bk-tooltip-content:visible").inner_text()
            for text in texts:
                assert text in tip
            page.mouse.move(0, 0)
            page.wait_for_timeout(300)


def test_a_hundred_thousand_spikes_stay_usable(browser, tmp_path):
    """Another image and a zoom are there soon, even where a processor does the work of a GPU."""
    folder = write_result(tmp_path / "result")
    rng = np.random.default_rng(1)
    layers, n = (layer("one", (32, 32, 16)), layer("two", (8, 8, 16))), 200_000
    which = np.arange(n) % 2
    neuron = rng.integers(0, np.array([32 * 32 * 16, 8 * 8 * 16])[which])
    rows = np.stack([np.arange(n) // (n // 2), which, neuron, rng.integers(0, 500, n)], axis=1)
    recording = recording_of(rows, layers, n_images=2, n_steps=500)
    save_spikes(folder / "spikes.npz", recording, [0, 1])
    file = write_report(folder)
    redrawn = """async (change) => {
        const models = Bokeh.documents.find((one) => one.roots()[0].id.startsWith("raster-"));
        const plot = models.roots()[0];
        const start = performance.now();
        if (change === "image") {
            const choice = document.getElementById("image");
            choice.value = "1";
            choice.dispatchEvent(new Event("change"));
        } else {
            plot.x_range.setv({ start: 100, end: 300 });
        }
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        return performance.now() - start;
    }"""
    with opened(browser, file) as page:
        note = page.locator("#image-note").inner_text()
        assert note == "100,000 spikes, all of them drawn."
        for change in ("image", "zoom"):
            assert page.evaluate(redrawn, change) < MOST_MS
