"""The page of one screening: a single file that needs no network, no script and no font of its own."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from ..decisions import is_discarded
from ..results import ScreeningResult
from ..results_io import write_text_atomically
from . import change, decided, drawing, opinion, phrases, timeline, views, wording
from .pictures import StudyPictures
from .text import page_environment

TEMPLATES = Path(__file__).with_name("templates")


def write_html(result: ScreeningResult, pictures: StudyPictures, path: str | Path) -> None:
    """Write the page of ``result`` to ``path``, whole or not at all. Raises OsteoScreenError where that fails."""
    write_text_atomically(render_html(result, pictures), path)


def render_html(result: ScreeningResult, pictures: StudyPictures, written: datetime | None = None) -> str:
    """The page as text. The input's path is left out on purpose: folders are often named after patients."""
    styles = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(styles.encode("utf-8")).digest()).decode("ascii")
    moment = written or datetime.now(timezone.utc)
    template = _environment().get_template("report.html")
    return template.render(
        result=result,
        say=wording,
        opinion=opinion,
        title=wording.title(result),
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        styles=Markup(styles),
        levels=views.level_views(result, pictures),
        identity=views.identity_lines(result.identity),
        measures=views.measure_groups(result),
        sagittal=views.sagittal_figure(result, pictures),
        spine=None if pictures.spine is None else drawing.spine_view(pictures.spine, result.levels),
        checks=views.sorted_checks(result.eligibility),
        bmd=views.bmd_scale(result),
        decided=decided,
        is_discarded=is_discarded,
        change=change,
        timeline=timeline.timeline(result),
        window=drawing.DISPLAY_WINDOW_HU,
        written=moment.strftime("%Y-%m-%d %H:%M UTC"),
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment(TEMPLATES)
    filters = (
        phrases.number,
        phrases.bmd_number,
        phrases.mineral,
        phrases.value_text,
        phrases.check_name,
        wording.level_set,
    )
    environment.filters.update({function.__name__: function for function in filters})
    return environment
