"""The looks that the pages of this library share: the screening's page lends them, so that all stay sisters."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup

from OsteoScreenLib.reports.html import TEMPLATES as REPORT_TEMPLATES

_SHARED = Path(__file__).with_name("page_style.css")


def page_styles(*own: Path) -> tuple[Markup, str]:
    """Return the styles of a page with style sheets of its ``own``, and what its policy allows them by."""
    sheets = (REPORT_TEMPLATES / "report.css", _SHARED, *own)
    styles = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    digest = base64.b64encode(hashlib.sha256(styles.encode("utf-8")).digest()).decode("ascii")
    return Markup(styles), f"'sha256-{digest}'"
