"""The foot of the sheet: where the numbers come from."""

from __future__ import annotations

from ...results import ScreeningResult
from .. import phrases, wording
from .layout import INNER_MM, MARGIN_MM, RIGHT_MM, TINY, shortened
from .paper import Paper, Run, Style, Text

#: Characters of a hash, enough to tell bundles and scans apart.
SHORT_HASH = 12
#: Programs whose versions are told.
MOST_SOFTWARE = 6


def sources_height(paper: Paper, result: ScreeningResult) -> float:
    """How high the foot is."""
    return sum(paper.height(text, INNER_MM, style) + 0.8 for text, style in _lines(result)) + 1.5


def draw_sources(paper: Paper, result: ScreeningResult, y: float) -> None:
    """Draw the foot below ``y``."""
    paper.lines([[(MARGIN_MM, y), (RIGHT_MM, y)]], "edge", 0.6, closed=False)
    y += 1.5
    for text, style in _lines(result):
        y += paper.text(MARGIN_MM, y, INNER_MM, text, style) + 0.8


def _lines(result: ScreeningResult) -> list[tuple[Text, Style]]:
    lines: list[list[Run]] = []
    if result.densitometry is not None:
        line = result.densitometry.calibration
        source = wording.CALIBRATION_SOURCES.get(line.source, line.source)
        described = f" ({shortened(line.description)})" if line.description else ""
        formula = wording.calibration_line(line, result.densitometry.kvp_factor)
        lines.append(_named("Calibration", f"{source}{described}: {formula}. {wording.CRITERION}"))
    lines.append(_named("Scan", _scan(result)))
    bundles = [
        f"{bundle.role} {shortened(bundle.name)} {shortened(bundle.version)}, {_hash(bundle.sha256)}"
        for bundle in result.bundles
    ]
    software = [
        f"{shortened(name)} {shortened(version)}" for name, version in list(result.software.items())[:MOST_SOFTWARE]
    ]
    used = _named("Bundles", "; ".join(bundles) or "none took part")
    lines.append([*used, *_named(" · Software", ", ".join(software) or "not recorded")])
    return [*((runs, TINY) for runs in lines), ([Run(result.disclaimer, bold=True)], Style(7.2))]


def _named(heading: str, text: str) -> list[Run]:
    return [Run(f"{heading}: ", bold=True), Run(text)]


def _scan(result: ScreeningResult) -> str:
    scan = result.input
    spacing = " × ".join(phrases.number(step, 2) for step in scan.spacing_mm)
    said = [
        f"{scan.kind}, {scan.slices} slices of {spacing} mm",
        f"thickness {phrases.number(scan.slice_thickness_mm, 2)} mm" if scan.slice_thickness_mm is not None else "",
        f"{phrases.number(scan.kvp, 0)} kVp" if scan.kvp is not None else "tube voltage not in the header",
        f"kernel {shortened(scan.kernel)}" if scan.kernel else "",
        {None: "contrast agent not known", True: "with contrast agent", False: "no contrast agent"}[scan.contrast],
        shortened(scan.manufacturer or ""),
        f"{phrases.number(scan.age_years, 0)} years" if scan.age_years is not None else "",
        shortened(scan.sex or ""),
        f"series {shortened(scan.series_instance_uid, 64)}" if scan.series_instance_uid else "",
        f"SHA-256 {_hash(scan.sha256)}" if scan.sha256 else "",
    ]
    return ", ".join(part for part in said if part)


def _hash(digest: str) -> str:
    return digest if len(digest) <= SHORT_HASH else f"{digest[:SHORT_HASH]}…"
