"""The page of a screening: what it says, that it is sound markup, and how it shows in a real browser."""

from __future__ import annotations

import dataclasses
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_cases import CASES, disagreeing, picture, pictures, poisoned, refused, screened

from OsteoScreenLib.densitometry import qct_category
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports import (
    StudyPictures,
    opinion,
    phrases,
    render_html,
    wording,
    write_html,
)
from OsteoScreenLib.reports.text import unbroken
from OsteoScreenLib.results import (
    BoneStatus,
    Check,
    Level,
)

VOID = {"meta", "input", "br", "image", "path", "rect", "line", "stop", "circle"}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render_html(result(), drawn()) for name, (result, drawn) in CASES.items()}


# -- reading the page


class Reader(HTMLParser):
    """Keeps tags in order with their attributes, the visible text, and every fault of nesting."""

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
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("case", CASES)
def test_markup_is_sound_and_accessible(pages: dict[str, str], case: str) -> None:
    page = Reader(pages[case])
    assert page.faults == []
    assert page.all("html")[0]["lang"] == "en"
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("for", "aria-labelledby"):
            assert attributes.get(name) is None or attributes[name] in ids
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") for attributes in page.all("svg"))
    assert all(attributes.get("scope") for attributes in page.all("th"))


@pytest.mark.parametrize("case", CASES)
def test_page_needs_nothing_from_outside(pages: dict[str, str], case: str) -> None:
    page = Reader(pages[case])
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "script" not in policy
    assert not {"script", "link", "iframe", "object", "embed", "a", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "data:image/png;base64,").startswith("data:image/png;base64,")
    styles = pages[case].split("<style>")[1].split("</style>")[0]
    assert "@import" not in styles
    assert "url(" not in styles


def test_screened_page_tells_values_sources_and_limits(pages: dict[str, str]) -> None:
    text = Reader(pages["screened"]).text
    told = [
        "Bone density of L1 and L2", "Screened, with 1 warning", "108 ± 12 mg/cm³ CaHA", "osteopenia",
        "109.2", "116.4", "20.2", "1520", "122.2", "102.2", "104.5", "111.6", "108.1", "0.91",
        "S −320.0 mm", "Slice #20", "set by the reader, confirmed by a reader", "snapped to the centre of the body",
        "reaches across the limit at 120 mg/cm³",
        "under 80 mg/cm³ osteoporosis, 80 to 120 mg/cm³ osteopenia, over 120 mg/cm³ normal",
        "BMD = 0.9236 × (1.053 × HU) − 1.66 mg/cm³ CaHA", "Siemens Osteo tags", "the scanner's own calibration",
        "No classification bundle is installed.", "Made with 140 kVp; prefer a series at 120 kVp.",
        "study-segmentation, version 1.0.0", "cd" * 32, "ab" * 32, "1.2.826.0.1.99", "140 kVp", "B31f",
        "Contrast agent not known", "total 1.15 s", "Research use only", "not DXA", "does not exclude disease",
    ]  # fmt: skip
    assert [item for item in told if item not in text] == []
    assert "not confirmed" not in text
    assert "rules out" not in text


@pytest.mark.parametrize(
    ("value", "shown"), [(79.6, "79.6"), (79.97, "79.97"), (80.2, "80"), (120.3, "120.3"), (97.5, "98")]
)
def test_rounding_never_moves_a_value_into_another_category(value: float, shown: str) -> None:
    assert phrases.bmd_number(value) == shown


@pytest.mark.parametrize(
    ("check", "name"),
    [("kvp_correction", "kVp correction"), ("slice_thickness", "Slice thickness"), ("roi-size", "ROI size"), ("", "")],
)
def test_names_of_checks_read_as_headings(check: str, name: str) -> None:
    assert phrases.check_name(check) == name


def test_path_never_reaches_the_page(pages: dict[str, str]) -> None:
    assert "DOE" not in pages["screened"]
    assert "archive" not in pages["screened"]


