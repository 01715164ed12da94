"""The study's figures: two files each, readable, and the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import matplotlib
import matplotlib.text
import numpy as np
import pytest
from PIL import Image

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenTrainingLib.figures.style import DPI, SMALL_PT, line, save, series
from Testing.Python.drawn_figures import FIGURES, a_bland_altman, a_decision_curve, texts

Saver = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saver:
    """Return what saves a figure of :data:`FIGURES` into a new folder of its own, once."""
    return lru_cache(maxsize=None)(lambda name: save(FIGURES[name][0](), tmp_path_factory.mktemp(name) / "new", name))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_becomes_a_picture_and_a_drawing_with_its_words(name: str, saved: Saver) -> None:
    _, inches, words = FIGURES[name]
    png, svg = saved(name)
    assert sorted(item.name for item in png.parent.iterdir()) == [f"{name}.png", f"{name}.svg"]
    with Image.open(png) as picture:
        assert picture.format == "PNG"
        width, height = picture.size
        pixels = np.asarray(picture.convert("L"))
    assert width in (round(7.2 * DPI), round(4.4 * DPI))
    if inches is not None:
        assert (width, height) == (round(inches[0] * DPI), round(inches[1] * DPI))
    assert 0.01 < (pixels < 200).mean() < 0.9
    shown = [text.replace("\xa0", " ") for text in texts(svg)]
    for word in words:
        assert any(word == text or (len(word) > 12 and word in text) for text in shown), f"{word!r} not in {shown}"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_bytes_whatever_the_users_settings_are(name: str, saved: Saver, tmp_path: Path) -> None:
    first = saved(name)
    with matplotlib.rc_context({"font.size": 22, "axes.facecolor": "black", "svg.fonttype": "path", "savefig.dpi": 50}):
        second = save(FIGURES[name][0](), tmp_path, name)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    text = first[1].read_text(encoding="utf-8")
    assert "<dc:date>" not in text
    assert not re.search(r'(?:href|src)="(?!#|data:image/png;base64,)', text)


@pytest.mark.parametrize("name", FIGURES)
def test_no_letter_is_small_or_cut_off(name: str) -> None:
    figure = FIGURES[name][0]()
    figure.draw_without_rendering()
    size = figure.bbox
    texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text().strip()]
    drawn = [text for text in texts if text.get_window_extent().width > 0]
    assert len(drawn) > 5
    for text in drawn:
        assert text.get_fontsize() >= SMALL_PT or "mathdefault" in text.get_text(), text.get_text()
    for axes in figure.findobj(matplotlib.axes.Axes):
        box = axes.get_tightbbox()
        if box is not None:
            assert box.x0 >= size.x0 - 2 and box.y0 >= size.y0 - 2, axes.get_title()
            assert box.x1 <= size.x1 + 2 and box.y1 <= size.y1 + 2, axes.get_title()


def test_a_failed_save_leaves_the_older_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png, svg = save(a_decision_curve(), tmp_path, "curve")
    before = png.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OsteoScreenError, match="cannot be written: no room"):
        save(a_bland_altman(), tmp_path, "curve")
    assert png.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [png, svg]


def test_series_differ_in_colour_line_and_marker_and_do_not_repeat() -> None:
    looks = [series(index) for index in range(6)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks}) == 6
    assert line(0)["marker"] == ""
    with pytest.raises(ValueError, match="at most 6"):
        series(6)
