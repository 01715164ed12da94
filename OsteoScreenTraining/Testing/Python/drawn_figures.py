"""Small figures of the study, with numbers that add up."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from OsteoScreenTrainingLib.figures import roc
from OsteoScreenTrainingLib.figures.bland_altman import Limits, bland_altman
from OsteoScreenTrainingLib.figures.cohort import PaperBmd, cohort_by_age
from OsteoScreenTrainingLib.figures.confusion import confusion_matrices
from OsteoScreenTrainingLib.figures.decision_curve import decision_curve
from OsteoScreenTrainingLib.figures.examples import ExampleRow, example_rows
from OsteoScreenTrainingLib.figures.flow_chart import flow_chart
from OsteoScreenTrainingLib.figures.learning_curve import (
    LearningCurve,
    PaperDsc,
    PaperPlateau,
    learning_curve,
)
from OsteoScreenTrainingLib.figures.reliability import ReliabilityBins, reliability_diagram

CLASSES = ("normal", "osteopenia", "osteoporosis")
SPLITS = [
    ("Training", 530, dict(zip(CLASSES, (310, 150, 70), strict=True))),
    ("Validation", 100, dict(zip(CLASSES, (60, 30, 10), strict=True))),
    ("Test", 418, dict(zip(CLASSES, (251, 116, 51), strict=True))),
]
EXCLUDED = [("Implants", 65), ("Field of view without L2", 500), ("Fracture deformity", 300)]


def a_flow_chart() -> Figure:
    return flow_chart(1913, EXCLUDED, 1048, SPLITS)


def a_cohort() -> Figure:
    ages, sex = [25.0, 26.0, 45.0, 45.0, 45.0, 45.0, 72.0, 95.0], list("MMFFFFFM")
    bmd = [180.0, 170.0, 121.0, 100.0, 79.0, 60.0, 80.0, 40.0]
    paper = [PaperBmd("40-49", "F", 162.76, 25.18), PaperBmd(">=90", "M", 38.85, None)]
    return cohort_by_age(ages, sex, bmd, paper, "simulated")


def a_learning_curve() -> Figure:
    mean = np.array([0.91, 0.94, 0.95])
    curves = [
        LearningCurve("DCNN, simulated", [100, 300, 1096], mean, mean - 0.01, mean + 0.01),
        LearningCurve("U-Net, simulated", [300, 1096], mean[1:], mean[1:] - 0.01, mean[1:] + 0.01),
    ]
    return learning_curve(curves, PaperDsc(300, 0.951, 0.030), PaperPlateau(300, 1096, 0.95, 0.004))


def an_example(**values: object) -> ExampleRow:
    y, x = np.mgrid[:40, :40]
    away = np.hypot(y - 20, x - 20)
    disc = (away < 10).astype(float)
    pictures = {
        "ct": np.where(away < 10, 150.0, 20.0),
        "probability": np.clip((14 - away) / 8, 0, 1),
        "reference": disc,
        "dcnn": disc,
        "unet": np.roll(disc, 2, axis=1),
    }
    return ExampleRow(**{**pictures, "sex": "F", "age": 34.0, "bmd": 196.6, "category": "normal", **values})


def examples() -> Figure:
    return example_rows([an_example(), an_example(sex="M", age=43.0, bmd=118.3, category="osteopenia")])


def some_scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    return labels, np.eye(3)[labels] + rng.normal(0, 0.4, (60, 3))


INTERVALS = [(0.989, 0.983, 0.996), (0.952, 0.932, 0.971), (0.98, 0.967, 0.994)]


def a_roc() -> Figure:
    labels, scores = some_scores()
    points = {"Model 1": [(0.9, 0.8)] * 3, "Paper, Model 1": [(0.964, 0.916), (0.716, 0.96), (0.941, 0.948)]}
    models = {"Model 1": scores, "Measured BMD": scores[:, ::-1]}
    return roc.roc_curves(labels, models, dict.fromkeys(models, INTERVALS), points)


def a_reliability_diagram() -> Figure:
    bins = ReliabilityBins([0.2, 0.5, 0.8], [0.25, 0, 0.7], [0.1, 0, 0.5], [0.4, 1, 0.9], [20, 0, 30])
    return reliability_diagram({"Model 1": [bins] * 3, "Model 2": [bins] * 3})


def a_decision_curve() -> Figure:
    t = np.linspace(0.01, 0.9, 40)
    return decision_curve(t, {"Model 1": 0.12 - 0.05 * t}, 0.12 - 0.88 * t / (1 - t))


def a_bland_altman() -> Figure:
    limits = Limits((1.5, 0.6, 2.4), (-16.1, -17.6, -14.6), (19.1, 17.6, 20.6))
    return bland_altman([90, 100, 150], [1, -4, 7], limits, "BMD, measured − reference", "mg/cm³")


def confusions() -> Figure:
    return confusion_matrices(
        {
            "Model 1, simulated": [[9, 1, 0], [2, 5, 1], [0, 0, 0]],
            "Model 1, paper": [[242, 9, 0], [14, 83, 19], [0, 3, 48]],
            "Model 2, simulated": np.eye(3, dtype=int),
        }
    )


#: Name to maker, width and height in inches, and what has to be readable on it.
FIGURES: dict[str, tuple[Callable[[], Figure], tuple[float, float] | None, list[str]]] = {
    "flow_chart": (
        a_flow_chart,
        None,
        ["n = 1913", "n = 1048", "Excluded (n = 865)", "Test", "n = 418", "osteoporosis: 51", "osteopenia: 150"],
    ),
    "cohort": (
        a_cohort,
        (7.2, 6.6),
        ["osteopenia", "osteoporosis", "women, simulated", "men, paper", "≥ 90", "40–49", "normal above 120"],
    ),
    "learning_curve": (
        a_learning_curve,
        (4.4, 4.2),
        ["U-Net, simulated (95 % CI)", "paper, 300 images: 0.951 ± 0.030 (SD)", "300", "1096", "Training images"],
    ),
    "examples": (
        examples,
        None,
        ["Woman, 34 years, BMD 196.6 mg/cm³: normal", "Man, 43 years, BMD 118.3 mg/cm³: osteopenia", "heat map", "j"],
    ),
    "roc": (
        a_roc,
        None,
        ["Measured BMD", "Paper, Model 1", "0.989 (0.983–0.996)", "0.952 (0.932–0.971)", "osteoporosis", "Sensitivity"],
    ),
    "reliability": (
        a_reliability_diagram,
        (7.2, 3.9),
        ["Model 2", "Observed share (95 % CI)", "Subjects", "osteopenia"],
    ),
    "decision_curve": (a_decision_curve, (4.4, 3.9), ["treat all", "treat none", "Model 1", "Net benefit", "20 %"]),
    "bland_altman": (
        a_bland_altman,
        (4.4, 3.7),
        ["bias", "+1.5", "−16.1", "+19.1", "BMD, measured − reference, mg/cm³"],
    ),
    "confusion": (confusions, (7.2, 5.7), ["242", "96.4 %", "83", "16.4 %", "Model 1, paper", "Predicted class"]),
}


def texts(svg: Path) -> list[str]:
    """Return the texts of an SVG file; matplotlib writes a line of a label as one element."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))
