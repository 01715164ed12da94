"""How a training goes, read from its folder while it runs or afterwards."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

PathLike = str | os.PathLike[str]

#: Rows of the log that the pace is taken from: the last ones, since other work slows a training down for a while.
_PACE_ROWS = 12
#: Logs that are kept in memory, and the bytes before the end of what was read that have to be the same again.
_LOGS, _SEAM = 8, 64
_CHECKPOINT = re.compile(r"\.?step-(\d+)(?:\.old)?$")


@dataclass(frozen=True)
class RunProgress:
    """What a run's folder holds.

    Attributes:
        task: "segmentation", "classification", …; None where the folder holds no run yet.
        model: "model1" or "model2" of a classification, else None.
        step, steps: steps done, and the budget (0: there is none in steps).
        minutes: the budget in minutes (0: none).
        seconds: of training so far, over all its starts.
        remaining_s: estimate of what is left; None while it is not known.
        rows: the columns of log.csv by name, all of one length, NaN where a cell is empty. Among them are step, loss,
            learning_rate, seconds; val_score and val_dsc_outline, or val_log_loss, val_accuracy and val_auc_normal.
        best_score, best_step: of the best validation, the larger the better; None before the first.
        resumable: whether there is a checkpoint to resume from.
        bundle: the folder of the exported bundle, or None.
        data: the data sets that it was trained on, as far as they are known.
    """

    task: str | None = None
    model: Literal["model1", "model2"] | None = None
    step: int = 0
    steps: int = 0
    minutes: float = 0.0
    seconds: float = 0.0
    remaining_s: float | None = None
    rows: dict[str, list[float]] = field(default_factory=dict)
    best_score: float | None = None
    best_step: int | None = None
    resumable: bool = False
    bundle: Path | None = None
    data: tuple[Path, ...] = ()


def read_run(run: PathLike) -> RunProgress:
    """Return how a run stands. It only reads, of a log that has grown only what is new, and never raises for what it
    finds: what cannot be read is as if it were not there."""
    folder = Path(run)
    config = _json(folder / "config.json")
    if not isinstance(config.get("task"), str):
        return RunProgress()
    rows = _log(folder / "log.csv")
    saved = newest_checkpoint(folder)
    steps, minutes = int(config.get("steps", 0)), float(config.get("minutes", 0.0))
    best = _best(rows)
    done = max([int(value) for value in rows.get("step", [])[-1:]] + [saved or 0])
    bundle = folder / "bundle"
    return RunProgress(
        task=config["task"],
        model=config.get("classification", {}).get("model") if config["task"] == "classification" else None,
        step=done,
        steps=steps,
        minutes=minutes,
        seconds=_last(rows.get("seconds", [])) or 0.0,
        remaining_s=_remaining(rows, done, steps, minutes),
        rows=rows,
        best_score=None if best is None else best[0],
        best_step=None if best is None else best[1],
        resumable=saved is not None,
        bundle=bundle if (bundle / "bundle.json").is_file() else None,
        data=tuple(Path(str(name)) for name in _json(folder / "data.json").get("data", [])),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def newest_checkpoint(run: Path) -> int | None:
    """Return the step of a run's newest checkpoint, or None; :mod:`..training.checkpoints` resumes from it."""
    try:
        names = os.listdir(run / "checkpoints")
    except OSError:
        return None
    return max((int(match[1]) for name in names if (match := _CHECKPOINT.match(name))), default=None)


def _best(rows: dict[str, list[float]]) -> tuple[float, int] | None:
    """Return the best score and its step; of equal ones the first, as the trainer has it."""
    scores = np.array(rows.get("val_score", []))
    finite = np.isfinite(scores)
    if not finite.any():
        return None
    place = int(np.argmax(np.where(finite, scores, -np.inf)))
    return float(scores[place]), int(rows["step"][place])


def _last(values: list[float]) -> float | None:
    return next((value for value in reversed(values) if math.isfinite(value)), None)


def _remaining(rows: dict[str, list[float]], done: int, steps: int, minutes: float) -> float | None:
    """Return the seconds to the end of the budget that ends first, at the pace of the last rows."""
    timed = _last_timed(rows)
    if not timed:
        return None
    left = []
    if steps:
        first = timed[-1] if len(timed) == _PACE_ROWS else (0.0, 0.0)
        taken = timed[0][1] - first[1]
        if taken > 0:
            left.append(max(0.0, (steps - done) * (timed[0][0] - first[0]) / taken))
    if minutes:
        left.append(max(0.0, 60 * minutes - timed[0][0]))
    return min(left) if left else None


def _last_timed(rows: dict[str, list[float]]) -> list[tuple[float, float]]:
    """Return (seconds, step) of the last rows that have a time, the last one first."""
    found: list[tuple[float, float]] = []
    for seconds, step in zip(reversed(rows.get("seconds", [])), reversed(rows.get("step", [])), strict=False):
        if math.isfinite(seconds):
            found.append((seconds, step))
        if len(found) == _PACE_ROWS:
            break
    return found


# -- the log


@dataclass
class _ReadLog:
    """What was read of a log: its columns up to a place in the file, and what was before that place."""

    identity: tuple[int, int]
    header: list[str]
    columns: dict[str, list[float]]
    place: int
    seam: bytes


_READ: dict[str, _ReadLog] = {}


def _log(path: Path) -> dict[str, list[float]]:
    """Return the columns of a log; lines that were read before are not read again."""
    key = os.path.abspath(path)
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            known = _READ.get(key)
            if known is None or not _goes_on(known, file, (status.st_dev, status.st_ino)):
                known = _ReadLog((status.st_dev, status.st_ino), [], {}, 0, b"")
            file.seek(known.place)
            text = file.read()
    except OSError:
        return {}
    # The last line may be in the making.
    _add(known, text[: text.rfind(b"\n") + 1])
    _READ.pop(key, None)
    _READ[key] = known
    while len(_READ) > _LOGS:
        del _READ[next(iter(_READ))]
    return {name: list(values) for name, values in known.columns.items()}


def _goes_on(known: _ReadLog, file: io.BufferedReader, identity: tuple[int, int]) -> bool:
    """Return whether the file is the one that was read, and longer now: a run that is resumed writes it anew."""
    if known.identity != identity:
        return False
    file.seek(known.place - len(known.seam))
    return file.read(len(known.seam)) == known.seam


def _add(known: _ReadLog, text: bytes) -> None:
    lines = list(csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline="")))
    if not known.header and lines:
        known.header = lines.pop(0)
        known.columns = {name: [] for name in known.header}
    for line in lines:
        cells = [_number(cell) for cell in line[: len(known.header)]]
        cells += [math.nan] * (len(known.header) - len(cells))
        values = dict(zip(known.header, cells, strict=True))
        if math.isfinite(values.get("step", math.nan)):
            for name, value in values.items():
                known.columns[name].append(value)
    known.place += len(text)
    known.seam = (known.seam + text)[-_SEAM:]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