def test_unconfirmed_level_says_so_everywhere(pages: dict[str, str]) -> None:
    page = Reader(pages["unconfirmed"])
    assert "Bone density of L1 (not confirmed) and L2" in page.text
    assert "L1 is suggested by the software, and no reader has confirmed the level." in page.text
    assert "L1 (not confirmed) 109 HU" in page.text
    for place in (
        "osteopenia range of the QCT criterion level not confirmed",
        "Measure L1 not confirmed L2",
        "Close-up of L1 not confirmed",
        "suggested, not confirmed",
        "It agrees with the BMD. level not confirmed",
        "names osteopenia. level not confirmed",
    ):
        assert place in page.text
    assert any("L1 (not confirmed)" in (svg.get("aria-label") or "") for svg in page.all("svg"))


def test_a_disagreement_says_what_each_says_and_where_to_look(pages: dict[str, str]) -> None:
    text = Reader(pages["disagreeing"]).text
    told = [
        "Network normal Model 2 (L1 alone) Measured BMD osteopenia 108 ± 12 mg/cm³",
        "It does not agree with the BMD of 108 mg/cm³, whose category is osteopenia.",
        "The network is undecided between normal (0.51) and osteopenia (0.38).",
        "The network saw L1 alone, while the BMD is the mean of L1 and L2.",
        "Where to look, in this order",
        "it lies within its uncertainty of ± 12 mg/cm³ of the limit at 120, so its own category is uncertain.",
        "the confidence is low for L2 (0.41); is one drawn over cortex, or over a vein?",
        "are the slices really in the middle of L1 and L2?",
        "see what the eligibility checks say on kVp and noise L1.",
        "an opinion of a model",
    ]
    places = [text.find(item, text.index("Class from the network")) for item in told]
    assert places == sorted(places)
    assert places[0] > 0


@pytest.mark.parametrize(
    ("bmd", "says", "told"),
    [
        (108.1, "normal", "within its uncertainty of ± 12 mg/cm³ of the limit at 120"),
        (95.0, "normal", "further than its uncertainty of ± 12 mg/cm³ from the limit at 120"),
        (95.0, "osteoporosis", "further than its uncertainty of ± 12 mg/cm³ from the limit at 80"),
        (90.0, "osteoporosis", "within its uncertainty of ± 12 mg/cm³ of the limit at 80"),
        (125.0, "osteopenia", "within its uncertainty of ± 12 mg/cm³ of the limit at 120"),
        (125.0, "osteoporosis", "further than its uncertainty of ± 12 mg/cm³ from the limit at 80"),
        (75.0, "osteopenia", "within its uncertainty of ± 12 mg/cm³ of the limit at 80"),
        (75.0, "normal", "further than its uncertainty of ± 12 mg/cm³ from the limit at 120"),
    ],
)
def test_the_limit_that_matters_is_the_one_towards_the_networks_class(bmd: float, says: BoneStatus, told: str) -> None:
    result = disagreeing()
    assert result.densitometry is not None
    assert result.classification is not None
    result.densitometry = dataclasses.replace(
        result.densitometry, bmd_mg_cm3={"L1": bmd, "L2": bmd, "individual": bmd}, category=qct_category(bmd)
    )
    result.classification = dataclasses.replace(result.classification, category=says)
    assert told in opinion.places_to_look(result)[0]


def test_refused_page_says_why_and_shows_no_value(pages: dict[str, str]) -> None:
    text = Reader(pages["refused"]).text
    assert "Study refused: L1 and L2 not screened" in text
    assert text.index("Made with 80 kVp; screen a series at 120 kVp instead.") < text.index("Slices and outlines")
    assert "Nothing was measured" in text
    assert "Measures" not in text
    assert "± " not in text
    early = Reader(pages["refused before reading"]).text
    assert "The slices have gaps." in early
    assert "Study refused" in early


