"""The study's page and tables: what they say, that no text becomes markup or a formula, and how they show."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenTrainingLib.figures.style import DPI, WIDE_IN
from OsteoScreenTrainingLib.study.page import PageFigure, PageTable, Section, StudyPage, write_page
from OsteoScreenTrainingLib.tables import fixed, p_value, plus_minus, with_interval, write_table

HOSTILE = "</td><script>alert(1)</script>\u202e\x00\x1b[31m\"'><img src=http://x.example/a.png> {{ 7*7 }}"
VOID = {"meta", "img", "br"}
RED = (200, 30, 40)


def _files(folder: Path) -> None:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(exist_ok=True)
    for name, width in (("roc", round(WIDE_IN * DPI)), ("agreement", 704)):
        Image.new("RGB", (width, 320), RED).save(folder / "figures" / f"{name}.png")
        (folder / "figures" / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    for name in ("auc", "printed"):
        (folder / "tables" / f"{name}.csv").write_text("a\n", encoding="utf-8")


def _page(word: str = "x", **values: object) -> StudyPage:
    """Return a page that has ``word`` in every free text."""
    tables = [
        PageTable(
            f"AUC {word}", "auc.csv", ["Class", f"AUC {word}", "P"],
            [["normal", word, 0.03312], ["osteopenia", None, float("nan")], ["n", 1048, 3]],
            f"DeLong {word}", frozenset({(0, 2)}),
        ),
        PageTable("As printed", "printed.csv", ["Class"], [["normal"]], kind="published"),
    ]  # fmt: skip
    figures = [
        PageFigure(f"ROC {word}", "roc.png", "roc.svg", f"Test set {word}", f"Three panels {word}"),
        PageFigure("Agreement", "agreement.png", "agreement.svg", "BMD", "Points around zero"),
    ]
    sections = [
        Section("cohort", f"Cohort {word}", [f"First {word}", "Second"]),
        Section("classification", "Classification", tables=tables, figures=figures),
    ]
    whole = StudyPage(
        f"Study {word}", f"quick {word}", "simulated", [("Subjects", f"1048 {word}")], [f"Not patients {word}"],
        sections, [(f"Seed {word}", f"7 {word}")],
    )  # fmt: skip
    return dataclasses.replace(whole, **values)


class Reader(HTMLParser):
    """Keeps tags with their attributes, the visible text, and every fault of nesting."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [values[name] for found, values in self.tags if found == tag and name in values]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _files(tmp_path)
    return tmp_path


def _written(folder: Path, content: StudyPage) -> str:
    return write_page(folder, content).read_text(encoding="utf-8")


# -- what the page says


def test_the_page_says_everything_that_it_is_given(folder: Path) -> None:
    page = Reader(_written(folder, _page("WORD")))
    assert page.faults == []
    for said in (
        "Study WORD", "quick WORD", "Simulated subjects", "Subjects 1048 WORD", "Not patients WORD", "Cohort WORD",
        "First WORD", "Second", "Table 1. AUC WORD", "Table 2. As printed", "DeLong WORD", "Figure 1. ROC WORD",
        "Figure 2. Agreement", "Test set WORD", "Seed WORD", "7 WORD", "0.03312", "1048", "Research use only",
    ):  # fmt: skip
        assert said in page.text, said
    assert "Three panels WORD" in page.attributes("img", "alt")
    assert "nan" not in page.text.lower().replace("provenance", "")
    assert page.text.count("–") == 2


def test_headings_go_down_one_step_at_a_time_and_anchors_lead_somewhere(folder: Path) -> None:
    page = Reader(_written(folder, _page()))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    identifiers = [values["id"] for _, values in page.tags if "id" in values]
    assert len(set(identifiers)) == len(identifiers)
    links = [str(link) for link in page.attributes("a", "href")]
    assert {link[1:] for link in links if link.startswith("#")} == {
        "section-cohort", "section-classification", "provenance",
    } <= set(identifiers)  # fmt: skip
    assert set(page.attributes("section", "aria-labelledby")) <= set(identifiers)
    assert set(page.attributes("div", "aria-labelledby")) <= set(identifiers)


def test_every_figure_and_table_is_linked_beside_the_page(folder: Path) -> None:
    page = Reader(_written(folder, _page()))
    files = {str(link) for link in page.attributes("a", "href") if not str(link).startswith("#")}
    assert files == {"tables/auc.csv", "tables/printed.csv", "figures/roc.svg", "figures/agreement.svg"}
    pictures = page.attributes("img", "src")
    assert pictures == ["figures/roc.png", "figures/agreement.png"]
    assert all((folder / str(name)).is_file() for name in (*files, *pictures))
    # 1152 pixels at 160 per inch are 7.2 inches of 96 CSS pixels.
    assert page.attributes("img", "width") == ["691", "422"]


