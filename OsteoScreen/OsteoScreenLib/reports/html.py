"""The page of one screening: a single file that needs no network, no script and no font of its own."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from ..errors import OsteoScreenError
from ..results import Check, Level, RoiMeasures, ScreeningResult
from . import drawing, opinion, phrases, wording
from .pictures import LevelPicture, StudyPictures
from .text import page_environment

TEMPLATES = Path(__file__).with_name("templates")
BMD_SCALE_TOP = 220.0


@dataclass(frozen=True)
class LevelView:
    """What the page shows of one level; figures are None where there is nothing to draw."""

    name: str
    level: Level | None
    roi: RoiMeasures | None
    close_up: drawing.Figure | None
    probability: drawing.Figure | None
    whole: drawing.Figure | None

    @property
    def confirmed(self) -> bool:
        return self.level is None or self.level.confirmed


def write_html(result: ScreeningResult, pictures: StudyPictures, path: str | Path) -> None:
    """Write the page of ``result`` to ``path``, whole or not at all. Raises OsteoScreenError where that fails."""
    page = render_html(result, pictures)
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(page)
        # mkstemp's 0600 would keep the page from a web server or a colleague: give it what open() would have given.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise OsteoScreenError(
            f"The report could not be written to {target} ({error.strerror}): choose a folder that exists and has room."
        ) from error


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
        levels=_level_views(result, pictures),
        sagittal=_sagittal(result, pictures),
        checks=_sorted_checks(result.eligibility),
        bmd=_bmd_scale(result),
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


def _level_views(result: ScreeningResult, pictures: StudyPictures) -> list[LevelView]:
    names = list(dict.fromkeys([*result.levels, *result.roi, *pictures.levels]))
    return [
        _level_view(name, result.levels.get(name), result.roi.get(name), pictures.levels.get(name)) for name in names
    ]


def _level_view(name: str, level: Level | None, roi: RoiMeasures | None, picture: LevelPicture | None) -> LevelView:
    if picture is None:
        return LevelView(name, level, roi, None, None, None)
    if roi is None or len(roi.outline_ras_mm) < 3:
        return LevelView(name, level, roi, None, None, drawing.whole_slice(picture, None))
    box = drawing.close_up_box(picture, roi)
    return LevelView(
        name,
        level,
        roi,
        drawing.close_up(picture, roi, box),
        drawing.probability_map(picture, roi, box),
        drawing.whole_slice(picture, box),
    )


def _sagittal(result: ScreeningResult, pictures: StudyPictures) -> drawing.Figure | None:
    if pictures.sagittal is None:
        return None
    marks = [(name, level.slice_index) for name, level in result.levels.items()]
    return drawing.sagittal_view(pictures.sagittal, marks)


def _sorted_checks(checks: list[Check]) -> list[Check]:
    order = {"refuse": 0, "warn": 1, "pass": 2}
    return sorted(checks, key=lambda check: order.get(check.outcome, 0))


def _bmd_scale(result: ScreeningResult) -> dict[str, Any] | None:
    """Positions in per cent along the BMD scale of the summary."""
    if result.densitometry is None or "individual" not in result.densitometry.bmd_mg_cm3:
        return None
    value = result.densitometry.bmd_mg_cm3["individual"]
    reach = result.densitometry.calibration.uncertainty_mg_cm3

    def place(bmd: float) -> float:
        return round(100 * min(max(bmd / BMD_SCALE_TOP, 0.0), 1.0), 2)

    return {
        "value": value,
        "reach": reach,
        "at": place(value),
        "low": place(value - reach),
        "high": place(value + reach),
        "osteoporosis": place(OSTEOPOROSIS_BELOW_MG_CM3),
        "normal": place(NORMAL_ABOVE_MG_CM3),
    }


def _umask() -> int:
    # Reading the umask means setting it; it is put back at once.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
