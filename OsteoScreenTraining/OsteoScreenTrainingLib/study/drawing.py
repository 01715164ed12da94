"""The study's figures, from what it found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from OsteoScreenLib.errors import SegmentationFailed
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenLib.segmentation import Segmenter

from ..datasets.folder import bone_status
from ..datasets.splits import PARTS
from ..figures.bland_altman import Limits, bland_altman
from ..figures.cohort import PaperBmd, cohort_by_age
from ..figures.confusion import confusion_matrices
from ..figures.decision_curve import decision_curve
from ..figures.examples import ExampleRow, example_rows
from ..figures.flow_chart import flow_chart
from ..figures.learning_curve import LearningCurve, PaperDsc, PaperPlateau, learning_curve
from ..figures.reliability import reliability_diagram, reliability_of
from ..figures.roc import roc_curves
from ..figures.style import save
from ..paper import MODELS, paper
from ..statistics import agreement
from ..statistics import decision_curve as net_benefit
from ..statistics.bone_status import BASELINE, baseline_scores, class_aucs, score_probabilities
from .beside_tables import IDEAL, baseline
from .model_tables import WORDS
from .page import FIGURES, PageFigure
from .results import StudyResults
from .segmentation_tables import NAMES, CurvePoint

#: What is shown around a body in Fig. 6 [mm].
_VIEW_MM = 84.0
_OSTEOPOROSIS = BONE_STATUSES.index("osteoporosis")


class StudyFigures:
    """Draws the figures of a study into its folder, one method each."""

    def __init__(self, results: StudyResults, folder: Path):
        self.results, self.folder = results, folder
        self.ours = "simulated" if results.simulated else "this data set"

    def _save(self, figure: Figure, name: str, title: str, caption: str, alt: str) -> PageFigure:
        save(figure, self.folder / FIGURES, name)
        return PageFigure(title, f"{name}.png", f"{name}.svg", caption, alt)

    def flow(self) -> PageFigure:
        """Fig. 1: who was included."""
        results = self.results
        splits: list[tuple[str, int, dict[str, int]]] = []
        for part in PARTS:
            statuses = [bone_status(subject) for subject in results.subjects(part)]
            splits.append((part, len(statuses), {str(s): statuses.count(k) for k, s in enumerate(BONE_STATUSES)}))
        included = len(results.inclusion.included)
        figure = flow_chart(results.inclusion.total, list(results.inclusion.excluded.items()), included, splits)
        alt = f"Flow chart from {results.inclusion.total} subjects to {included} included ones in three parts"
        caption = "Subjects, exclusions by the study's criteria, and the parts, by class of the reference."
        return self._save(figure, "figure-1", "The subjects (the paper's Fig. 1)", caption, alt)

    def cohort(self) -> PageFigure:
        """Fig. 4: prevalence and BMD by age and sex."""
        subjects = [s for s in self.results.subjects() if s.sex and s.age_years is not None and s.bmd is not None]
        printed = [
            PaperBmd(group.age, sex, own.mean, own.sd if own.n > 1 else None)
            for group in paper().age_groups
            for sex, own in (("M", group.men), ("F", group.women))
        ]
        ages, bmd = (np.array([getattr(s, name) for s in subjects], float) for name in ("age_years", "bmd"))
        figure = cohort_by_age(ages, [str(s.sex) for s in subjects], bmd, printed, self.ours)
        caption = "(a) Prevalence by the QCT limits; (b) mean BMD ± SD, the paper's Table 1 hollow beside it."
        alt = "Bars of prevalence and points of mean BMD by decade and sex"
        return self._save(figure, "figure-4", "Prevalence and BMD by age and sex (the paper's Fig. 4)", caption, alt)

    def learning_curve(self, points: Sequence[CurvePoint]) -> PageFigure:
        """Fig. 5: DSC by number of training images."""
        curves = []
        for architecture in dict.fromkeys(point.architecture for point in points):
            own = sorted((p for p in points if p.architecture == architecture), key=lambda p: p.images)
            values = ([getattr(p, name) for p in own] for name in ("images", "mean", "low", "high"))
            curves.append(LearningCurve(NAMES[architecture], *values))
        dsc, plateau = paper().dsc, paper().dsc_range
        first, last = plateau.training_images
        figure = learning_curve(
            curves,
            PaperDsc(dsc.training_images[0], dsc.mean, dsc.sd),
            PaperPlateau(first, last, plateau.mean, plateau.sd),
        )
        caption = "DSC on the test slices by number of training images, a network to each point; bands: 95 % CI."
        alt = "DSC over the number of training images on a logarithmic axis"
        return self._save(figure, "figure-5", "The learning curve (the paper's Fig. 5)", caption, alt)

    def examples(self, dcnn: Path, unet: Path, device: str) -> PageFigure:
        """Fig. 6: the middling test slice of each class, with the heat map and both networks' masks."""
        segmenters = [Segmenter(load_bundle(path, "segmentation"), device) for path in (dcnn, unet)]
        rows = [self._example(index, segmenters) for index in self._middling()]
        caption = (
            "For each class the test slice of L1 whose DSC is nearest to the class's median: CT, probability of the "
            "DCNN, reference label, and both networks' masks with the reference's outline dashed."
        )
        alt = "Three rows of close-ups of L1 with heat map and outlines"
        return self._save(example_rows(rows), "figure-6", "Examples (the paper's Fig. 6)", caption, alt)

    def _middling(self) -> list[int]:
        scores = [row for row in self.results.network("dcnn").scores if row["level"] == "L1" and row["found"]]
        chosen = []
        for status in range(len(BONE_STATUSES)):
            own = [row for row in scores if bone_status(self.results.data.subject(row["subject"])) == status]
            if own:
                middle = float(np.median([row["dsc"] for row in own]))
                chosen.append(min(own, key=lambda row: abs(row["dsc"] - middle))["index"])
        return [int(index) for index in chosen]

    def _example(self, index: int, segmenters: Sequence[Segmenter]) -> ExampleRow:
        slices = self.results.data.slices
        record = slices.records[index]
        images, masks = slices.read([index])
        assert record.body is not None
        window = _window(record.body, record.pixel_mm, images.shape[1:])
        found = [_probability(segmenter, images[0], record.pixel_mm)[window] for segmenter in segmenters]
        subject = self.results.data.subject(record.subject)
        return ExampleRow(
            ct=images[0][window].astype(float),
            probability=found[0],
            reference=masks[0][window].astype(float) / 255,
            dcnn=found[0],
            unet=found[1],
            sex=subject.sex or "?",
            age=subject.age_years or float("nan"),
            bmd=subject.bmd or float("nan"),
            category=BONE_STATUSES[bone_status(subject)],
        )

    def roc(self) -> PageFigure:
        """Fig. 7: ROC of both models, the measured BMD and the ideal observer, with the paper's operating points."""
        names = self.results.judged()
        truth = self.results.statuses(names)
        scores = {WORDS[model]: self.results.answers(model, names) for model in MODELS}
        points = {}
        for model in MODELS:
            found = score_probabilities(truth, scores[WORDS[model]]).classes
            rates = [found[status].at_argmax for status in BONE_STATUSES]
            points[WORDS[model]] = [(r.sensitivity.value, r.specificity.value) for r in rates]
            theirs = [paper().performance[model, "test", status] for status in BONE_STATUSES]
            points[f"paper, {WORDS[model]}"] = [(one.sensitivity, one.specificity) for one in theirs]
        scores[BASELINE] = baseline_scores(baseline(self.results, names))
        ideal = self.results.ideal(names)
        if ideal is not None:
            scores[IDEAL] = ideal
        aucs = {name: class_aucs(truth, table) for name, table in scores.items()}
        caption = (
            "One class against the rest, test subjects; in the legends AUC with DeLong's 95 % CI. Filled marks: the "
            "most probable class; hollow marks: the paper's operating points."
        )
        figure = roc_curves(truth, scores, aucs, points)
        return self._save(figure, "figure-7", "ROC curves (the paper's Fig. 7)", caption, "Three panels of ROC curves")

    def confusion(self) -> PageFigure:
        """Ours and the paper's confusion matrices."""
        names = self.results.judged()
        truth = self.results.statuses(names)
        matrices = {}
        for model in MODELS:
            found = score_probabilities(truth, self.results.answers(model, names)).overall.confusion
            matrices[f"{WORDS[model]}, {self.ours}"] = np.array(found)
            matrices[f"{WORDS[model]}, the paper"] = paper().confusion[model, "test"]
        caption = "Test subjects at the most probable class; the paper's follow from its rates."
        alt = "Four confusion matrices"
        return self._save(confusion_matrices(matrices), "confusion", "Confusion matrices", caption, alt)

    def reliability(self) -> PageFigure:
        """How often a class occurs among those who were given it with a probability."""
        models = {}
        for model in MODELS:
            classifier = self.results.classifiers[model]
            rows = classifier.of("test")
            found = score_probabilities(classifier.truth[rows], classifier.probabilities[rows]).classes
            models[WORDS[model]] = [reliability_of(found[status].reliability) for status in BONE_STATUSES]
        caption = "Test subjects, after the temperature; below, how many subjects each point stands for."
        alt = "Three panels of observed against predicted shares"
        return self._save(reliability_diagram(models), "reliability", "Reliability", caption, alt)

    def decision(self) -> PageFigure:
        """The net benefit of acting on the probability of osteoporosis."""
        names = self.results.judged()
        labels = self.results.statuses(names) == _OSTEOPOROSIS
        curves = {}
        for model in MODELS:
            found = net_benefit.decision_curve(labels, self.results.answers(model, names)[:, _OSTEOPOROSIS])
            curves[WORDS[model]] = found.model
        figure = decision_curve(found.thresholds, curves, found.treat_all)
        caption = "Net benefit of acting on the probability of osteoporosis, test subjects (Vickers and Elkin 2006)."
        return self._save(figure, "decision-curve", "Decision curve", caption, "Net benefit over threshold probability")

    def agreement(self) -> PageFigure:
        """Bland and Altman's plot of the measured BMD."""
        names = self.results.judged()
        measured = baseline(self.results, names)
        reference = np.array([self.results.data.subject(name).bmd for name in names], float)
        found = agreement.bland_altman(measured, reference)
        limits = Limits(*((e.value, e.low, e.high) for e in (found.bias, found.lower_limit, found.upper_limit)))
        figure = bland_altman(
            (measured + reference) / 2, measured - reference, limits, "BMD, measured − reference", "mg/cm³"
        )
        caption = "BMD measured inside the network's outlines less the reference, test subjects."
        return self._save(figure, "bland-altman", "Agreement of the BMD", caption, "Differences over means of BMD")


def _window(centre: tuple[float, float], pixel_mm: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    half = round(_VIEW_MM / pixel_mm / 2)
    starts = [int(np.clip(round(c) - half, 0, size - 2 * half)) for c, size in zip(centre, shape, strict=True)]
    return slice(starts[0], starts[0] + 2 * half), slice(starts[1], starts[1] + 2 * half)


def _probability(segmenter: Segmenter, hu: np.ndarray, pixel_mm: float) -> np.ndarray:
    try:
        return segmenter.segment(hu.astype(np.float32), (pixel_mm, pixel_mm)).probability.astype(float)
    except SegmentationFailed:
        return np.zeros(hu.shape)
