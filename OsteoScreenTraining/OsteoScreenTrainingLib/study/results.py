"""What a study found, as arrays: what its tables and figures are made of, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from OsteoScreenLib.errors import InputError
from OsteoScreenLib.results import BONE_STATUSES

from ..datasets.calibrations import subject_line
from ..datasets.folder import LEVELS, DataSet, bone_status
from ..datasets.inclusion import Inclusion
from ..datasets.manifest import Subject
from ..datasets.splits import PARTS, Part, Split
from ..paper import MODELS
from ..statistics.bone_status import youden_thresholds
from ..statistics.ideal_observer import class_posteriors
from ..statistics.temperature import apply_temperature
from .computing import StudyComputation


@dataclass(frozen=True)
class Network:
    """A segmentation network and its scores on the test slices, a row each; see ``scoring.SliceScorer``."""

    name: str
    architecture: str
    images: int
    steps: int
    sha256: str
    scores: list[dict[str, Any]]

    def column(self, name: str) -> np.ndarray:
        """Return a column of the scores (n,); what does not exist is NaN."""
        return np.array([np.nan if row[name] is None else row[name] for row in self.scores], float)

    @property
    def subjects(self) -> list[str]:
        return [row["subject"] for row in self.scores]


@dataclass(frozen=True)
class Classifier:
    """A classifier's answers: (n,) names, parts and true classes, and (n, 3) outputs before the temperature."""

    name: str
    words: str
    model: str
    elsewhere: bool
    trained_on: str
    steps: int
    sha256: str
    temperature: float | None
    names: np.ndarray
    parts: np.ndarray
    truth: np.ndarray
    outputs: np.ndarray
    without_outline: list[str]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The calibrated probabilities (n, 3)."""
        return apply_temperature(self.outputs, 1.0 if self.temperature is None else self.temperature)

    @cached_property
    def uncalibrated(self) -> np.ndarray:
        """The probabilities (n, 3) before the temperature."""
        return apply_temperature(self.outputs, 1.0)

    def of(self, part: Part) -> np.ndarray:
        """Return which rows are of a part, (n,) bool."""
        chosen: np.ndarray = self.parts == part
        return chosen

    @cached_property
    def thresholds(self) -> dict[Any, float]:
        """The Youden thresholds by class, fixed on the validation subjects."""
        rows = self.of("validation")
        return dict(youden_thresholds(self.truth[rows], self.probabilities[rows])) if rows.any() else {}


@dataclass(frozen=True)
class Measured:
    """Mean HU inside an outline, by subject and level, and the BMD that follows by each subject's calibration."""

    hu: dict[tuple[str, str], float]
    sd: dict[tuple[str, str], float]
    bmd: dict[str, float]


