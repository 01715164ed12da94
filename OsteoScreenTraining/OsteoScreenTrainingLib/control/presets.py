"""Configurations to begin with: "quick" for a laptop, "study" as in the paper; the numbers are the study's profiles."""

from __future__ import annotations

from typing import Any, Literal

from OsteoScreenLib.errors import UsageError

from ..study.profiles import PROFILES, Variant
from ..training.config import TrainingConfig, from_dict, merged, to_dict

Kind = Literal["segmentation", "model1", "model2"]
#: Kinds by task; the first is the one that is meant when none is named.
KINDS: dict[str, tuple[Kind, ...]] = {"segmentation": ("segmentation",), "classification": ("model1", "model2")}
#: Names of presets, and the profile of the study that each one is.
PRESETS = {"quick": "quick", "study": "full"}
#: Validations in the course of a run, for its curves; a study needs none but the last. Each scores no more than
#: `_MOST` slices.
_VALIDATIONS, _MOST = 12, 48


def preset(
    kind: str, name: str, *, device: str = "auto", seed: int = 1, split: str = "", segmentation_model: str = ""
) -> TrainingConfig:
    """Return the configuration of a preset.

    Args:
        kind: "segmentation", "model1" or "model2".
        name: "quick" (minutes on a laptop) or "study" (the paper's training, for a GPU).
        device: "auto", "cpu", "cuda" or "mps".
        seed: the same seed gives the same network.
        split: hold out the validation part of the data set's split of that name; else a share of the subjects.
        segmentation_model: bundle whose outlines a classifier sees; the shipped one when empty.

    Raises:
        UsageError: there is no such kind or preset.
    """
    if name not in PRESETS:
        raise UsageError(f"There is no preset {name!r}; there are {' and '.join(PRESETS)}.")
    profile = PROFILES[PRESETS[name]]
    if kind == "segmentation":
        config = profile.segmentation_config(0, seed, split)
    elif kind in KINDS["classification"]:
        config = profile.classification_config(Variant(kind, kind, kind), seed, split, segmentation_model)
    else:
        every = ", ".join(one for kinds in KINDS.values() for one in kinds)
        raise UsageError(f"There is no kind of training {kind!r}; there are {every}.")
    changes: dict[str, Any] = {"device": device, "validation": {"every_steps": max(1, config.steps // _VALIDATIONS)}}
    if kind == "segmentation":
        changes["validation"]["most"] = _MOST
    return from_dict(merged(to_dict(config), changes))
