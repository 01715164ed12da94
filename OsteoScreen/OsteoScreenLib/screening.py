"""One study, end to end: the only place where reading, levels, outlining, measuring, classifying and checking meet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from . import __version__, loaded
from .errors import InputError, SegmentationFailed, StudyRefused, UsageError
from .progress import Progress, silent
from .reports.pictures import LevelPicture, StudyPictures
from .request import ScreeningRequest
from .results import (
    BundleUse,
    Check,
    Classification,
    Densitometry,
    InputDescription,
    Level,
    RoiMeasures,
    ScreeningResult,
)

if TYPE_CHECKING:
    from .classification import Classifier
    from .ct import CT
    from .densitometry import UserCalibration
    from .levels import VertebraMask
    from .models import Bundle
    from .segmentation import Segmenter

LEVEL_NAMES = ("L1", "L2")
NO_CLASSIFIER = "No classifier bundle is installed; the category is that of the measured BMD alone."
NOT_CLASSIFIED = "The study was refused, so it was not classified."
NO_LINE = (
    "The classifier sees HU as the nominal scanner measures them, and no line takes these to it; give your scanner's "
    "calibration with --calibration."
)


@dataclass
class Screening:
    """A result with what is needed to draw it: the CT it was made on, and each level's slice and mask."""

    result: ScreeningResult
    ct: CT
    pictures: StudyPictures = field(default_factory=StudyPictures)

    @property
    def masks(self) -> dict[str, tuple[int, np.ndarray]]:
        """Level name -> (slice index, mask (rows, columns) bool), of the levels that were outlined."""
        levels = self.pictures.levels.items()
        return {name: (shown.slice_index, shown.mask) for name, shown in levels if shown.mask is not None}

    def add_sagittal(self, most_slices: int, progress: Progress = silent) -> None:
        """Add the sagittal view through the outlined bodies, decoding at most ``most_slices`` slices for it.

        It is not part of screening itself, because it is for the reader alone and costs more slices than the
        measurement does. Nothing happens where no level was outlined, or the scan has a single slice; a slice that
        cannot be decoded costs the view, and is a warning.
        """
        if not self.result.roi or self.ct.geometry.shape[0] < 2:
            return
        from .sagittal import sagittal_view

        try:
            self.pictures = replace(self.pictures, sagittal=sagittal_view(self.ct, self.result, most_slices, progress))
        except InputError as error:
            self.result.eligibility.append(Check("sagittal_view", "warn", f"There is no sagittal view: {error}"))

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
        self.began = time.perf_counter()
        self.timing = {"read": 0.0, "segment": 0.0, "classify": 0.0}
        self.checks: list[Check] = []
        self.levels: dict[str, Level] = {}
        self.roi: dict[str, RoiMeasures] = {}
        self.pictures: dict[str, LevelPicture] = {}
        self.densitometry: Densitometry | None = None
        self.classification = Classification(None, None, None, NOT_CLASSIFIED)
        self.bundles: list[Bundle] = []
        self._coverage: dict[str, np.ndarray] = {}
        self._segmenter: Segmenter | None = None
        self._classifier: Classifier | None = None
        self._user_masks: dict[str, VertebraMask] = {}

    def screen(self) -> Screening:
        from .chosen_bundles import classification_bundle

        # Before the scan is read, so that a wrong name costs no waiting.
        outliner = self._bundles_by_name()
        calibration = self._calibration()
        with self._timed("read"):
            self.ct = self._open()
            self.levels = self._find_levels()
            self.checks += self._acquisition_checks()
        opinion = classification_bundle(self.request.classification_model, self.levels)
        if self._may_go_on():
            self._outline_and_measure(outliner)
        if self._is_measured() and self._may_go_on():
            self._measure_density(calibration)
        if self._is_measured() and self._may_go_on():
            self._classify(opinion)
        return self._screening()

    # -- before the first pixel

    def _bundles_by_name(self) -> Bundle | None:
        """The segmentation bundle, None for the user's outlines; the other bundle is judged as far as it can be."""
        from .chosen_bundles import named_classification_bundle, segmentation_bundle

        request = self.request
        named_classification_bundle(request.classification_model, request.given_levels)
        return None if request.masks is not None else segmentation_bundle(request.segmentation_model)

    def _calibration(self) -> UserCalibration | None:
        from .densitometry import load_calibration

        return None if self.request.calibration is None else load_calibration(self.request.calibration)

    def _open(self) -> CT:
        from .ct import CT, open_ct

        if isinstance(self.request.ct, CT):
            return self.request.ct
        return open_ct(self.request.ct, series=self.request.series, progress=self.progress)

    def _find_levels(self) -> dict[str, Level]:
        from .levels import levels_from_segmentation, parse_level, snap_to_centre

        request = self.request
        given = {name: text for name, text in (("L1", request.l1), ("L2", request.l2)) if text is not None}
        levels = {
            name: level if isinstance(level, Level) else parse_level(level, self.ct, name)
            for name, level in given.items()
        }
        source = request.levels_from or (None if levels else request.masks)
        if source is not None:
            levels = {**levels_from_segmentation(source, self.ct, LEVEL_NAMES), **levels}
            if "L2" not in levels:
                self.checks.append(
                    Check("levels", "warn", "The segmentation holds no whole L2: L1 alone is measured (Model 2).", "L1")
                )
        if request.snap:
            levels = {name: snap_to_centre(self.ct, level) for name, level in levels.items()}
        _check_levels(levels)
        return {name: levels[name] for name in LEVEL_NAMES if name in levels}

    def _acquisition_checks(self) -> list[Check]:
        from .ct.eligibility import acquisition_checks

        return acquisition_checks(self.ct, age_years=self.request.age_years, sex=self.request.sex)

    # -- the slices

    def _outline_and_measure(self, bundle: Bundle | None) -> None:
        from .ct.eligibility import pair_checks

        if bundle is None:
            self._read_user_masks()
        elif self._segmenter is None:
            with self._timed("segment"):
                self._segmenter = loaded.SEGMENTERS.get(bundle, self.request.device)
            self.bundles.append(bundle)
        slices = {level.name: self._read_slice(level) for level in self.levels.values()}
        self.progress("Outlining and measuring", 0, len(self.levels))
        began, outlined_at = time.perf_counter(), time.perf_counter()
        # The levels go side by side, each on its share of the cores: a small network gains little from a second core.
        with ThreadPoolExecutor(len(slices), initializer=_share_cores, initargs=(len(slices),)) as levels:
            futures = [levels.submit(self._measure, level, slices[level.name]) for level in self.levels.values()]
        for level, future in zip(self.levels.values(), futures, strict=True):
            try:
                measured = future.result()
            except SegmentationFailed as error:
                self.checks.append(Check("segmentation", "refuse", f"{level.name}: {error}", level.name))
                continue
            outlined_at = max(outlined_at, measured.outlined_at)
            self._keep(level, measured)
        self.timing["segment"] += outlined_at - began
        self.checks += pair_checks(self.roi)
        self.progress("Outlining and measuring", len(self.levels), len(self.levels))

    def _read_slice(self, level: Level) -> np.ndarray:
        with self._timed("read"):
            hu = self.ct.slice(level.slice_index)
        self.pictures[level.name] = self._picture(level, hu)
        return hu

    def _keep(self, level: Level, measured: _Measured) -> None:
        shown, outlined = self.pictures[level.name], measured.outlined
        self.pictures[level.name] = replace(shown, mask=outlined.mask, probability=outlined.probability)
        self.roi[level.name], self._coverage[level.name] = measured.roi, outlined.coverage
        self.checks += measured.checks

    def _outline(self, level: Level, hu: np.ndarray) -> _Outlined:
        """The outline of one level: the network's, or the user's where there is none."""
        if self._segmenter is None:
            mask = self._user_masks.get(level.name)
            if mask is None:
                raise SegmentationFailed(f"The outlines hold no {level.name}; draw it, or leave --masks out.")
            coverage = mask.coverage_on(self.ct.geometry, level.slice_index)
            return _Outlined(coverage > 0.5, coverage, None, 1.0)
        found = self._segmenter.segment(hu, self.ct.geometry.pixel_spacing_mm)
        return _Outlined(found.mask, found.probability, found.probability, found.confidence)

    def _read_user_masks(self) -> None:
        from .levels import read_vertebrae

        assert self.request.masks is not None
        with self._timed("read"):
            self._user_masks = read_vertebrae(self.request.masks, list(self.levels))

    def _measure(self, level: Level, hu: np.ndarray) -> _Measured:
        """Outline, measure and judge one level; it changes nothing here, so that levels can go side by side."""
        from .ct.eligibility import slice_checks
        from .densitometry import measure_roi

        outlined = self._outline(level, hu)
        outlined_at = time.perf_counter()
        roi = measure_roi(
            hu,
            outlined.coverage,
            self.ct.geometry,
            level.slice_index,
            confidence=outlined.confidence,
            mask_source="user" if self.request.masks is not None else "model",
        )
        return _Measured(outlined, roi, slice_checks(self.ct, level, hu, outlined.mask, roi), outlined_at)

    def _picture(self, level: Level, hu: np.ndarray) -> LevelPicture:
        k = level.slice_index
        placement = np.array(self.ct.geometry.ijk_to_ras)
        # Exact on this slice also where the slices are not evenly spaced.
        placement[:3, 3] = self.ct.geometry.ras(0.0, 0.0, k) - k * placement[:3, 2]
        return LevelPicture(level.name, k, hu, placement)

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
        slices = {name: MaskedSlice(self.pictures[name].hu, on, spacing) for name, on in self._coverage.items()}
        line = (self.densitometry.calibration, self.densitometry.kvp_factor) if self.densitometry else (None, 1.0)
        with self._timed("classify"):
            self._classifier = loaded.CLASSIFIERS.get(bundle, self.request.device)
            self.classification = self._classifier.classify(slices, *line)
        self.bundles.append(bundle)

    def _is_measured(self) -> bool:
        return bool(self.levels) and len(self.roi) == len(self.levels)

    def _may_go_on(self) -> bool:
        return self.request.force or not _refusals(self.checks)

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
            bundles=[_use(bundle) for bundle in self.bundles],
            software=self._software(),
            timing_s={**self.timing, "total": time.perf_counter() - self.began},
        )
        return Screening(result, self.ct, StudyPictures(dict(self.pictures)))

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
        runner = self._segmenter or self._classifier
        device = "cpu" if runner is None else str(runner.device)
        return {"osteoscreen": __version__, "torch": _version("torch"), "device": device}

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timing[step] += time.perf_counter() - began