def test_what_is_simulated_is_called_so_and_what_is_not_is_not(folder: Path) -> None:
    simulated = Reader(_written(folder, _page()))
    assert simulated.text.count(" simulated ") >= 3
    assert "Table 1. AUC x simulated" in simulated.text
    assert "Table 2. As printed published" in simulated.text
    assert "(simulated) · OsteoScreen" in simulated.text
    real = Reader(_written(folder, _page(kind="real")))
    assert "imulated" not in real.text
    assert "Real scans" in real.text
    assert "Table 2. As printed published" in real.text
    assert "Table 1. AUC x Class" in real.text


def test_emphasised_cells_are_marked(folder: Path) -> None:
    page = Reader(_written(folder, _page()))
    marked = [index for index, (tag, _) in enumerate(page.tags) if tag in ("th", "td")]
    cells = [(page.tags[index][0], page.tags[index][1].get("class")) for index in marked]
    assert cells[:9] == [("th", None)] * 4 + [("td", None), ("td", "strong"), ("th", None), ("td", None), ("td", None)]


# -- what it must not do


def test_no_text_becomes_markup(folder: Path) -> None:
    harmless = Reader(_written(folder, _page("x")))
    written = _written(folder, _page(HOSTILE))
    hostile = Reader(written)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert hostile.faults == []
    assert "<script>alert(1)</script>" in hostile.text
    assert "{{ 7*7 }}" in hostile.text
    assert not set("\u202e\x00\x1b") & set(written)


@settings(max_examples=20, deadline=None)
@given(word=st.text(st.characters(codec=None), min_size=1, max_size=40))
def test_no_text_changes_the_structure(tmp_path_factory: pytest.TempPathFactory, word: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "structure"
    _files(folder)
    plain, other = (Reader(_written(folder, _page(text))) for text in ("x", "x" + word))
    assert [tag for tag, _ in plain.tags] == [tag for tag, _ in other.tags]


def test_the_page_asks_the_network_for_nothing(folder: Path) -> None:
    written = _written(folder, _page())
    page = Reader(written)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, values in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in values), tag
        for name in ("src", "href", "srcset", "data", "action"):
            assert not re.match(r"\s*(?:[a-z][a-z0-9+.-]*:|//)", values.get(name) or "", re.IGNORECASE)
    assert not re.search(r"url\(|@import", written)
    policy = page.attributes("meta", "content")[0] or ""
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe", policy)


@pytest.mark.parametrize(
    "name", ["../roc.png", "/etc/passwd", "http://x/a.png", "javascript:alert(1)", "", ".hidden", "a b"]
)
def test_a_file_name_that_leads_elsewhere_is_refused(folder: Path, name: str) -> None:
    for figure in (PageFigure("t", name, "roc.svg", "c", "a"), PageFigure("t", "roc.png", name, "c", "a")):
        with pytest.raises(ValueError, match="plain file name"):
            write_page(folder, _page(sections=[Section("a", "A", figures=[figure])]))
    with pytest.raises(ValueError, match="plain file name"):
        write_page(folder, _page(sections=[Section("a", "A", tables=[PageTable("t", name, ["a"], [["b"]])])]))
    assert not (folder / "index.html").exists()


