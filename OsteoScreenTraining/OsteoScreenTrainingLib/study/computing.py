"""The stages of a study that cost time: training, outlining, measuring, classifying. Each is done once and kept."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from OsteoScreenLib import __version__
from OsteoScreenLib.device import choose_device
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.progress import Progress, silent

from ..datasets.folder import HEADER, LEVELS, SLICES, DataSet, bone_status
from ..datasets.inclusion import Inclusion, include
from ..datasets.manifest import MANIFEST, Subject
from ..datasets.masked_slices import MaskedSlices
from ..datasets.predictions import predict_masks
from ..datasets.splits import PARTS, Split, leaks, make_split, save_split
from ..training.classification_task import ClassificationTask
from ..training.config import TrainingConfig, replace
from ..training.running import BUNDLE, trained_bundle
from ..training.tasks import open_task
from .profiles import StudyProfile, Variant
from .scoring import RoiMeasurer, SliceScorer, run_all
from .stages import Stages, fingerprint

RUNS = "runs"


@dataclass(frozen=True)
class StudyRequest:
    """What to study, how much to train, and where to write.

    split : "temporal" or "random", by subject; it is saved with the data set
    workers : processes that score slices
    """

    data: Path
    output: Path
    profile: StudyProfile
    seed: int = 1
    split: str = "temporal"
    device: str = "auto"
    workers: int = 1


class StudyComputation:
    """The stages of one study, in the order in which they need each other; each method returns JSON types.

    Raises:
        UsageError: the output folder holds another study.
        InputError: the data set cannot be read, or its split leaks.
    """

    def __init__(self, request: StudyRequest, progress: Progress = silent):
        self.request, self.progress, self.profile = request, progress, request.profile
        self.data = DataSet(request.data)
        self.inclusion: Inclusion = include(self.data)
        self.split: Split = make_split(request.split, self.inclusion.included, request.seed)
        self.split_name = f"study-{request.split}-{request.seed}"
        self.stages = Stages(request.output, self._identity())

    def _identity(self) -> dict[str, Any]:
        files = [self.data.folder / HEADER, self.data.folder / MANIFEST, self.data.folder / SLICES / "slices.csv"]
        return {
            "schema": "osteoscreen-study/1",
            "data": fingerprint(files),
            "profile": _plain(asdict(self.profile)),
            "split": self.request.split,
            "seed": self.request.seed,
            "osteoscreen": __version__,
        }

    # -- the subjects

    def prepare(self) -> None:
        """Save the split with the data set, once it is known not to leak."""

        def check() -> dict[str, Any]:
            found = leaks(self.data, self.split)
            if found:
                raise InputError(f"Subjects of different parts belong together: {'; '.join(found[:5])}.")
            return {"leaks": found}

        self.stages.result("leaks", check)
        save_split(self.data, self.split_name, self.split)

    def included(self) -> list[Subject]:
        """Return the included subjects, part by part."""
        return [self.data.subject(name) for part in PARTS for name in self.split.parts[part]]

    # -- segmentation

    def networks(self) -> list[dict[str, Any]]:
        """Train and score the networks of the learning curve and the U-Net; the last but one is the study's own."""
        images = len(self.split.parts["training"]) * len(LEVELS)
        sizes = [size for size in self.profile.sizes if size < images]
        found = [
            self._network(f"dcnn-{size:05d}-{repeat}", size, self.request.seed + repeat, unet=False, every=False)
            for size in sizes
            for repeat in range(self.profile.repeats)
        ]
        found.append(self._network("dcnn", 0, self.request.seed, unet=False, every=True))
        found.append(self._network("unet", 0, self.request.seed, unet=True, every=True))
        return found

    def _network(self, name: str, size: int, seed: int, *, unet: bool, every: bool) -> dict[str, Any]:
        def compute() -> dict[str, Any]:
            config = self.profile.segmentation_config(size, seed, self.split_name, unet)
            bundle = self._trained(config, name)
            most = 0 if every else self.profile.curve_slices
            scorer = SliceScorer(self.data.folder / SLICES, bundle, self.request.device)
            rows = run_all(scorer, self._test_slices(most), self._workers(), self.progress, f"Scoring {name}")
            images = size or len(self.split.parts["training"]) * len(LEVELS)
            return {
                "name": name,
                "network": config.network["name"],
                "images": images,
                "seed": seed,
                "steps": config.steps,
                "sha256": load_bundle(bundle).sha256,
                "scores": rows,
            }

        result: dict[str, Any] = self.stages.result(f"segment-{name}", compute)
        return result

    def _trained(self, config: TrainingConfig, name: str) -> Path:
        self.progress(f"Training {name}", 0, 1)
        config = replace(config, device=self.request.device)
        return trained_bundle(config, [self.data.folder], self.request.output / RUNS / name)

    def _test_slices(self, most: int) -> list[int]:
        every = [self.data.slice_index(name, level) for name in self.split.parts["test"] for level in LEVELS]
        if not 0 < most < len(every):
            return every
        return [every[place] for place in np.linspace(0, len(every) - 1, most).astype(int)]

    def bundle_of(self, name: str) -> Path:
        """Return the bundle of a network that was trained."""
        return self.request.output / RUNS / name / BUNDLE

    # -- outlines and measures

    def outlines(self, name: str = "dcnn") -> Path:
        """Return the file of the outlines that one of the networks draws on every slice."""
        return predict_masks(
            self.data,
            load_bundle(self.bundle_of(name)),
            device=self.request.device,
            workers=self._workers(),
            progress=self.progress,
        )

    def measures(self) -> list[dict[str, Any]]:
        """Return mean HU inside the study's own outlines and inside the drawn ones, a row per subject and level."""

        def compute() -> list[dict[str, Any]]:
            indices = [self.data.slice_index(s.subject, level) for s in self.included() for level in LEVELS]
            found = []
            for source, masks in (("model", self.outlines()), ("drawn", None)):
                measurer = RoiMeasurer(self.data.folder / SLICES, masks)
                rows = run_all(measurer, indices, self._workers(), self.progress, "Measuring")
                found += [{"outline": source, **row} for row in rows]
            return found

        rows: list[dict[str, Any]] = self.stages.result("measures", compute)
        return rows

    # -- classification

    def classifiers(self) -> list[dict[str, Any]]:
        """Train the classifiers of the profile and apply them to all subjects that they may be judged on."""
        return [self._classifier(variant) for variant in self.profile.variants() if self._possible(variant)]

    def _possible(self, variant: Variant) -> bool:
        """Return whether the data can answer the variant's question: one scanner says nothing of others."""
        return not variant.elsewhere or len(self._scanners()) > 1

    def _scanners(self) -> list[str]:
        """Return the scanners of the training subjects, the commonest first."""
        names = [self.data.subject(name).scanner for name in self.split.parts["training"]]
        return [name for name, _ in Counter(name for name in names if name).most_common()]

    def _classifier(self, variant: Variant) -> dict[str, Any]:
        def compute() -> dict[str, Any]:
            config = self._config(variant)
            bundle = load_bundle(self._trained(config, variant.name), "classification")
            task = open_task(config, [self.data.folder])
            assert isinstance(task, ClassificationTask)
            subjects = self._judged(variant)
            slices = MaskedSlices(self.data, subjects, task.levels, self.outlines(), task.field_mm)
            device = choose_device(self.request.device)
            outputs = task.outputs(bundle.network(device), slices, device, contextlib.nullcontext)
            part_of = self.split.part_of()
            return {
                "name": variant.name,
                "words": variant.words,
                "model": variant.model,
                "elsewhere": variant.elsewhere,
                "trained_on": config.classification.scanner or "all scanners",
                "steps": config.steps,
                "sha256": bundle.sha256,
                "temperature": bundle.description.get("postprocessing", {}).get("temperature"),
                "subjects": slices.names,
                "parts": [part_of[name] for name in slices.names],
                "truth": [bone_status(self.data.subject(name)) for name in slices.names],
                "outputs": np.round(outputs, 6).tolist(),
                "without_outline": slices.without_outline,
            }

        result: dict[str, Any] = self.stages.result(f"classify-{variant.name}", compute)
        return result

    def _config(self, variant: Variant) -> TrainingConfig:
        config = self.profile.classification_config(
            variant, self.request.seed, self.split_name, str(self.bundle_of("dcnn"))
        )
        if not variant.elsewhere:
            return config
        return replace(config, classification=dataclasses.replace(config.classification, scanner=self._scanners()[0]))

    def _judged(self, variant: Variant) -> list[Subject]:
        """Return whom a classifier is applied to: everyone, or the test subjects of the scanners it never saw."""
        if not variant.elsewhere:
            return self.included()
        test = [self.data.subject(name) for name in self.split.parts["test"]]
        return [subject for subject in test if subject.scanner != self._scanners()[0]]

    def _workers(self) -> int:
        return min(self.request.workers, os.cpu_count() or 1)


def _plain(value: Any) -> Any:
    """Return a profile in the types that JSON gives back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
