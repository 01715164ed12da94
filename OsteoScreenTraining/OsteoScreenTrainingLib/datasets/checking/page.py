"""The page of a checked data set: summary, findings, distributions and a contact sheet, in one file."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports.text import page_environment

from ...page_style import page_styles
from ..manifest import Subject
from . import CheckReport
from .figures import data_uri, distributions, embedded
from .measures import PICTURE_PIXELS, Picture
from .registry import SEVERITIES

TEMPLATES = Path(__file__).with_name("templates")
#: What is written; the page last.
PAGE_FILES = ("check.json", "index.html")
#: Slices on the contact sheet, about 12 kB each.
MOST_PICTURES = 240
#: Findings on the page; all of them are in the JSON file.
MOST_FINDINGS = 1000
#: A finding of one of these makes a slice doubtful by so much; beyond that counts how unlike the others it is.
_DOUBT = {"error": 100.0, "warning": 10.0, "note": 0.0}


@dataclass(frozen=True)
class SheetItem:
    """One slice on the contact sheet."""

    subject: str
    level: str
    severity: str
    reasons: list[str]
    facts: str
    image: Markup
    paths: Markup


def page_text(report: CheckReport) -> str:
    """Return the page as HTML."""
    styles, allowed = page_styles(TEMPLATES / "check.css")
    items, left_out = _sheet(report)
    return _environment().get_template("check.html").render(
        report=report,
        name=report.evidence.folder.resolve().name,
        policy=f"default-src 'none'; img-src data:; style-src {allowed}; base-uri 'none'; form-action 'none'",
        styles=styles,
        counts={severity: report.count(severity) for severity in SEVERITIES},
        findings=report.findings[:MOST_FINDINGS],
        figures=_figures(report),
        items=items,
        left_out=left_out,
        side=PICTURE_PIXELS,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return page_environment(TEMPLATES)


def _figures(report: CheckReport) -> list[dict[str, Any]]:
    groups = _groups(report)
    bmd = {name: [item.bmd for item in members if item.bmd is not None] for name, members in groups.items()}
    ages = {name: [item.age_years for item in who if item.age_years is not None] for name, who in groups.items()}
    return [
        {
            "title": "Reference BMD",
            "image": embedded(distributions(bmd, "BMD, mg/cm³", limits=True)),
            "alt": "Histograms of the reference BMD of all subjects and of each part of each split",
            "caption": "Dashed: the limits of osteoporosis and of normal, 80 and 120 mg/cm³.",
        },
        {
            "title": "Age",
            "image": embedded(distributions(ages, "Age, years", limits=False)),
            "alt": "Histograms of age of all subjects and of each part of each split",
            "caption": "All subjects of the manifest, and those of each part.",
        },
    ]


def _groups(report: CheckReport) -> dict[str, list[Subject]]:
    by_name = {subject.subject: subject for subject in report.evidence.subjects}
    groups = {"all": list(by_name.values())}
    for name, split in report.evidence.splits.items():
        groups |= {f"{name}: {part}": [by_name[item] for item in members] for part, members in split.parts.items()}
    return groups


def _sheet(report: CheckReport) -> tuple[list[SheetItem], int]:
    """Return the slices with a picture, the doubtful ones first, and how many more there are."""
    doubts = _doubts(report)
    chosen = sorted(doubts, key=lambda key: (-doubts[key], key))
    items: list[SheetItem] = []
    for name, level in chosen[:MOST_PICTURES]:
        try:
            picture = report.evidence.picture(name, level)
        except OsteoScreenError:
            continue
        items.append(_item(report, name, level, picture))
    return items, len(chosen) - len(items)


def _doubts(report: CheckReport) -> dict[tuple[str, str], float]:
    measures = report.evidence.measures
    if not measures:
        return {}
    values = np.array([(seen.area_mm2, seen.beyond_hu, seen.edge_hu) for seen in measures.values()])
    middle = np.median(values, axis=0)
    # 1.4826 takes the median deviation to an SD of a normal distribution.
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0) + 1e-6
    unlike = np.minimum(np.abs((values - middle) / spread).max(axis=1), 9.0)
    doubts = dict(zip(measures, unlike.tolist(), strict=True))
    for finding in report.findings:
        for level in ("L1", "L2"):
            if (finding.subject or "", level) in doubts and _concerns(finding.message, level):
                doubts[finding.subject or "", level] += _DOUBT[finding.severity]
    return doubts


def _concerns(message: str, level: str) -> bool:
    """Whether a sentence may be about a level: it names it, or none."""
    other = "L2" if level == "L1" else "L1"
    return level in message or other not in message


def _item(report: CheckReport, name: str, level: str, picture: Picture) -> SheetItem:
    seen = report.evidence.measures[name, level]
    found = [item for item in report.findings if item.subject == name and _concerns(item.message, level)]
    found = [item for item in found if item.severity != "note"]
    png = io.BytesIO()
    Image.fromarray(picture.grey).save(png, format="png", optimize=True)
    lines = ("M" + "L".join(f"{x + 0.5:.1f} {y + 0.5:.1f}" for x, y in line) + "Z" for line in picture.lines)
    return SheetItem(
        subject=name,
        level=level,
        severity=found[0].severity if found else "",
        reasons=[item.message for item in found[:3]],
        facts=f"{seen.area_mm2:.0f} mm², {seen.median_hu:.0f} HU",
        image=data_uri(png.getvalue()),
        paths=Markup(" ".join(lines)),
    )


def page_files(report: CheckReport, folder: Path) -> None:
    """Write the files of :data:`PAGE_FILES` into ``folder``."""
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n"
    (folder / "check.json").write_text(text, encoding="utf-8", newline="\n")
    (folder / "index.html").write_text(page_text(report), encoding="utf-8", newline="\n")
