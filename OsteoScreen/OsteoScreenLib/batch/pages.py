"""What the pages of a batch share: the look of a study's report, a policy that lets nothing be fetched, links."""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from ..reports import html, phrases
from ..reports.kinds import REPORT
from ..reports.text import page_environment
from ..results import DISCLAIMER
from ..results_io import write_text_atomically
from .store import study_folder

TEMPLATES = Path(__file__).with_name("templates")


def report_link(set_id: str, study_id: str) -> str:
    """Return where a study's report lies, from its set's folder."""
    return (study_folder("", set_id, study_id).relative_to(set_id) / REPORT).as_posix()


def write_page(template: str, path: str | os.PathLike[str], **values: Any) -> Path:
    """Write a page of ``templates``, one file that needs no network, script or font of its own; returns its path.

    Raises OsteoScreenError where it cannot be written.
    """
    styles = _styles()
    digest = base64.b64encode(hashlib.sha256(styles.encode("utf-8")).digest()).decode("ascii")
    page = _environment().get_template(template)
    text = page.render(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        styles=Markup(styles),
        disclaimer=DISCLAIMER,
        written=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )
    return write_text_atomically(text, path)


@lru_cache(maxsize=1)
def _styles() -> str:
    parts = (html.TEMPLATES / "report.css", TEMPLATES / "batch.css")
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment(TEMPLATES)
    environment.filters.update(
        number=phrases.number,
        bmd_number=phrases.bmd_number,
        check_name=phrases.check_name,
        count=count,
        share=share,
        studies=studies,
    )
    return environment


def count(number: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def studies(number: int) -> str:
    """So many studies, in words."""
    return f"{count(number)} {'study' if number == 1 else 'studies'}"


def share(part: int, whole: int) -> str:
    """A part of a whole in percent; where it is neither none nor all, it is not shown as either."""
    if whole == 0:
        return ""
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "< 1 %"
    if 99 < percent < 100:
        return "> 99 %"
    return f"{percent:.0f} %"


def setting_words(value: Any) -> str:
    """A setting in short; of a path only its last part, for folders are named after people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return (PurePath(value).name if isinstance(value, str) else str(value)) if value not in (None, "") else "none"
