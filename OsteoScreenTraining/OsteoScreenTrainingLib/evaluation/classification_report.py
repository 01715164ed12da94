"""The files of a classification's evaluation: a row per subject, a JSON summary, ROC and reliability curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from OsteoScreenLib.errors import InputError
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenLib.results_io import write_text_atomically

from ..figures.reliability import reliability_diagram, reliability_of
from ..figures.roc import roc_curves
from ..figures.style import save
from ..statistics.bone_status import (
    BASELINE,
    baseline_scores,
    class_aucs,
    compare_models,
    score_measured,
    score_probabilities,
)
from ..statistics.plain import plain
from ..tables import write_table
from . import SCHEMA
from .classifying import ClassifiedSubject


def write_report(folder: Path, name: str, found: Sequence[ClassifiedSubject]) -> dict[str, Any]:
    """Write cases.csv (and .json), summary.json, roc and reliability (PNG and SVG); return the summary.

    Args:
        name: what the bundle is called.

    Raises:
        InputError: no subject could be classified, or a class is missing among them.
    """
    judged = [one for one in found if one.problem is None]
    truth = np.array([one.truth for one in judged], np.int64)
    if set(truth.tolist()) != set(range(len(BONE_STATUSES))):
        raise InputError("The classified subjects lack a class of the reference; evaluate on more subjects.")
    answers = np.stack([one.probabilities for one in judged])
    measured = np.array([one.measured_bmd for one in judged])
    score = score_probabilities(truth, answers)
    summary = {
        "schema": SCHEMA,
        "task": "classification",
        "bundle": name,
        "subjects": len(judged),
        "not_classified": len(found) - len(judged),
        "score": plain(score),
        "baseline": plain(score_measured(truth, measured)),
        "against_baseline": plain(compare_models(truth, answers, baseline_scores(measured))),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "cases", _HEADER, [_row(one) for one in found])
    write_text_atomically(json.dumps(summary, indent=2, allow_nan=False) + "\n", folder / "summary.json")
    scores = {name: answers, BASELINE: baseline_scores(measured)}
    save(roc_curves(truth, scores, {who: class_aucs(truth, table) for who, table in scores.items()}), folder, "roc")
    bins = [reliability_of(score.classes[status].reliability) for status in BONE_STATUSES]
    save(reliability_diagram({name: bins}), folder, "reliability")
    return summary


_HEADER = ["subject", "class", "category", *BONE_STATUSES, "measured_bmd", "reference_bmd", "problem"]


def _row(one: ClassifiedSubject) -> list[Any]:
    category = None if one.problem else BONE_STATUSES[int(one.probabilities.argmax())]
    numbers = [*map(float, one.probabilities), one.measured_bmd, one.subject.bmd]
    return [one.subject.subject, BONE_STATUSES[one.truth], category, *numbers, one.problem]
