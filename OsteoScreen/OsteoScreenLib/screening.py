"""One study, end to end: the only place where reading, levels, outlining, measuring, classifying and checking meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from . import __version__, loaded
from .cores import on_one_core, side_by_side
from .errors import InputError, SegmentationFailed, StudyRefused
from .outlines import LevelOutline
from .outlining import Outlined, Outliner, bundle_use
from .preparing import find_levels, open_requested
from .progress import Progress, silent
from .reports.pictures import LevelPicture, StudyPictures
from .request import ScreeningRequest
from .results import (
    Check,
    Classification,
    Densitometry,
    Identity,
    InputDescription,
    Level,
    RoiMeasures,
    ScreeningResult,
)
from .turns import clock

if TYPE_CHECKING:
    from .classification import Classifier
    from .ct import CT
    from .densitometry import UserCalibration
    from .inference import BundleRunner
    from .localisation.resample import TrunkGrid
    from .models import Bundle
    from .suggesting import Suggested

NO_CLASSIFIER = "No classifier bundle is installed; the category is that of the measured BMD alone."
NOT_CLASSIFIED = "The study was refused, so it was not classified."
NO_LINE = (
    "The classifier sees HU as the nominal scanner measures them, and no line takes these to it; give your scanner's "
    "calibration with --calibration."
)
#: By a bundle's role: what the GPU's memory did not suffice for, and what ran on the CPU instead.
_MEMORY_WORDS = {
    "segmentation": ("outlining", "networks"),
    "classification": ("classifying", "classifier"),
    "localisation": ("finding the levels", "localiser"),
}


@dataclass
class Screening:
    """A result with what is needed to draw it: the CT, each level's slice and outline, and the whole scan on a coarse
    grid, where levels were suggested."""

    result: ScreeningResult
    ct: CT
    pictures: StudyPictures = field(default_factory=StudyPictures)
    outlines: dict[str, LevelOutline] = field(default_factory=dict)
    trunk: TrunkGrid | None = None

    @property
    def masks(self) -> dict[str, tuple[int, np.ndarray]]:
        """Level name -> (slice index, mask (rows, columns) bool), of the levels that were outlined."""
        levels = self.pictures.levels.items()
        return {name: (shown.slice_index, shown.mask) for name, shown in levels if shown.mask is not None}

    def add_sagittal(self, most_slices: int, progress: Progress = silent) -> InputError | None:
        """Add the sagittal view through the outlined bodies, decoding at most ``most_slices`` slices for it.

        It is not part of screening itself, because it is for the reader alone and costs more slices than the
        measurement does. Nothing happens where no level was outlined, or the scan has a single slice; a slice that
        cannot be decoded costs the view, and is a warning. Returns what it was that cost the view.
        """
        if not self.result.roi or self.ct.geometry.shape[0] < 2:
            return None
        from .sagittal import sagittal_view

        try:
            self.pictures = replace(self.pictures, sagittal=sagittal_view(self.ct, self.result, most_slices, progress))
        except InputError as error:
            self.result.eligibility.append(Check("sagittal_view", "warn", f"There is no sagittal view: {error}"))
            return error
        return None

    def add_spine_view(self) -> None:
        """Add the curved view of the spine with the vertebrae's names, where levels were suggested."""
        if self.trunk is None or self.result.numbering is None:
            return
        from .spine_view import spine_picture

        self.pictures = replace(self.pictures, spine=spine_picture(self.trunk, self.result.numbering))

    @property
    def warnings(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.result.eligibility if check.outcome != "pass"]


def screen(request: ScreeningRequest, progress: Progress = silent) -> Screening:
    """Screen one study.

    A study that must not be screened is returned, not raised: its result has status "refused", the reasons under
    ``eligibility``, and no measures.

    Raises UsageError, InputError or BundleError with one sentence on what is wrong and what to do.
    """
    return _Run(request, progress).screen()


