"""A classification bundle applied to the subjects of a data set, through the same path that screening takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from OsteoScreenLib.classification import Classifier, MaskedSlice
from OsteoScreenLib.densitometry import measure_roi
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.results import BONE_STATUSES

from ..datasets.calibrations import subject_line
from ..datasets.folder import DataSet, bone_status
from ..datasets.manifest import Subject
from .cases import slice_case


@dataclass(frozen=True)
class ClassifiedSubject:
    """A subject's class by the reference, (3,) probabilities by the bundle, and the BMD measured in the same outlines.

    ``problem`` says why there are none: then both are NaN.
    """

    subject: Subject
    truth: int
    probabilities: np.ndarray
    measured_bmd: float
    problem: str | None = None


def classify_subjects(
    data: DataSet, subjects: Sequence[Subject], classifier: Classifier, masks: Path | None
) -> Iterator[ClassifiedSubject]:
    """Yield the subjects, classified on their slices.

    Args:
        masks: the file of the outlines, see :func:`..datasets.predictions.predict_masks`; the drawn ones when None.
    """
    outlines = None if masks is None else np.load(masks, mmap_mode="r", allow_pickle=False)
    for subject in subjects:
        try:
            yield _classified(data, subject, classifier, outlines)
        except OsteoScreenError as error:
            nothing = np.full(len(BONE_STATUSES), np.nan)
            yield ClassifiedSubject(subject, bone_status(subject), nothing, float("nan"), str(error))


def _classified(
    data: DataSet, subject: Subject, classifier: Classifier, outlines: np.ndarray | None
) -> ClassifiedSubject:
    line = subject_line(subject)
    slices, bmd = {}, []
    for level in classifier.levels:
        index = data.slice_index(subject.subject, level)
        case = slice_case(data.slices, index, data.folder.name)
        coverage = case.truth if outlines is None else outlines[index].astype(np.float32) / 255
        pixel = data.slices.records[index].pixel_mm
        slices[level] = MaskedSlice(case.hu, coverage, (pixel, pixel))
        bmd.append(line.slope * measure_roi(case.hu, coverage, case.geometry, case.k).mean_hu + line.intercept)
    found = classifier.classify(slices, line)
    assert found.probabilities is not None
    probabilities = np.array([found.probabilities[status] for status in BONE_STATUSES])
    return ClassifiedSubject(subject, bone_status(subject), probabilities, float(np.mean(bmd)))
