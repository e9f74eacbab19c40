"""What README and docs say against the project: links, tables, size, papers."""

import re
import unicodedata

import pandas as pd
import pytest
from ann2brian.models.places import ROOT
from ann2brian.studies import publish, run_amos
from ann2brian.studies.catalogue import REPORTS
from ann2brian.studies.frame.publishing import PUBLISHED, filled, generators

import ann2brian as ab
from tests.support.pages import PAGES, README, name

LARGEST_README = 6 * 1024
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:models|studies|analysis|notebooks|docs|tests)/[\w./*-]+)`")
MARKER = re.compile(r"^<!-- (end )?([\w ]+?)(?:: [^\n]+)? -->$", re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def test_readme_is_short():
    assert len(README.read_bytes()) <= LARGEST_README


@every_page
def test_links_and_paths_exist(page):
    """Links relative to the page, and paths in backquotes relative to the repository."""
    text = page.read_text()
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads]
    for pattern in PATH.findall(text):
        assert list(ROOT.glob(pattern)), pattern


def test_pages_are_reached_from_the_readme():
    """No page is an orphan."""
    reached, new = set(), {README}
    while new:
        page = new.pop()
        reached.add(page)
        links = {
            (page.parent / t.partition("#")[0]).resolve() for t in LINK.findall(page.read_text())
        }
        new |= {path for path in links if path.suffix == ".md" and path.exists()} - reached
    assert set(PAGES) <= reached


@every_page
def test_tables_are_generated(page):
    """What stands between markers is what the numbers give, and every marker has its end."""
    text = page.read_text()
    assert filled(text, publish.tables()) == text
    starts, ends = (
        [n for end, n in MARKER.findall(text) if bool(end) is is_end] for is_end in (False, True)
    )
    assert starts == ends
    for table in starts:
        rows = re.search(rf"<!-- {table}(?:: [^\n]+)? -->\n(.*?)<!-- end", text, re.DOTALL)[1]
        assert rows.startswith("| "), f"{table} is empty"


def test_published_numbers_and_pictures_are_shown():
    """Every published table and picture stands on a page."""
    text = "".join(page.read_text() for page in PAGES)
    for path in PUBLISHED.iterdir():
        shown = f"studies/published/{path.name}" in text
        assert shown or (path.suffix == ".csv" and f"<!-- {path.stem}" in text), path.name


def test_a_condition_picks_rows(tmp_path):
    """A marker with a condition shows these rows, one without shows all."""
    table = pd.DataFrame({"quantity": ["a", "b"], "value": [1.0, 2.0]})
    table = table.assign(low=table.value, high=3.0, rounds=5)
    table.to_csv(tmp_path / "benchmark.csv", index=False)
    tables = generators(REPORTS, tmp_path)
    text = '<!-- benchmark: quantity == "b" -->\nold\n<!-- end benchmark -->\n'
    assert filled(text, tables).splitlines()[3:-1] == ["| b | 2 | 2 to 3 | 5 |"]
    assert "| a | 1 | 1 to 3 | 5 |" in filled(text.replace(': quantity == "b"', ""), tables)


def printed_block():
    """Lines that the README says `make study` prints."""
    text = README.read_text()
    start = text.index("    amos, digits")
    return [line.removeprefix("    ") for line in text[start:].partition("\n\n")[0].splitlines()]


def test_readme_prints_the_published_numbers():
    """Numbers of the printed lines against the published run of the same command."""
    (row,) = pd.read_csv(PUBLISHED / "amos.csv").query("dataset == 'digits'").itertuples()
    rate = row.images_per_biological_s
    wanted = {
        f"amos, {row.dataset}, {row.network}, K = {row.neurons_per_gate}",
        f"  accuracy, trained network  {row.ann_accuracy:.2%}",
        f"  accuracy, spiking network  {row.snn_accuracy:.2%}",
        f"  agreement of the two       {row.agreement:.2%} of {row.n_images} images",
        f"  spikes per neuron          {row.spikes_per_neuron:.3f} of {row.n_neurons} neurons",
        f"  latency                    {row.latency_slots} slots",
        f"  throughput                 {rate:.1f} images per biological second",
        f"  spikes per image           {row.spikes_per_image:.0f}",
        f"  most spikes of any neuron  {row.max_spikes_per_neuron} per image",
        f"  synaptic events            {row.synaptic_events_per_image:.3g} per image",
        f"  biological time            {row.latency_ms:g} ms",
    }
    left = [line for line in printed_block() if line not in wanted]
    assert len(printed_block()) - len(left) == len(wanted)
    assert all("..." in line for line in left)


def test_readme_prints_the_lines_of_the_study(tmp_path, capsys):
    """The printed lines, but for their numbers, against those of a quick run."""
    run_amos.main(["--quick", "--target", "numpy", "--out", str(tmp_path / "results")])
    found = capsys.readouterr().out.replace(str(tmp_path / "results"), "results").splitlines()

    def words(line):
        line = re.sub(r"(?<=-K8-)[\w.]+", "#", line)
        return re.sub(r"\.\.\.|\d[\d.e+]*%?( s, [\d.]+ s)?", "#", line)

    block = printed_block()
    assert [words(line) for line in found[-len(block) :]] == [words(line) for line in block]


def references():
    """References of CITATION.cff by key: StocklMaass2019 for two authors, XuEtAl2022 for more."""
    _, *entries = re.split(r"^  - type:", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    found = {}
    for entry in entries:
        families = unicodedata.normalize("NFKD", entry).encode("ascii", "ignore").decode()
        families = re.findall(r"- family-names: (\w+)", families)
        who = "".join(families) if len(families) < 3 else f"{families[0]}EtAl"
        found[who + re.search(r"^    year: (\d{4})$", entry, re.MULTILINE)[1]] = entry
    assert len(found) == len(entries)
    return found


def test_every_scheme_has_its_paper():
    """Papers of the registry against CITATION.cff, by authors and year."""
    known = references()
    for scheme in ab.SCHEMES.values():
        assert scheme.paper in known, scheme.name
        assert re.search(r"notes: \"arXiv:\d{4}\.\d{5}", known[scheme.paper])


def test_messages_of_the_page_are_those_of_the_code():
    """The words of each message in docs/bring-a-network.md against the sources."""
    text = (ROOT / "docs/bring-a-network.md").read_text()
    table = text.split("## Messages and remedies")[1].split("##")[0]
    messages = [line.split("|")[1].strip() for line in table.splitlines()[4:] if line[:1] == "|"]
    code = "".join(path.read_text() for path in (ROOT / "models").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    assert len(messages) > 5
    for message in messages:
        for part in message.split("..."):
            assert part.strip(" ,") in code, message