@dataclass(frozen=True)
class _Outlined:
    """An outline: its mask, each pixel's coverage (0.5 is the edge), the network's probability, and its confidence."""

    mask: np.ndarray
    coverage: np.ndarray
    probability: np.ndarray | None
    confidence: float


@dataclass(frozen=True)
class _Measured:
    """One level, outlined, measured and judged; ``outlined_at`` is when its outline stood, on the performance clock."""

    outlined: _Outlined
    roi: RoiMeasures
    checks: list[Check]
    outlined_at: float


def _share_cores(levels: int) -> None:
    """Let the network in this thread use its share of the cores; torch counts threads per calling thread."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(max(1, torch.get_num_threads() // levels))


def _check_levels(levels: dict[str, Level]) -> None:
    if "L1" not in levels:
        raise UsageError("L2 was given without L1; give the centre slice of L1 with --l1.")
    if "L2" in levels and levels["L2"].z_mm >= levels["L1"].z_mm:
        raise UsageError(
            f"L2 (S {levels['L2'].z_mm:.1f} mm) does not lie below L1 (S {levels['L1'].z_mm:.1f} mm); check whether "
            "they are swapped or the same slice."
        )


def _refusals(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.outcome == "refuse"]


def _use(bundle: Bundle) -> BundleUse:
    return BundleUse(bundle.role, bundle.name, bundle.version, bundle.sha256)


def _version(package: str) -> str:
    """A package's version without importing it; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