def test_missing_files_bad_anchors_and_ragged_tables_are_refused(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.svg"):
        write_page(
            folder, _page(sections=[Section("a", "A", figures=[PageFigure("t", "roc.png", "none.svg", "c", "a")])])
        )
    for anchors in (["a", "a"], ["A b"], ['x" onload'], [""]):
        with pytest.raises(ValueError, match="identifiers"):
            write_page(folder, _page(sections=[Section(anchor, "A") for anchor in anchors]))
    with pytest.raises(ValueError, match="differs from its header"):
        table = PageTable("t", "auc.csv", ["a", "b"], [["c"]])
        write_page(folder, _page(sections=[Section("a", "A", tables=[table])]))


def test_the_page_is_replaced_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _written(folder, _page("first"))
    assert _written(folder, _page("second")) != first
    assert _written(folder, _page("first")) == first
    before = sorted(item.name for item in folder.iterdir())

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("OsteoScreenLib.results_io.os.replace", fails)
    with pytest.raises(OsteoScreenError, match="the disk is full"):
        write_page(folder, _page("third"))
    assert (folder / "index.html").read_text(encoding="utf-8") == first
    assert sorted(item.name for item in folder.iterdir()) == before == ["figures", "index.html", "tables"]


# -- tables


def test_a_table_is_written_twice_with_the_same_columns(tmp_path: Path) -> None:
    rows = [["normal", 251, 0.989, None], ["osteopenia, mild", np.int64(116), np.float64(0.952), float("nan")]]
    paths = write_table(tmp_path / "new" / "table.3", ["class", "n", "auc", "note"], rows)
    assert [path.name for path in paths] == ["table.3.csv", "table.3.json"]
    with open(paths[0], newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["class", "n", "auc", "note"], ["normal", "251", "0.989", ""], ["osteopenia, mild", "116", "0.952", ""],
        ]  # fmt: skip
    assert json.loads(paths[1].read_text(encoding="utf-8")) == [
        {"class": "normal", "n": 251, "auc": 0.989, "note": None},
        {"class": "osteopenia, mild", "n": 116, "auc": 0.952, "note": None},
    ]
    assert sorted(item.name for item in paths[0].parent.iterdir()) == ["table.3.csv", "table.3.json"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_a_text_is_never_a_formula_and_a_number_stays_one(tmp_path: Path, text: str) -> None:
    safe = "'" + text.strip()
    path, other = write_table(tmp_path / "t", [text, "x"], [[text, -1.5], ["plain", -2]])
    with open(path, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [[safe, "x"], [safe, "-1.5"], ["plain", "-2"]]
    assert json.loads(other.read_text(encoding="utf-8"))[0] == {text: text, "x": -1.5}


def test_a_text_is_no_formula_where_a_semicolon_parts_cells_either(tmp_path: Path) -> None:
    path, _ = write_table(tmp_path / "t", ["scanner"], [["A;=1+1"]])
    assert path.read_text(encoding="utf-8") == "scanner\nA;'=1+1\n"


def test_a_table_that_loses_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="comes twice"):
        write_table(tmp_path / "t", ["a", "a"], [])
    with pytest.raises(ValueError, match="Row 2 has 1 cells"):
        write_table(tmp_path / "t", ["a", "b"], [[1, 2], [1]])
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_written_for_reading() -> None:
    assert fixed(-0.0004, 2) == "0.00"
    assert fixed(-1.25, 1) == "−1.2"
    assert fixed(float("nan"), 1) == "–"
    assert with_interval(0.9511, 0.9321, 0.97, 3) == "0.951 (0.932–0.970)"
    assert with_interval(-1.5, -2.4, -0.6, 1) == "−1.5 (−2.4 to −0.6)"
    assert plus_minus(130.281, 42.756, 2) == "130.28 ± 42.76"
    assert with_interval(0.5, float("nan"), float("nan"), 2) == "0.50"
    assert plus_minus(38.85, float("nan"), 2) == "38.85"


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.033, ".033"), (0.2101, ".210"), (0.001, ".001"), (0.00099, "< .001"), (0, "< .001"), (1, "> .999"),
     (0.9996, "> .999"), (0.999, ".999"), (float("nan"), "–")],
)  # fmt: skip
def test_a_p_value_has_three_digits_and_two_bounds(p: float, text: str) -> None:
    assert p_value(p) == text


@pytest.mark.parametrize("p", [-0.1, 1.1, float("inf")])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        p_value(p)


# -- in a browser


@pytest.mark.parametrize(("scheme", "background"), [("light", (0xF4, 0xF5, 0xF7)), ("dark", (0x10, 0x15, 0x1B))])
def test_figures_show_from_a_disk_in_both_schemes(
    chromium: Callable[..., bytes], folder: Path, scheme: str, background: tuple[int, int, int]
) -> None:
    page = write_page(folder, _page())
    target = folder / "shot.png"
    preference = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    chromium(*preference, f"--screenshot={target}", "--window-size=1200,2600", page.as_uri())
    shot = np.asarray(Image.open(io.BytesIO(target.read_bytes())).convert("RGB")).astype(int)
    assert tuple(shot[2, 2].tolist()) == background
    assert (np.abs(shot - RED).sum(axis=-1) < 12).sum() > 150_000


def test_nothing_sticks_out_of_a_phone_or_a_workstation(chromium: Callable[..., bytes], folder: Path) -> None:
    wide = PageTable("Wide", "auc.csv", [f"Column {n}" for n in range(20)], [["0.989 (0.983–0.996)"] * 20])
    sections = [*_page().sections, Section("wide", "W" * 120, ["w" * 200], [wide])]
    written = _written(folder, _page(sections=sections))
    probe = (
        "<script>addEventListener('load', () => parent.postMessage({width: innerWidth, needed:"
        "document.documentElement.scrollWidth}, '*'));</script>"
    )
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', probe, written)
    assert copy != written
    (folder / "copy.html").write_text(copy, encoding="utf-8")
    collect = (
        '<pre id="found"></pre><script>const found = []; addEventListener("message", event => { found.push(event.data);'
        'document.getElementById("found").textContent = JSON.stringify(found); });</script>'
    )
    widths = (360, 400, 800, 1400)
    frames = [f'<iframe src="copy.html" style="width:{width}px;height:600px;border:0"></iframe>' for width in widths]
    (folder / "frames.html").write_text(collect + "".join(frames), encoding="utf-8")
    dump = chromium("--virtual-time-budget=10000", "--dump-dom", (folder / "frames.html").as_uri()).decode()
    found = json.loads(html.unescape(dump.split('<pre id="found">')[1].split("</pre>")[0]))
    assert {item["width"] for item in found} == set(widths)
    assert all(item["needed"] <= item["width"] for item in found), found
