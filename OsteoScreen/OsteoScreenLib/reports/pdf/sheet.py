"""What stands where on the sheet. The words are those of the page: `wording`, `opinion`, `views`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from ...decisions import in_force, is_discarded
from ...results import ScreeningResult
from ...results_io import write_bytes_atomically
from .. import opinion, views, wording
from ..change import follow_up_sentences
from ..decided import decision_sentence
from ..pictures import StudyPictures
from .checks import checks_height, draw_checks, list_checks
from .headline import draw_headline
from .layout import BODY, BOTTOM_MM, GAP_MM, INNER_MM, MARGIN_MM, RIGHT_MM, SMALL, TONES, draw_badge
from .measures import draw_measures, measures_height
from .paper import Paper, Run, Style
from .picture_row import draw_pictures, shown_pictures
from .sources import draw_sources, sources_height

#: The pictures get what the text leaves, between these heights.
PICTURES_MM = (34.0, 62.0)
TABLE_MM = 113.0
HEADLINE_MM = 68.0
REASONS_MOST_MM = 90.0
CHECKS_MOST_MM = 60.0
#: Earlier results that are told of.
MOST_CHANGES = 2


def write_pdf(
    result: ScreeningResult, pictures: StudyPictures, path: str | os.PathLike[str], written: datetime | None = None
) -> Path:
    """Write the sheet to ``path``, whole or not at all; returns the path. See `render_pdf`.

    Raises OsteoScreenError where the file cannot be written.
    """
    return write_bytes_atomically(render_pdf(result, pictures, written), path)


def render_pdf(result: ScreeningResult, pictures: StudyPictures, written: datetime | None = None) -> bytes:
    """The report on one sheet of A4, as the bytes of a PDF.

    ``written`` (now, where it is None) is the time that the sheet bears; with it, the same result and pictures give the
    same bytes. The input's path is left out, and the document's properties say nothing of the patient.
    """
    return _Sheet(result, pictures, (written or datetime.now(timezone.utc)).astimezone(timezone.utc)).rendered()


class _Sheet:
    """Draws one result from the top, the sources from the bottom, and the pictures into what is left between."""

    def __init__(self, result: ScreeningResult, pictures: StudyPictures, written: datetime) -> None:
        self.result = result
        self.written = written
        self.levels = views.level_views(result, pictures)
        self.pictures = shown_pictures(self.levels, views.sagittal_figure(result, pictures))
        self.checks = [check for check in views.sorted_checks(result.eligibility) if check.outcome != "pass"]
        self.groups = views.measure_groups(result)
        self.stands = result.status == "screened" and not is_discarded(result)
        # Without the title's levels: what a file manager shows of a document is seen by anybody.
        self.paper = Paper("OsteoScreen report", written)

    def rendered(self) -> bytes:
        """Draw all of it; what is below the summary is measured first, so that the summary leaves it its room."""
        limit = BOTTOM_MM - sources_height(self.paper, self.result) - GAP_MM
        y = self._header(MARGIN_MM - 2.0)
        if self.result.status == "refused":
            y = self._reasons(y, limit)
        if self.groups:
            below = measures_height(self.groups)
        else:
            below = min(checks_height(self.paper, self.checks, INNER_MM), CHECKS_MOST_MM)
        kept = below + GAP_MM + (PICTURES_MM[0] + GAP_MM if self.pictures else 0.0)
        y = self._summary(y, limit - kept) + GAP_MM
        if self.pictures:
            y = self._pictures(y, min(limit - y - below - GAP_MM, PICTURES_MM[1])) + GAP_MM
        self._tables(y, limit)
        draw_sources(self.paper, self.result, limit + GAP_MM)
        return self.paper.finished()

    def _header(self, y: float) -> float:
        paper = self.paper
        paper.word(MARGIN_MM, y + 3.4, "OsteoScreen", Style(10, "accent", bold=True))
        draw_badge(paper, MARGIN_MM + 28.0, y, "Research use only", "ink", "card")
        paper.word(RIGHT_MM, y + 3.2, self.written.strftime("%Y-%m-%d %H:%M UTC"), Style(7.2, "soft", align="right"))
        y += 6.2
        title = Style(15, bold=True)
        y += paper.text(MARGIN_MM, y, INNER_MM, wording.title(self.result), title, 2 * paper.line_height(title)) + 1.4
        outcome, symbol, words = wording.status(self.result)
        draw_badge(paper, MARGIN_MM, y, f"{symbol} {words}", TONES[outcome], f"{TONES[outcome]}-fill", bold=True)
        y += 5.8
        if lines := views.identity_lines(self.result.identity):
            runs = [run for label, value in lines for run in (Run(f"{label} "), Run(value, bold=True), Run(" · "))][:-1]
            y += paper.text(MARGIN_MM, y, INNER_MM, runs, BODY, 3 * paper.line_height(BODY)) + 1.0
        if note := wording.unconfirmed_note(self.result):
            y += self._notice(y, [Run("! Level not confirmed. ", bold=True), Run(note)]) + 1.5
        return y + 1.0

    def _notice(self, y: float, runs: Sequence[Run]) -> float:
        style = Style(8.6, "warn")
        most = 4 * self.paper.line_height(style)
        height = min(self.paper.height(runs, INNER_MM - 7.0, style), most) + 2.6
        self.paper.box(MARGIN_MM, y, INNER_MM, height, fill="warn-fill", edge="warn")
        self.paper.box(MARGIN_MM, y, 1.6, height, fill="warn")
        self.paper.text(MARGIN_MM + 4.0, y + 1.0, INNER_MM - 7.0, runs, style, most)
        return height

    def _reasons(self, y: float, limit: float) -> float:
        """Why the study was refused; the checks that are told here are not told again."""
        y += self.paper.text(MARGIN_MM, y, INNER_MM, wording.summary(self.result)[0], Style(9, bold=True)) + 1.2
        reasons = [check for check in self.checks if check.outcome == "refuse"]
        self.checks = [check for check in self.checks if check.outcome != "refuse"]
        return list_checks(self.paper, reasons, MARGIN_MM, y, INNER_MM, min(limit, y + REASONS_MOST_MM)) + 1.2

    def _summary(self, y: float, limit: float) -> float:
        density, scale = self.result.densitometry, views.bmd_scale(self.result)
        if not self.stands or density is None or scale is None:
            return self._words(MARGIN_MM, y, INNER_MM, limit)
        ends = draw_headline(self.paper, density, scale, self.result.classification, y, HEADLINE_MM)
        beside = HEADLINE_MM + 6.0
        return max(ends, self._words(MARGIN_MM + beside, y, INNER_MM - beside, limit))

    def _words(self, x: float, y: float, width: float, limit: float) -> float:
        paper, result = self.paper, self.result
        sentences = wording.summary(result)
        # A refused study's first sentence stands above already, with the reasons below it.
        told = [Run(" ".join(sentences[1:] if result.status == "refused" else sentences))]
        if self.stands:
            told.append(Run(" ".join(["", *opinion.notes(result)])))
        parts: list[tuple[list[Run], Style, int]] = [(told, BODY, 16)]
        parts += [([Run(f"{heading}. ", bold=True), Run(words)], BODY, 7) for heading, words in self._reader_says()]
        if self.stands and (places := opinion.places_to_look(result)):
            listed = " ".join(f"{number}. {place}" for number, place in enumerate(places, 1))
            parts.append(([Run("Where to look, in this order. ", bold=True), Run(listed)], SMALL, 6))
        for runs, style, lines in parts:
            line = paper.line_height(style)
            if limit - y >= line:
                y += paper.text(x, y, width, runs, style, min(lines * line, limit - y)) + 1.2
        return y

    def _reader_says(self) -> list[tuple[str, str]]:
        # The summary of a discarded result is its decision already.
        decided = None if is_discarded(self.result) else decision_sentence(self.result)
        decision = in_force(self.result)
        said = " ".join(sentence for sentence in (decided, decision and decision.comment) if sentence)
        # The latest first, since what comes last may be cut.
        changes = follow_up_sentences(self.result)[::-1]
        told = changes[:MOST_CHANGES]
        if len(changes) > len(told):
            told.append(f"Compared with {len(changes) - len(told)} more: see the page.")
        return [*([("Decision", said)] if said else []), *(("Follow-up", change) for change in told)]

    def _pictures(self, y: float, height: float) -> float:
        unconfirmed = frozenset(view.name for view in self.levels if not view.confirmed)
        roi = next(iter(self.result.roi.values()), None)
        return draw_pictures(self.paper, self.pictures, unconfirmed, roi, y, height)

    def _tables(self, y: float, limit: float) -> None:
        if not self.groups:
            draw_checks(self.paper, self.checks, MARGIN_MM, y, INNER_MM, limit)
            return
        wide = TABLE_MM if self.checks else INNER_MM
        marks = {view.name: "" if view.confirmed else " (not confirmed)" for view in self.levels}
        columns = [f"{name}{marks.get(name, '')}" for name in views.measured_levels(self.result)]
        heading = "Measures: not to be used" if is_discarded(self.result) else "Measures"
        draw_measures(self.paper, heading, self.groups, columns, y, wide)
        draw_checks(self.paper, self.checks, MARGIN_MM + wide + 4.0, y, INNER_MM - wide - 4.0, limit)