def test_forced_study_and_refusal_after_measuring_are_not_dressed_up() -> None:
    forced = screened()
    forced.eligibility.append(Check("kvp", "refuse", "Made with 80 kVp."))
    text = Reader(render_html(forced, pictures())).text
    assert "Screened in spite of a refusal" in text
    assert "although 1 eligibility check refused it" in text
    late = refused()
    late.roi = screened().roi
    text = Reader(render_html(late, pictures())).text
    assert "do not use the values" in text


def test_one_level_and_a_user_outline_without_probability() -> None:
    result = screened()
    for part in (result.levels, result.roi):
        del part["L2"]
    result.roi["L1"] = dataclasses.replace(
        result.roi["L1"], mask_source="user", circle_mean_hu=None, circle_centre_ras_mm=None
    )
    assert result.densitometry is not None
    result.densitometry = dataclasses.replace(
        result.densitometry, bmd_mg_cm3={"L1": 104.5, "individual": 104.5}, kvp_factor=1.0
    )
    shown = dataclasses.replace(picture("L1", 20), probability=None)
    page = Reader(render_html(result, StudyPictures({"L1": shown})))
    assert page.faults == []
    assert "Only L1 was measured" in page.text
    assert "the user" in page.text
    assert "does not fit" in page.text
    assert "Colour bar" not in page.text
    assert "(no correction)" in page.text


HOSTILE = '</title></style><script>alert(1)</script><img src=x onerror="alert(1)">{{ 7*7 }}\u202e\x00\ud800\'"&'


def test_text_from_headers_never_becomes_markup(tmp_path: Path) -> None:
    harmless = Reader(render_html(poisoned("x"), pictures()))
    write_html(poisoned(HOSTILE), pictures(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    hostile = Reader(page)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert hostile.faults == []
    assert "<script>alert(1)</script>" in hostile.text
    assert "{{ 7*7 }}" in hostile.text
    assert not set("\u202e\x00") & set(page)


def test_options_of_the_command_line_stay_whole_and_copy_as_they_are_typed(pages: dict[str, str]) -> None:
    assert re.findall(r'<span class="option">(.*?)</span>', pages["unconfirmed"]) == ["--accept", "--correct"]
    told = unbroken("give --l1=-812.5 (or --levels-from <b>) & --" + "a" * 40)
    assert told == (
        'give <span class="option">--l1=-812.5</span> (or <span class="option">--levels-from</span> &lt;b&gt;) &amp; '
        f'<span class="option">--{"a" * 31}</span>{"a" * 9}'
    )


def structure(page: str) -> list[str]:
    """The tags in their order, without those of the command line's options, which any sentence may hold."""
    return [tag for tag, attributes in Reader(page).tags if attributes.get("class") != "option"]


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec=None), min_size=1, max_size=40))
def test_no_text_changes_the_structure(text: str) -> None:
    page = render_html(poisoned("x" + text), StudyPictures())
    plain = render_html(poisoned("x"), StudyPictures())
    assert structure(page) == structure(plain)
    page.encode("utf-8")


def test_page_is_written_whole_small_and_soon(tmp_path: Path) -> None:
    result, drawn = screened(), pictures()
    write_html(result, drawn, tmp_path / "first.html")
    began = time.process_time()
    write_html(result, drawn, tmp_path / "report.html")
    assert time.process_time() - began < 1.0
    assert (tmp_path / "report.html").stat().st_size < 1_500_000
    assert sorted(item.name for item in tmp_path.iterdir()) == ["first.html", "report.html"]
    (tmp_path / "taken").mkdir()
    with pytest.raises(OsteoScreenError, match="taken cannot be written"):
        write_html(result, drawn, tmp_path / "taken")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["first.html", "report.html", "taken"]


def test_a_level_from_a_segmentation_is_not_said_to_be_confirmed_by_a_reader():
    level = Level("L1", -320.0, 20, "segmentation", True)
    assert wording.level_set(level) == "taken from the segmentation that was given"
    assert "reader" not in wording.level_set_short(level)
    assert "not confirmed" in wording.level_set(dataclasses.replace(level, confirmed=False))
