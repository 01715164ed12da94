"""How much a study trains: quick for a laptop, full as in the paper, or a profile of one's own from a JSON file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from OsteoScreenLib.errors import UsageError

from ..training.config import MODEL_LEVELS, TrainingConfig, from_dict, merged

#: The paper: 500 rounds, batches of 64, SGD with a learning rate of 0.001.
ROUNDS, BATCH, RATE = 500, 64, 0.001
#: Subjects to train on in the paper's classification, and the images of as many.
SUBJECTS, IMAGES = 530, 1060


@dataclass(frozen=True)
class Variant:
    """One classifier of the study: Model 1, Model 2, or one that differs from it in one thing.

    Attributes:
        name, words: what it is called in files, and on the page.
        model: "model1" or "model2"; it is compared with the study's own of that model.
        changes: what differs, as a training configuration.
        elsewhere: train on the subjects of the commonest scanner, test on those of all others.
    """

    name: str
    words: str
    model: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: bool = False


#: What is compared with Model 1 and 2, each in one thing.
COMPARISONS = (
    Variant("model1-ordinal", "Model 1, ordinal head", "model1", {"network": {"parameters": {"head": "ordinal"}}}),
    Variant("model2-ordinal", "Model 2, ordinal head", "model2", {"network": {"parameters": {"head": "ordinal"}}}),
    Variant("model1-wide-window", "Model 1, window of -200 to 500 HU", "model1", {"window_hu": [-200.0, 500.0]}),
    Variant(
        "model1-drawn", "Model 1, trained on the drawn outlines", "model1", {"classification": {"masks": "drawn"}}
    ),
    Variant("model1-measured-hu", "Model 1, HU as measured", "model1", {"classification": {"hu": "measured"}}),
    Variant(
        "model1-balanced", "Model 1, classes weighed alike", "model1", {"classification": {"class_weights": "balanced"}}
    ),
    Variant("model1-soft-labels", "Model 1, labels softened by the reference's error", "model1", {
        "classification": {"label_sd_mg_cm3": 10.0},
    }),
    Variant("model1-resnet101", "Model 1, ResNet-101", "model1", {"network": {"name": "resnet101"}}),
    Variant("one-scanner-standardised", "One scanner to others, HU standardised", "model1", {}, True),
    Variant(
        "one-scanner-measured", "One scanner to others, HU as measured", "model1",
        {"classification": {"hu": "measured"}}, True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class StudyProfile:
    """What a study trains and on how much it scores it.

    Attributes:
        sizes: numbers of training images of the learning curve; all of them is always the last point.
        repeats: networks of each size, which differ in the seed.
        curve_slices: test slices that the networks of the curve are scored on, spread over all; 0 is all. The last
            network and the U-Net are scored on all of them.
        segmentation, unet, classification: training configurations; what they leave out is the task's default.
        comparisons: names of :data:`COMPARISONS` to train besides Model 1 and 2.
    """

    name: str
    sizes: tuple[int, ...]
    repeats: int
    curve_slices: int
    segmentation: Mapping[str, Any]
    unet: Mapping[str, Any]
    classification: Mapping[str, Any]
    comparisons: tuple[str, ...]

    def segmentation_config(self, images: int, seed: int, split: str, unet: bool = False) -> TrainingConfig:
        """Return the configuration of one segmentation network; ``images`` 0 is all."""
        own = merged(self.segmentation, self.unet) if unet else self.segmentation
        return from_dict(
            merged(own, {"task": "segmentation", "most": images, "seed": seed, "validation": {"split": split}})
        )

    def classification_config(self, variant: Variant, seed: int, split: str, bundle: str) -> TrainingConfig:
        """Return the configuration of one classifier, which sees the outlines that ``bundle`` draws."""
        own = {
            "task": "classification",
            "seed": seed,
            "network": {"parameters": {"in_channels": len(MODEL_LEVELS[variant.model])}},
            "validation": {"split": split},
            "classification": {"model": variant.model, "segmentation_model": bundle},
        }
        return from_dict(merged(merged(self.classification, variant.changes), own))

    def variants(self) -> list[Variant]:
        """Return Model 1, Model 2 and the comparisons."""
        own = [Variant("model1", "Model 1 (L1 + L2)", "model1"), Variant("model2", "Model 2 (L1)", "model2")]
        return own + [variant for variant in COMPARISONS if variant.name in self.comparisons]


def _rounds(samples: int) -> int:
    return ROUNDS * math.ceil(samples / BATCH)


_PAPER_SGD = {
    "name": "sgd", "learning_rate": RATE, "final_rate": 1.0, "warmup_steps": 0, "weight_decay": 0.0, "clip_norm": 0.0,
}  # fmt: skip
_NO_CURVES = {"every_steps": 0, "most": 200}

QUICK = StudyProfile(
    name="quick",
    sizes=(50, 100, 300, 600),
    repeats=1,
    curve_slices=200,
    segmentation={
        "steps": 300,
        "batch": 8,
        "network": {"name": "study_segmentation", "parameters": {"base_width": 8}},
        "patches": {"size": 128, "locate_spacing_mm": [2.0, 3.1], "outline_spacing_mm": [0.55, 0.88]},
        "intensity": {"strength": 0.4},
        "optimiser": {"learning_rate": 0.003, "warmup_steps": 30, "average_decay": 0.98},
        "validation": _NO_CURVES,
        "checkpoints": {"every_steps": 100, "every_minutes": 2.0},
    },
    unet={"network": {"name": "unet", "parameters": {"base_width": 8}}},
    classification={
        "steps": 600,
        "batch": 32,
        "network": {"name": "study_classifier", "parameters": {"base_width": 8}},
        "checkpoints": {"every_steps": 200, "every_minutes": 2.0},
    },
    comparisons=tuple(variant.name for variant in COMPARISONS),
)

FULL = StudyProfile(
    name="full",
    sizes=(50, 100, 200, 300, 500, 700, 900),
    repeats=3,
    curve_slices=0,
    segmentation={
        "steps": _rounds(IMAGES),
        "batch": BATCH,
        "network": {"name": "study_segmentation", "parameters": {"base_width": 16}},
        # The whole slice at about its own pixels, as in the paper; seen from further away, now and then, so that the
        # same network also finds the body.
        "patches": {
            "size": 512, "locate_fraction": 0.15, "locate_spacing_mm": [0.9, 1.1], "outline_spacing_mm": [0.55, 0.9],
            "locate_shift_mm": 40.0,
        },
        "intensity": {"strength": 0.4},
        "optimiser": _PAPER_SGD,
        "validation": _NO_CURVES,
    },
    unet={"network": {"name": "unet", "parameters": {"base_width": 16}}},
    classification={
        "steps": _rounds(SUBJECTS),
        "batch": BATCH,
        "network": {"name": "resnet101", "parameters": {"base_width": 64}},
        "classification": {"crop_spacing_mm": 0.0},
        "optimiser": _PAPER_SGD,
    },
    comparisons=tuple(variant.name for variant in COMPARISONS if variant.name != "model1-resnet101"),
)  # fmt: skip

PROFILES = {"quick": QUICK, "full": FULL}


def load_profile(name_or_file: str) -> StudyProfile:
    """Return a profile by its name, or from a JSON file; what a file leaves out is that of the quick profile.

    Raises:
        UsageError: there is no such profile, or the file says something unknown.
    """
    if name_or_file in PROFILES:
        return PROFILES[name_or_file]
    path = Path(name_or_file)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"There is no profile {name_or_file!r}; there are quick and full, or name a JSON file."
        ) from error
    except ValueError as error:
        raise UsageError(f"The profile {path} is not valid JSON: {error}.") from error
    return _from_values(values, path)


def _from_values(values: Any, path: Path) -> StudyProfile:
    known = {item.name for item in dataclasses.fields(StudyProfile)}
    if not isinstance(values, dict) or not set(values) <= known:
        raise UsageError(f"The profile {path} must be a JSON object with some of: {', '.join(sorted(known))}.")
    unknown = set(values.get("comparisons", ())) - {variant.name for variant in COMPARISONS}
    if unknown:
        raise UsageError(f"The profile {path} names unknown comparisons: {', '.join(sorted(unknown))}.")
    quick = {item.name: getattr(QUICK, item.name) for item in dataclasses.fields(StudyProfile)}
    for key, value in values.items():
        quick[key] = merged(quick[key], value) if isinstance(value, dict) else value
    for key in ("sizes", "comparisons"):
        quick[key] = tuple(quick[key])
    profile = StudyProfile(**{**quick, "name": values.get("name", path.stem)})
    profile.segmentation_config(0, 1, "temporal", unet=True)
    for variant in profile.variants():
        profile.classification_config(variant, 1, "temporal", "")
    return profile
