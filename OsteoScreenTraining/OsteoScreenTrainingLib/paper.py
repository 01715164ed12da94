"""The numbers of the study that OsteoScreen reproduces, as printed, with what contradicts itself in them.

Pan J. et al., BMC Musculoskeletal Disorders 2024, Tables 1 to 4. ``paper.json`` beside this file holds them as
printed, misprints included; the corrections are in :attr:`Paper.contradictions`. The confusion matrices are not
printed: they follow from the sensitivities and predictive values of Table 3 and the class sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from OsteoScreenLib.results import BONE_STATUSES, BoneStatus

from .statistics.cohort_tests import Group

_PATH = Path(__file__).with_name("paper.json")

Model = Literal["model1", "model2"]
Split = Literal["training", "validation", "test"]
MODELS: tuple[Model, ...] = get_args(Model)
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class PrintedTest:
    """A test statistic as printed; ``p`` is text because some are printed as "<0.001"."""

    statistic: float
    p: str


@dataclass(frozen=True)
class Dice:
    """Mean and SD of the Dice coefficient on the test set, and the number of training images: (one,) or (from, to)."""

    mean: float
    sd: float
    training_images: tuple[int, ...]


@dataclass(frozen=True)
class ClassBmd:
    """BMD of a class in mg/cm3: mean, SD and number, and the smallest and the largest."""

    summary: Group
    smallest: float
    largest: float


@dataclass(frozen=True)
class AgeGroup:
    """A row of Table 1: BMD in mg/cm3 of men, women and all, and the t-test of women less men where there is one."""

    age: str
    men: Group
    women: Group
    average: Group
    t_test: PrintedTest | None


@dataclass(frozen=True)
class SetDescription:
    """A column of Table 2: age in years, BMD in mg/cm3, and the numbers of subjects of each class."""

    n: int
    men: int
    women: int
    age: Group
    bmd: Group
    classes: dict[BoneStatus, int]


@dataclass(frozen=True)
class Performance:
    """A block of Table 3: a model on a set for one class against the rest."""

    auc: float
    low: float
    high: float
    sensitivity: float
    specificity: float
    ppv: float
    npv: float
    accuracy: float


@dataclass(frozen=True)
class ModelComparison:
    """A row of Table 4: DeLong's test of model 1 against model 2 on the test set."""

    auc1: float
    auc2: float
    z: float
    p: float


@dataclass(frozen=True)
class Contradiction:
    """Something that the paper prints and its other numbers exclude."""

    where: str
    printed: str
    correct: str
    why: str


@dataclass(frozen=True)
class Paper:
    """Everything that a reproduction compares with.

    Attributes:
        source: the citation; ``reference`` is what the truth was measured with.
        age_groups: Table 1, and ``age_tests`` its bottom rows ("sex_by_age" is a chi-square, the others are F).
        sets: Table 2 by "overall", "training", "validation", "test", and ``set_tests`` its last columns.
        class_bmd: BMD by class, from the Results.
        images: numbers of images of the segmentation by set; ``dsc`` and ``dsc_range`` the Dice coefficient.
        performance: Table 3; ``confusion``: (3, 3) counts, truth by argmax, of each model and set.
        comparisons: Table 4.
        contradictions: what not to inherit.
    """

    source: str
    reference: str
    age_groups: tuple[AgeGroup, ...]
    age_tests: dict[str, PrintedTest]
    sets: dict[str, SetDescription]
    set_tests: dict[str, PrintedTest]
    class_bmd: dict[BoneStatus, ClassBmd]
    images: dict[str, int]
    dsc: Dice
    dsc_range: Dice
    performance: dict[tuple[Model, Split, BoneStatus], Performance]
    confusion: dict[tuple[Model, Split], np.ndarray]
    comparisons: dict[BoneStatus, ModelComparison]
    contradictions: tuple[Contradiction, ...]


@lru_cache(maxsize=1)
def paper() -> Paper:
    """Return the paper's numbers; they are read once and shared, and the matrices cannot be written to."""
    printed = json.loads(_PATH.read_text(encoding="utf-8"))
    sets = {name: _set(column) for name, column in printed["table2"].items()}
    segmentation = printed["segmentation"]
    return Paper(
        source=printed["source"],
        reference=printed["reference"],
        age_groups=tuple(_age_group(row) for row in printed["table1"]),
        age_tests={name: PrintedTest(**test) for name, test in printed["table1_tests"].items()},
        sets=sets,
        set_tests={name: PrintedTest(**test) for name, test in printed["table2_tests"].items()},
        class_bmd={
            status: _class_bmd(values, sets["overall"].classes[status])
            for status, values in printed["class_bmd"].items()
        },
        images=segmentation["images"],
        dsc=_dice(segmentation["dsc"]),
        dsc_range=_dice(segmentation["dsc_range"]),
        performance=_performance(printed["table3_columns"], printed["table3"]),
        confusion={(m, s): _matrix(printed["confusion"][m][s]) for m in MODELS for s in SPLITS},
        comparisons={status: ModelComparison(**row) for status, row in printed["table4"].items()},
        contradictions=tuple(Contradiction(**entry) for entry in printed["contradictions"]),
    )


def _group(mean_sd: list[float], n: int) -> Group:
    mean, sd = mean_sd
    return Group(mean, sd, n)


def _dice(values: Mapping[str, Any]) -> Dice:
    return Dice(values["mean"], values["sd"], tuple(values["training_images"]))


def _class_bmd(values: Mapping[str, Any], n: int) -> ClassBmd:
    return ClassBmd(Group(values["mean"], values["sd"], n), values["min"], values["max"])


def _age_group(row: Mapping[str, Any]) -> AgeGroup:
    men, women = (Group(mean, sd, n) for n, mean, sd in (row["men"], row["women"]))
    test = None if row["t"] is None else PrintedTest(row["t"], row["p"])
    return AgeGroup(row["age"], men, women, _group(row["average"], men.n + women.n), test)


def _set(column: Mapping[str, Any]) -> SetDescription:
    n = column["n"]
    classes = dict(zip(BONE_STATUSES, column["classes"], strict=True))
    age, bmd = _group(column["age"], n), _group(column["bmd"], n)
    return SetDescription(n, column["men"], column["women"], age, bmd, classes)


def _performance(columns: list[str], table: Mapping[str, Any]) -> dict[tuple[Model, Split, BoneStatus], Performance]:
    return {
        (model, split, status): Performance(**dict(zip(columns, table[model][split][status], strict=True)))
        for model in MODELS
        for split in SPLITS
        for status in BONE_STATUSES
    }


def _matrix(rows: list[list[int]]) -> np.ndarray:
    matrix = np.array(rows, np.int64)
    matrix.setflags(write=False)
    return matrix
