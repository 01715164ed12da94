"""What stands where on the sheet. The words are those of the page: `wording`, `opinion`, `views`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from ...results import Check, ScreeningResult
from ...results_io import write_bytes_atomically
from .. import opinion, phrases, views, wording
from ..change import follow_up_sentences
from ..decided import decision_sentence, is_discarded
from ..drawing import Figure
from ..pictures import StudyPictures
from .figures import draw_figure, size_of
from .paper import HEIGHT_MM, WIDTH_MM, Paper, Run, Style, Text

MARGIN_MM = 13.0
INNER_MM = WIDTH_MM - 2 * MARGIN_MM
BOTTOM_MM = HEIGHT_MM - 10.0
GAP_MM = 3.0
#: The pictures get what the text leaves, between these heights.
PICTURES_MM = (34.0, 62.0)
#: Captions run over their picture's edge rather than into a second line.
CAPTION_MM = 58.0
TABLE_MM = 113.0
REASONS_MOST_MM = 90.0
CHECKS_MOST_MM = 60.0
#: Room that one message of a check may take, in lines.
MESSAGE_LINES = 4
#: Earlier results that are told of.
MOST_CHANGES = 2
SHORT_HASH = 12

BODY, SMALL, TINY = Style(8.0), Style(7.2), Style(6.4, "soft")
HEADING = Style(8.6, "accent", bold=True)
_TONES = {"pass": "good", "warn": "warn", "refuse": "bad"}
_CATEGORY_TONES = {"normal": "good", "osteopenia": "warn", "osteoporosis": "bad"}


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
        self.sagittal = views.sagittal_figure(result, pictures)
        self.checks = [check for check in views.sorted_checks(result.eligibility) if check.outcome != "pass"]
        self.groups = views.measure_groups(result)
        self.stands = result.status == "screened" and not is_discarded(result)
        self.bmd = views.bmd_scale(result) if self.stands else None
        # Without the title's levels: what a file manager shows of a document is seen by anybody.
        self.paper = Paper("OsteoScreen report", written)

    def rendered(self) -> bytes:
        limit = BOTTOM_MM - self._sources_height() - GAP_MM
        y = self._header(MARGIN_MM - 2.0)
        if self.result.status == "refused":
            y = self._reasons(y, limit)
        figures = self._figures()
        below = self._table_height() if self.groups else min(self._checks_height(INNER_MM), CHECKS_MOST_MM)
        kept = below + GAP_MM + (PICTURES_MM[0] + GAP_MM if figures else 0.0)
        y = self._summary(y, limit - kept) + GAP_MM
        if figures:
            y = self._pictures(y, min(limit - y - below - GAP_MM, PICTURES_MM[1]), figures) + GAP_MM
        if self.groups:
            wide = TABLE_MM if self.checks else INNER_MM
            self._table(y, wide)
            self._checks(MARGIN_MM + wide + 4.0, y, INNER_MM - wide - 4.0, limit)
        else:
            self._checks(MARGIN_MM, y, INNER_MM, limit)
        self._sources(limit + GAP_MM)
        return self.paper.finished()

    # -- the head

    def _header(self, y: float) -> float:
        paper, right = self.paper, WIDTH_MM - MARGIN_MM
        paper.word(MARGIN_MM, y + 3.4, "OsteoScreen", Style(10, "accent", bold=True))
        self._badge(MARGIN_MM + 28.0, y, "Research use only", "ink", "card")
        paper.word(right, y + 3.2, self.written.strftime("%Y-%m-%d %H:%M UTC"), Style(7.2, "soft", align="right"))
        y += 6.2
        title = Style(15, bold=True)
        y += paper.text(MARGIN_MM, y, INNER_MM, wording.title(self.result), title, 2 * paper.line_height(title)) + 1.4
        outcome, symbol, words = wording.status(self.result)
        self._badge(MARGIN_MM, y, f"{symbol} {words}", _TONES[outcome], f"{_TONES[outcome]}-fill", bold=True)
        y += 5.8
        if lines := views.identity_lines(self.result.identity):
            runs = [run for label, value in lines for run in (Run(f"{label} "), Run(value, bold=True), Run(" · "))][:-1]
            y += paper.text(MARGIN_MM, y, INNER_MM, runs, BODY, 3 * paper.line_height(BODY)) + 1.0
        if note := wording.unconfirmed_note(self.result):
            y += self._notice(y, [Run("! Level not confirmed. ", bold=True), Run(note)]) + 1.5
        return y + 1.0

    def _badge(self, x: float, y: float, text: str, tone: str, fill: str, bold: bool = False) -> float:
        style = Style(7.6, tone, bold=bold)
        width = self.paper.width(text, style) + 4.0
        self.paper.box(x, y, width, 4.6, fill=fill, edge=tone if bold else "edge", round_mm=2.0)
        self.paper.word(x + 2.0, y + 3.25, text, style)
        return width

    def _notice(self, y: float, runs: Sequence[Run]) -> float:
        style = Style(8.6, "warn")
        most = 4 * self.paper.line_height(style)
        height = min(self.paper.height(runs, INNER_MM - 7.0, style), most) + 2.6
        self.paper.box(MARGIN_MM, y, INNER_MM, height, fill="warn-fill", edge="warn")
        self.paper.box(MARGIN_MM, y, 1.6, height, fill="warn")
        self.paper.text(MARGIN_MM + 4.0, y + 1.0, INNER_MM - 7.0, runs, style, most)
        return height

    # -- the summary

    def _summary(self, y: float, limit: float) -> float:
        if self.bmd is None:
            return self._words(MARGIN_MM, y, INNER_MM, limit)
        left = 68.0
        return max(self._headline(y, left), self._words(MARGIN_MM + left + 6.0, y, INNER_MM - left - 6.0, limit))

    def _reasons(self, y: float, limit: float) -> float:
        """Why the study was refused; the checks that are told here are not told again."""
        y += self.paper.text(MARGIN_MM, y, INNER_MM, wording.summary(self.result)[0], Style(9, bold=True)) + 1.2
        reasons = [check for check in self.checks if check.outcome == "refuse"]
        self.checks = [check for check in self.checks if check.outcome != "refuse"]
        return self._listed(reasons, MARGIN_MM, y, INNER_MM, min(limit, y + REASONS_MOST_MM)) + 1.2

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
        comment = self.result.decisions[-1].comment if self.result.decisions else ""
        said = " ".join(sentence for sentence in (decided, comment) if sentence)
        # The latest first, since what comes last may be cut.
        changes = follow_up_sentences(self.result)[::-1]
        told = changes[:MOST_CHANGES]
        if len(changes) > len(told):
            told.append(f"Compared with {len(changes) - len(told)} more: see the page.")
        return [*([("Decision", said)] if said else []), *(("Follow-up", change) for change in told)]

    def _headline(self, y: float, width: float) -> float:
        density, paper = self.result.densitometry, self.paper
        assert density is not None and self.bmd is not None
        shown, big = phrases.bmd_number(self.bmd["value"]), Style(25, bold=True)
        paper.word(MARGIN_MM, y + 8.4, shown, big)
        x = MARGIN_MM + paper.width(shown, big) + 1.5
        reach, middle = f"± {phrases.number(self.bmd['reach'], 0)}", Style(12)
        paper.word(x, y + 8.4, reach, middle)
        x += paper.width(reach, middle) + 1.5
        paper.word(x, y + 8.4, f"mg/cm³ {phrases.mineral(density.calibration.mineral)}", Style(8, "soft"))
        tone = _CATEGORY_TONES[density.category]
        chip = self._badge(MARGIN_MM, y + 11.0, density.category, tone, f"{tone}-fill", bold=True)
        paper.word(MARGIN_MM + chip + 1.5, y + 14.2, "range of the QCT criterion", Style(7.2, "soft"))
        y = self._scale(y + 18.0, width)
        return self._probabilities(y, width)

    def _scale(self, y: float, width: float) -> float:
        paper, scale = self.paper, self.bmd
        assert scale is not None

        def at(share: float) -> float:
            return MARGIN_MM + width * share / 100

        zones = [("osteoporosis", 0.0, scale["osteoporosis"]), ("osteopenia", scale["osteoporosis"], scale["normal"])]
        for name, begin, end in [*zones, ("normal", scale["normal"], 100.0)]:
            paper.box(at(begin), y + 3.6, at(end) - at(begin), 3.0, fill=f"zone-{name}")
            paper.word(at((begin + end) / 2), y + 12.4, name, Style(6.6, "soft", align="centre"))
        for limit, share in (("80", scale["osteoporosis"]), ("120", scale["normal"])):
            paper.word(at(share), y + 9.4, limit, Style(6.8, align="centre"))
        low, high, middle = at(scale["low"]), at(scale["high"]), at(scale["at"])
        ticks = [[(end, y + 0.9), (end, y + 2.5)] for end in (low, high)]
        paper.lines([[(low, y + 1.7), (high, y + 1.7)], *ticks], "ink", 0.9, closed=False)
        paper.lines([[(middle, y + 0.5), (middle, y + 7.1)]], "ink", 1.9, closed=False)
        return y + 14.4

    def _probabilities(self, y: float, width: float) -> float:
        found, paper = self.result.classification, self.paper
        if found is None or not found.probabilities or found.category is None:
            return y
        paper.word(MARGIN_MM, y + 3.0, f"Class from the network: {found.category}", Style(7.6, bold=True))
        y += 4.6
        for name, share in found.probabilities.items():
            paper.word(MARGIN_MM, y + 2.6, name, Style(7))
            paper.word(MARGIN_MM + 30.0, y + 2.6, phrases.number(share, 2), Style(7, align="right"))
            bar = width - 33.0
            paper.box(MARGIN_MM + 33.0, y + 0.4, bar, 2.4, fill="edge")
            paper.box(MARGIN_MM + 33.0, y + 0.4, bar * min(max(share, 0.0), 1.0), 2.4, fill="accent")
            y += 3.8
        return y + 0.6

    # -- the pictures

    def _figures(self) -> list[tuple[Figure, str, str]]:
        """Figure, directions and caption of what there is to draw."""
        shown: list[tuple[Figure, str, str]] = []
        for view in self.levels:
            figure = view.close_up or view.whole
            if figure is not None:
                what = "close-up" if view.close_up else "whole slice, not outlined"
                where = (
                    f", slice #{view.level.slice_index}, S {phrases.number(view.level.z_mm)} mm" if view.level else ""
                )
                mark = "" if view.confirmed else ", not confirmed"
                shown.append((figure, "ALPR", f"{view.name}{mark}: {what}{where}"))
        if self.sagittal is not None:
            shown.append((self.sagittal, "SPIA", "Levels on the sagittal view"))
        return shown[:3]

    def _pictures(self, y: float, height: float, figures: list[tuple[Figure, str, str]]) -> float:
        paper = self.paper
        legend = [figure for figure, _, _ in figures if "outline" in figure.paths]
        caption_mm = 2 * paper.line_height(TINY) + 0.8
        most_width = (INNER_MM - GAP_MM * (len(figures) - 1)) / len(figures)
        tallest, x = 0.0, MARGIN_MM
        open_levels = frozenset(view.name for view in self.levels if not view.confirmed)
        for figure, letters, caption in figures:
            width, tall = size_of(figure, most_width, height - caption_mm - (3.6 if legend else 0.0))
            draw_figure(paper, figure, x, y, width, letters, open_levels)
            column = min(most_width, max(width, CAPTION_MM))
            paper.text(x, y + tall + 0.4, column, caption, TINY, caption_mm)
            tallest = max(tallest, tall)
            x += column + GAP_MM
        y += tallest + caption_mm
        return self._legend(y, legend[0]) if legend else y

    def _legend(self, y: float, figure: Figure) -> float:
        from .figures import LINES

        roi, x = next(iter(self.result.roi.values())), MARGIN_MM
        words = {
            "outline": "outline",
            "inset": f"{phrases.number(roi.inset_mm, 0)} mm inset, which the BMD is made from",
            "circle": f"{phrases.number(roi.circle_area_mm2, 0)} mm² circle",
        }
        for kind, label in words.items():
            if kind in figure.paths:
                stroke, points, dash = LINES[kind]
                self.paper.box(x, y, 8.0, 2.6, fill="#222222")
                self.paper.lines([[(x + 0.6, y + 1.3), (x + 7.4, y + 1.3)]], stroke, points, closed=False, dash=dash)
                self.paper.word(x + 9.2, y + 2.1, label, TINY)
                x += 13.0 + self.paper.width(label, TINY)
        note = "Seen from the feet: the patient's right is on the left."
        self.paper.word(WIDTH_MM - MARGIN_MM, y + 2.1, note, Style(TINY.size, TINY.colour, align="right"))
        return y + 3.0

    # -- the measures

    _ROW_MM = 3.45
    _COLUMN_MM = 33.0

    def _table_height(self) -> float:
        rows = sum(1 + len(group.rows) for group in self.groups)
        return (rows + 1) * self._ROW_MM + 1.5

    def _table(self, y: float, width: float) -> None:
        paper, names = self.paper, list(views.measured_levels(self.result))
        columns = [MARGIN_MM + width - (len(names) - place) * self._COLUMN_MM for place in range(len(names))]
        style, soft = Style(6.8), Style(6.4, "soft")
        marks = {view.name: "" if view.confirmed else " (not confirmed)" for view in self.levels}
        for name, x in zip(names, columns, strict=True):
            paper.word(x, y + 2.5, f"{name}{marks.get(name, '')}", Style(7, bold=True))
        discarded = is_discarded(self.result)
        paper.word(MARGIN_MM, y + 2.5, "Measures: not to be used" if discarded else "Measures", HEADING)
        y += self._ROW_MM + 0.6
        for group in self.groups:
            paper.word(MARGIN_MM, y + 2.6, group.heading, Style(6.6, "soft", bold=True))
            y += self._ROW_MM
            for row in group.rows:
                look = Style(7, bold=row.is_total)
                paper.word(MARGIN_MM + 1.5, y + 2.5, row.label, look)
                paper.word(MARGIN_MM + 3.0 + paper.width(row.label, look), y + 2.5, row.unit, soft)
                for value, x in zip(row.values, columns, strict=False):
                    paper.text(x, y + 0.1, self._COLUMN_MM, value, look if row.is_total else style, self._ROW_MM)
                paper.lines([[(MARGIN_MM, y + 3.35), (MARGIN_MM + width, y + 3.35)]], "edge", 0.3, closed=False)
                y += self._ROW_MM

    # -- the checks

    def _checks_height(self, width: float) -> float:
        return 5.0 + sum(self._check_height(check, width) for check in self.checks)

    def _check_height(self, check: Check, width: float) -> float:
        lines = self.paper.height(_check_runs(check), width - 3.0, SMALL)
        return min(lines, MESSAGE_LINES * self.paper.line_height(SMALL)) + 1.4

    def _checks(self, x: float, y: float, width: float, limit: float) -> None:
        """The checks that did not pass, as many as there is room for, and how many more there are."""
        if self.checks:
            self.paper.word(x, y + 2.6, "Checks that did not pass", HEADING)
            self._listed(self.checks, x, y + 4.6, width, limit)

    def _listed(self, checks: Sequence[Check], x: float, y: float, width: float, limit: float) -> float:
        paper = self.paper
        more_mm = paper.line_height(SMALL)
        for place, check in enumerate(checks):
            height = self._check_height(check, width)
            left = len(checks) - place
            if y + height > limit - (more_mm if left > 1 else 0.0):
                paper.word(x, y + 2.4, f"and {left} more: see the page", Style(SMALL.size, bold=True))
                return y + more_mm
            tone = _TONES.get(check.outcome, "bad")
            paper.box(x, y, 1.0, height - 0.8, fill=tone)
            paper.text(x + 2.6, y, width - 3.0, _check_runs(check), SMALL, height - 1.4)
            y += height
        return y

    # -- where the numbers come from

    def _sources_height(self) -> float:
        return sum(self.paper.height(text, INNER_MM, style) + 0.8 for text, style in self._source_lines()) + 1.5

    def _sources(self, y: float) -> None:
        self.paper.lines([[(MARGIN_MM, y), (WIDTH_MM - MARGIN_MM, y)]], "edge", 0.6, closed=False)
        y += 1.5
        for text, style in self._source_lines():
            y += self.paper.text(MARGIN_MM, y, INNER_MM, text, style) + 0.8

    def _source_lines(self) -> list[tuple[Text, Style]]:
        result, lines = self.result, []
        if result.densitometry is not None:
            line = result.densitometry.calibration
            source = wording.CALIBRATION_SOURCES.get(line.source, line.source)
            described = f" ({_short(line.description)})" if line.description else ""
            formula = wording.calibration_line(line, result.densitometry.kvp_factor)
            lines.append(self._source("Calibration", f"{source}{described}: {formula}. {wording.CRITERION}"))
        lines.append(self._source("Scan", _scan(result)))
        bundles = "; ".join(f"{b.role} {_short(b.name)} {_short(b.version)}, {_hash(b.sha256)}" for b in result.bundles)
        software = ", ".join(f"{_short(name)} {_short(version)}" for name, version in list(result.software.items())[:6])
        used = self._source("Bundles", bundles or "none took part")
        lines.append(([*used[0], Run(" · Software: ", bold=True), Run(software or "not recorded")], used[1]))
        return [*lines, ([Run(result.disclaimer, bold=True)], Style(7.2))]

    @staticmethod
    def _source(heading: str, text: str) -> tuple[list[Run], Style]:
        return [Run(f"{heading}: ", bold=True), Run(text)], TINY


def _check_runs(check: Check) -> list[Run]:
    symbol, word = wording.OUTCOMES.get(check.outcome, ("?", check.outcome))
    name = _short(phrases.check_name(check.check))
    return [Run(f"{symbol} {word}: {name}. ", bold=True), Run(check.message)]


def _scan(result: ScreeningResult) -> str:
    scan = result.input
    spacing = " × ".join(phrases.number(step, 2) for step in scan.spacing_mm)
    said = [
        f"{scan.kind}, {scan.slices} slices of {spacing} mm",
        f"thickness {phrases.number(scan.slice_thickness_mm, 2)} mm" if scan.slice_thickness_mm is not None else "",
        f"{phrases.number(scan.kvp, 0)} kVp" if scan.kvp is not None else "tube voltage not in the header",
        f"kernel {_short(scan.kernel)}" if scan.kernel else "",
        {None: "contrast agent not known", True: "with contrast agent", False: "no contrast agent"}[scan.contrast],
        _short(scan.manufacturer or ""),
        f"{phrases.number(scan.age_years, 0)} years" if scan.age_years is not None else "",
        _short(scan.sex or ""),
        f"series {_short(scan.series_instance_uid, 64)}" if scan.series_instance_uid else "",
        f"SHA-256 {_hash(scan.sha256)}" if scan.sha256 else "",
    ]
    return ", ".join(part for part in said if part)


def _short(text: str, most: int = 60) -> str:
    """A name or a version that leaves room for the others."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _hash(digest: str) -> str:
    return digest if len(digest) <= SHORT_HASH else f"{digest[:SHORT_HASH]}…"