class _Run:
    """One pass over one study; holds what has been found so far."""

    def __init__(self, request: ScreeningRequest, progress: Progress) -> None:
        request.check()
        self.request = request
        self.progress = progress
        self.began = clock()
        self.timing = {"read": 0.0, "segment": 0.0, "classify": 0.0}
        self.checks: list[Check] = []
        self.levels: dict[str, Level] = {}
        self.roi: dict[str, RoiMeasures] = {}
        self.pictures: dict[str, LevelPicture] = {}
        self.densitometry: Densitometry | None = None
        self.classification = Classification(None, None, None, NOT_CLASSIFIED)
        self.bundles: list[Bundle] = []
        self._outlined: dict[str, Outlined] = {}
        self._classifier: Classifier | None = None
        self._suggested: Suggested | None = None

    def screen(self) -> Screening:
        from .chosen_bundles import classification_bundle, named_classification_bundle
        from .follow_up import THIS_RESULT, EarlierResults, scan_of_result

        # Before the scan is read, so that a wrong name costs no waiting.
        named_classification_bundle(self.request.classification_model, self.request.given_levels)
        self._outliner = Outliner(self.request)
        calibration = self._calibration()
        earlier = EarlierResults(self.request.earlier, dates=self.request.earlier_dates)
        with self._timed("read"):
            self.ct = open_requested(self.request, self.progress)
        whose = _identity(self.ct) if self.request.earlier else Identity()
        earlier.refuse_other_patients(whose.patient_id, whose.birth_date)
        self._find_levels()
        with self._timed("read"):
            self.checks += self._acquisition_checks()
        opinion = classification_bundle(self.request.classification_model, self.levels) if self.levels else None
        if self.levels and self._may_go_on():
            self._outline_and_measure()
        if self._is_measured() and self._may_go_on():
            self._measure_density(calibration)
        if self._is_measured() and self._may_go_on():
            self._classify(opinion)
        screening = self._screening()
        now = scan_of_result(screening.result, self.ct.acquisition.study_date, called=THIS_RESULT, header=whose)
        if now is not None:
            precision = None if calibration is None else calibration.precision_mg_cm3
            screening.result.follow_up = earlier.changes(now, precision)
        return screening

    def _calibration(self) -> UserCalibration | None:
        from .densitometry import load_calibration

        return None if self.request.calibration is None else load_calibration(self.request.calibration)

    def _find_levels(self) -> None:
        step = "suggest" if self.request.levels_to_suggest else "read"
        self.timing.setdefault(step, 0.0)
        with self._timed(step):
            found = find_levels(self.request, self.ct, self.progress)
        self.levels, self.checks, self._suggested = found.levels, list(found.checks), found.suggested
        if self._suggested is not None:
            self.bundles.append(self._suggested.network.bundle)
            self.checks += _memory_checks(self._suggested.network)

    def _acquisition_checks(self) -> list[Check]:
        from .ct.eligibility import acquisition_checks

        return acquisition_checks(self.ct, age_years=self.request.age_years, sex=self.request.sex)

    # -- the slices

    def _outline_and_measure(self) -> None:
        from .ct.eligibility import pair_checks

        with self._timed("read"):
            self._outliner.read_masks(self.levels, self.ct.geometry)
        with self._timed("segment"):
            self._outliner.load(self.levels)
        if self._outliner.bundle is not None:
            self.bundles.append(self._outliner.bundle)
        for name, level in self.levels.items():
            with self._timed("read"):
                self.pictures[name] = level_picture(self.ct, name, level.slice_index)
        self.progress("Outlining and measuring", 0, len(self.levels))
        began = outlined_at = clock()
        for name, future in side_by_side(self.levels, self._measure).items():
            try:
                measured = future.result()
            except SegmentationFailed as error:
                self.checks.append(Check("segmentation", "refuse", f"{name}: {error}", name))
                continue
            outlined_at = max(outlined_at, measured.outlined_at)
            self._keep(name, measured)
        self.timing["segment"] += outlined_at - began
        self.checks += [*pair_checks(self.roi), *_memory_checks(self._outliner.segmenter)]
        self.progress("Outlining and measuring", len(self.levels), len(self.levels))

    def _keep(self, name: str, measured: _Measured) -> None:
        self._outlined[name], self.roi[name] = measured.outlined, measured.roi
        self.pictures[name] = _with_outline(self.pictures[name], measured.outlined.outline)
        self.checks += measured.checks

    def _measure(self, level: Level) -> _Measured:
        """Outline, measure and judge one level; it changes nothing here, so that levels can go side by side."""
        from .ct.eligibility import slice_checks
        from .densitometry import measure_roi

        hu, geometry = self.pictures[level.name].hu, self.ct.geometry
        outlined = self._outliner.outline(level, hu, geometry)
        outlined_at = clock()
        roi = measure_roi(
            hu,
            outlined.coverage,
            geometry,
            level.slice_index,
            confidence=outlined.outline.confidence,
            mask_source=outlined.source,
        )
        return _Measured(outlined, roi, slice_checks(self.ct, level, hu, outlined.outline.mask, roi), outlined_at)

    # -- the result

    def _measure_density(self, calibration: UserCalibration | None) -> None:
        from .densitometry import densitometry

        try:
            self.densitometry, checks = densitometry(self.roi, self.ct.acquisition, calibration)
        except StudyRefused as error:
            checks = [Check("calibration", "refuse", str(error))]
        self.checks += checks

    def _classify(self, bundle: Bundle | None) -> None:
        """Ask the classifier, or say why it cannot be asked."""
        if bundle is None:
            self.classification = Classification(None, None, None, NO_CLASSIFIER)
            return
        if bundle.preprocessing["hu"] == "standardised" and self.densitometry is None:
            self.classification = Classification(None, None, None, NO_LINE)
            return
        from .classification import MaskedSlice

        spacing = self.ct.geometry.pixel_spacing_mm
        slices = {
            name: MaskedSlice(self.pictures[name].hu, outlined.coverage, spacing)
            for name, outlined in self._outlined.items()
        }
        line = (self.densitometry.calibration, self.densitometry.kvp_factor) if self.densitometry else (None, 1.0)
        outliner = self._outliner.segmenter
        device = "cpu" if outliner is not None and outliner.fell_back else self.request.device
        with self._timed("classify"):
            classifier = loaded.CLASSIFIERS.get(bundle, device)
            self.classification = on_one_core(lambda: classifier.classify(slices, *line))
        self._classifier = classifier
        self.checks += _memory_checks(self._classifier)
        self.bundles.append(bundle)

    def _is_measured(self) -> bool:
        return bool(self.levels) and len(self.roi) == len(self.levels)

    def _may_go_on(self) -> bool:
        from .ct.eligibility import is_refused

        return self.request.force or not is_refused(self.checks)

    def _screening(self) -> Screening:
        screened = self._is_measured() and self._may_go_on()
        result = ScreeningResult(
            status="screened" if screened else "refused",
            input=self._describe(),
            eligibility=self.checks,
            levels=self.levels,
            # What a refused study would measure is not to be trusted, so it is not written down.
            roi=self.roi if screened else {},
            densitometry=self.densitometry if screened else None,
            classification=self.classification,
            agreement=self._agreement(),
            bundles=[bundle_use(bundle) for bundle in self.bundles],
            software=self._software(),
            timing_s={**self.timing, "total": clock() - self.began},
            numbering=None if self._suggested is None else self._suggested.numbering,
        )
        outlines = {name: outlined.outline for name, outlined in self._outlined.items()}
        trunk = None if self._suggested is None else self._suggested.trunk
        return Screening(result, self.ct, StudyPictures(dict(self.pictures)), outlines, trunk)

    def _agreement(self) -> bool | None:
        if self.densitometry is None or self.classification.category is None:
            return None
        return self.densitometry.category == self.classification.category

    def _describe(self) -> InputDescription:
        described = self.ct.describe()
        return replace(
            described,
            age_years=described.age_years if self.request.age_years is None else self.request.age_years,
            sex=described.sex if self.request.sex is None else self.request.sex,
        )

    def _software(self) -> dict[str, str]:
        runners = [runner for runner in (self._outliner.segmenter, self._classifier) if runner is not None]
        fell_back = any(runner.fell_back for runner in runners)
        device = str(runners[0].device) if runners and not fell_back else "cpu"
        return {"osteoscreen": __version__, "torch": _version("torch"), "device": device}

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = clock()
        try:
            yield
        finally:
            self.timing[step] += clock() - began


