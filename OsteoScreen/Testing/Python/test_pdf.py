"""The sheet: one page of A4 whatever stands on it, complete, and with nothing of the patient in its properties."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import harmless
import numpy as np
import pytest
from PIL import Image
from report_cases import CASES, decided, disagreeing, followed_up, pictures, refused, screened, suggested, unconfirmed
from test_hostile_text import whole_result, with_text

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports import StudyPictures
from OsteoScreenLib.reports.pdf import render_pdf, write_pdf
from OsteoScreenLib.results import Check, Decision, Identity, ScreeningResult

WRITTEN = datetime(2026, 11, 26, 9, 30, tzinfo=timezone.utc)
with_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="no pdftotext on this machine (Debian package poppler-utils)"
)
LONG = {
    "words": "Somebody wrote this and did not stop. " * 60,
    "one word": "W" * 2000,
    "narrow": "i" * 5000,
    "no glyphs": "\u0e01\u4e2d\U0001f9b4" * 700,
    "markup": "<b><para><img src='x'/></b>&amp;" * 60,
}


def told(result: ScreeningResult, shown: StudyPictures | None = None) -> str:
    """The sheet's words, as a reader of the file finds them."""
    answer = subprocess.run(
        ["pdftotext", "-", "-"], input=render_pdf(result, shown or pictures(), WRITTEN), capture_output=True, check=True
    )
    return " ".join(answer.stdout.decode("utf-8").split())


@pytest.mark.parametrize("case", CASES)
def test_each_result_is_one_sheet_of_a4(case: str) -> None:
    make, drawn = CASES[case]
    sheet = render_pdf(make(), drawn(), WRITTEN)
    assert sheet.startswith(b"%PDF-")
    assert harmless.pdf_faults(sheet) == []
    assert [float(x) for x in re.findall(rb"/MediaBox\s*\[([^\]]*)\]", sheet)[0].split()] == pytest.approx(
        [0, 0, 595.28, 841.89], abs=0.01
    )
    assert len(sheet) < 1_000_000


@pytest.mark.parametrize("kind", LONG)
def test_texts_without_end_stay_on_the_sheet(kind: str) -> None:
    result = with_text(whole_result(), lambda _: LONG[kind], iter(range(10_000)))
    result.levels = {name: dataclasses.replace(level, name=name) for name, level in result.levels.items()}
    result.eligibility = [Check(LONG[kind], outcome, LONG[kind]) for outcome in ("warn", "refuse") for _ in range(40)]
    result.decisions = [Decision("corrected", LONG[kind], "2026-11-26T10:15:00+01:00", [LONG[kind]] * 9, LONG[kind])]
    result.follow_up *= 9
    result.bundles *= 30
    result.software = {f"{n}{LONG[kind]}": LONG[kind] for n in range(40)}
    for status in ("screened", "refused"):
        result.status = status  # type: ignore[assignment]
        assert harmless.pdf_faults(render_pdf(result, pictures(), WRITTEN)) == []


def drawn_in(sheet: bytes, tmp_path: Path) -> np.ndarray:
    """The sheet's pixels (rows, columns, 3) at 60 dots per inch."""
    (tmp_path / "sheet.pdf").write_bytes(sheet)
    command = ["pdftoppm", "-r", "60", "-png", "-singlefile", str(tmp_path / "sheet.pdf"), str(tmp_path / "sheet")]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes())).convert("RGB")).astype(int)


@with_poppler
@pytest.mark.parametrize("make", [screened, suggested, disagreeing, followed_up, refused, whole_result])
def test_nothing_runs_into_the_margins(make: Callable[[], ScreeningResult], tmp_path: Path) -> None:
    result = with_text(make(), lambda _: LONG["words"], iter(range(10_000)))
    result.levels = {name: dataclasses.replace(level, name=name) for name, level in result.levels.items()}
    for shown in (make(), result):
        pixels = drawn_in(render_pdf(shown, pictures(), WRITTEN), tmp_path)
        margin = round(8.5 / 25.4 * 60)
        edges = (pixels[:margin], pixels[-margin:], pixels[:, :margin], pixels[:, -margin:])
        assert all((edge > 250).all() for edge in edges)


@with_poppler
def test_the_sheet_says_what_the_page_says() -> None:
    text = told(unconfirmed())
    for words in (
        "Bone density of L1 (not confirmed) and L2", "! Level not confirmed.", "± 12", "mg/cm³ CaHA",
        "range of the QCT criterion", "Class from the network: osteopenia", "109.2", "116.4", "104.5",
        "Made with 140 kVp; prefer a series at 120 kVp.", "BMD = 0.9236 × (1.053 × HU) − 1.66 mg/cm³ CaHA",
        "the scanner's own calibration", "study-segmentation 1.0.0", "Research use only", "not DXA",
        "does not exclude disease", "2026-11-26 09:30 UTC", "L1 not confirmed",
    ):  # fmt: skip
        assert words in text, words
    assert "DOE" not in text
    followed = told(followed_up())
    assert "Accepted by Dr. A. Reader on 2026-11-26 10:15 +01:00." in followed
    assert "lower by 14.7 mg/cm³" in followed
    # The verdict is not cut, and the latest comparison stands first.
    assert followed.index("not expected of measuring twice alone.") < followed.index("different minerals.")


@with_poppler
def test_a_refused_or_discarded_study_shows_no_headline() -> None:
    text = told(refused(), StudyPictures())
    assert "Made with 80 kVp; screen a series at 120 kVp instead." in text
    assert "± 12" not in text
    thrown = told(decided("discarded"))
    assert "Discarded by Dr. A. Reader on 2026-11-26 10:15 +01:00. The values are kept for the record" in thrown
    assert "range of the QCT criterion" not in thrown
    assert "Measures: not to be used" in thrown


@with_poppler
def test_names_in_other_scripts_are_read_back_and_what_has_no_glyph_is_a_box() -> None:
    result = screened()
    result.identity = Identity("Müller^Jürgen=Łuczak", "Αθήνα-Москва", "", "", "\u4e2d")
    text = told(result)
    assert "Müller^Jürgen=Łuczak" in text
    assert "Αθήνα-Москва" in text
    assert "Accession □" in text


def test_properties_say_nothing_of_the_patient_and_the_fonts_are_in_the_file() -> None:
    result = screened()
    result.identity = Identity("Doe^Jane", "4711", "19570301", "20260102", "ACC-9", "1.2.826.0.1.5")
    sheet = render_pdf(result, pictures(), WRITTEN)
    plain = re.sub(rb"stream\r?\n.*?endstream", b"", sheet, flags=re.DOTALL)
    for secret in (b"Doe", b"Jane", b"4711", b"1957", b"ACC-9", b"1.2.826"):
        assert secret not in plain
    assert b"(OsteoScreen report)" in plain
    fonts = re.findall(rb"/BaseFont\s*/([A-Za-z+-]+)", plain)
    assert fonts
    assert all(b"DejaVuSans" in font for font in fonts)
    assert plain.count(b"/FontFile2") == plain.count(b"/FontDescriptor ") >= 2


def test_the_same_result_gives_the_same_bytes_and_the_file_is_whole(tmp_path: Path) -> None:
    first = render_pdf(screened(), pictures(), WRITTEN)
    assert render_pdf(screened(), pictures(), WRITTEN) == first
    assert write_pdf(screened(), pictures(), tmp_path / "report.pdf", WRITTEN).read_bytes() == first
    (tmp_path / "taken").mkdir()
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        write_pdf(screened(), pictures(), tmp_path / "taken", WRITTEN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.pdf", "taken"]