@dataclass(frozen=True)
class StudyResults:
    """Everything a study found.

    Attributes:
        measured: by outline, "model" or "drawn".
        truth: exact individual BMD and L1 BMD by subject, of a simulation.
    """

    data: DataSet
    inclusion: Inclusion
    split: Split
    networks: list[Network]
    measured: dict[str, Measured]
    classifiers: dict[str, Classifier]
    truth: dict[str, dict[str, float]] | None

    @property
    def simulated(self) -> bool:
        return self.data.header.kind == "simulated"

    def subjects(self, part: Part | None = None) -> list[Subject]:
        """Return the included subjects, of one part or of all."""
        names = self.split.parts[part] if part else [name for one in PARTS for name in self.split.parts[one]]
        return [self.data.subject(name) for name in names]

    def network(self, name: str) -> Network:
        return next(network for network in self.networks if network.name == name)

    def judged(self) -> list[str]:
        """Return the test subjects that Model 1, Model 2 and the measurement all have an answer for."""
        answered = [set(classifier.names) for name, classifier in self.classifiers.items() if name in MODELS]
        answered.append(set(self.measured["model"].bmd))
        return [name for name in self.split.parts["test"] if all(name in names for names in answered)]

    def statuses(self, names: list[str]) -> np.ndarray:
        """Return the classes of the reference, (n,)."""
        return np.array([bone_status(self.data.subject(name)) for name in names], np.int64)

    def answers(self, classifier: str, names: list[str]) -> np.ndarray:
        """Return a classifier's calibrated probabilities (n, 3) of some subjects."""
        found = self.classifiers[classifier]
        place = {name: row for row, name in enumerate(found.names)}
        return found.probabilities[[place[name] for name in names]]

    def ideal(self, names: list[str], level: str | None = None) -> np.ndarray | None:
        """Return what an observer answers who knows the true BMD and the error of the reference, (n, 3).

        With ``level`` the observer knows that level's BMD alone, and what the individual's is on average beside it.
        ``None`` for real data, where the truth is not known.
        """
        sd = self.data.header.reference_sd_mg_cm3
        if self.truth is None or sd is None:
            return None
        individual = np.array([self.truth[name]["bmd_individual"] for name in names])
        if level is None:
            return class_posteriors(individual, sd)
        everyone = [subject.subject for subject in self.subjects()]
        known, left_open = self._regression(everyone, level)
        one = np.array([self.truth[name][f"bmd_{level.lower()}"] for name in names])
        return class_posteriors(known[0] + known[1] * one, float(np.hypot(sd, left_open)))

    def _regression(self, names: list[str], level: str) -> tuple[np.ndarray, float]:
        """Return the line from a level's true BMD to the individual's, and the SD of what it leaves open."""
        assert self.truth is not None
        one = np.array([self.truth[name][f"bmd_{level.lower()}"] for name in names])
        individual = np.array([self.truth[name]["bmd_individual"] for name in names])
        line = np.polynomial.polynomial.polyfit(one, individual, 1)
        return line, float(np.std(individual - line[0] - line[1] * one, ddof=2))


def gather(study: StudyComputation) -> StudyResults:
    """Run what is left of a study and return what it found.

    Raises:
        InputError: the networks have an answer for too few test subjects to say anything.
    """
    study.prepare()
    networks = [_network(found) for found in study.networks()]
    measures = study.measures()
    classifiers = [_classifier(found) for found in study.classifiers()]
    results = StudyResults(
        data=study.data,
        inclusion=study.inclusion,
        split=study.split,
        networks=networks,
        measured={source: _measured(study.data, measures, source) for source in ("model", "drawn")},
        classifiers={classifier.name: classifier for classifier in classifiers},
        truth=study.data.truth(),
    )
    judged = results.judged()
    if set(results.statuses(judged).tolist()) != set(range(len(BONE_STATUSES))):
        raise InputError(
            f"Only {len(judged)} of {len(study.split.parts['test'])} test subjects have outlines that can be measured, "
            "and a class is missing among them; train the segmentation longer, in another folder."
        )
    return results


def _network(found: dict[str, Any]) -> Network:
    return Network(
        name=found["name"],
        architecture=found["network"],
        images=found["images"],
        steps=found["steps"],
        sha256=found["sha256"],
        scores=found["scores"],
    )


def _classifier(found: dict[str, Any]) -> Classifier:
    plain = ("name", "words", "model", "elsewhere", "trained_on", "steps", "sha256", "temperature", "without_outline")
    return Classifier(
        **{key: found[key] for key in plain},
        names=np.array(found["subjects"]),
        parts=np.array(found["parts"]),
        truth=np.array(found["truth"], np.int64),
        outputs=np.array(found["outputs"], float),
    )


def _measured(data: DataSet, rows: list[dict[str, Any]], source: str) -> Measured:
    own = [row for row in rows if row["outline"] == source and row["mean_hu"] is not None]
    hu = {(row["subject"], row["level"]): float(row["mean_hu"]) for row in own}
    sd = {(row["subject"], row["level"]): float(row["sd_hu"]) for row in own}
    names = dict.fromkeys(row["subject"] for row in own)
    whole = [name for name in names if all((name, level) in hu for level in LEVELS)]
    return Measured(hu, sd, {name: _bmd(data.subject(name), [hu[name, level] for level in LEVELS]) for name in whole})


def _bmd(subject: Subject, hu: list[float]) -> float:
    """Return the individual's measured BMD, by the subject's calibration, else by the nominal line."""
    line = subject_line(subject)
    return line.slope * float(np.mean(hu)) + line.intercept