@dataclass(frozen=True)
class _Measured:
    """One level, outlined, measured and judged; ``outlined_at`` is when its outline stood, on the study's clock."""

    outlined: Outlined
    roi: RoiMeasures
    checks: list[Check]
    outlined_at: float


def level_picture(ct: CT, name: str, k: int) -> LevelPicture:
    """Return slice ``k`` of the CT as the picture of the level ``name``, without an outline.

    Raises UsageError where there is no such slice, InputError where it cannot be decoded.
    """
    hu = ct.slice(k)
    placement = np.array(ct.geometry.ijk_to_ras)
    # Exact on this slice also where the slices are not evenly spaced.
    placement[:3, 3] = ct.geometry.ras(0.0, 0.0, k) - k * placement[:3, 2]
    return LevelPicture(name, k, hu, placement)


def pictures_of(ct: CT, result: ScreeningResult, outlines: Mapping[str, LevelOutline]) -> StudyPictures:
    """Return the pictures of a screening that was made before, as `screen` returned them.

    ``result`` and ``outlines`` are that screening's, and ``ct`` its CT. Raises UsageError or InputError where a slice
    is not there.
    """
    # A level that no outline was found for is shown all the same.
    tried = {check.value for check in result.eligibility if check.check == "segmentation"}
    pictures = {}
    for name, level in result.levels.items():
        if name in outlines:
            pictures[name] = _with_outline(level_picture(ct, name, level.slice_index), outlines[name])
        elif name in tried:
            pictures[name] = level_picture(ct, name, level.slice_index)
    return StudyPictures(pictures)


def _with_outline(picture: LevelPicture, outline: LevelOutline) -> LevelPicture:
    return replace(picture, mask=outline.mask, probability=outline.probability)


def _identity(ct: CT) -> Identity:
    """Whose the scan is, by its header; empty where it has none."""
    from .reports.identity import identity_of

    return identity_of(ct) if ct.files else Identity()


def _memory_checks(runner: BundleRunner | None) -> list[Check]:
    """The warning that the GPU was too small for a network, where it was."""
    if runner is None or not runner.fell_back:
        return []
    work, what = _MEMORY_WORDS[runner.bundle.role]
    message = (
        f"The GPU's memory did not suffice for {work}, so the {what} ran on the CPU; close what else uses the GPU and "
        "start again, or choose the CPU as the device."
    )
    return [Check("device", "warn", message, "cpu")]


def _version(package: str) -> str:
    """A package's version without importing it; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
