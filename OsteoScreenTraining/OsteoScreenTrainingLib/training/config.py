"""What a training run is told: a tree of frozen dataclasses that is read from and written to JSON.

Every default is in this file; what a file of one's own leaves out is the default of its task. Lengths are in mm, HU
amplitudes in HU, angles in degrees.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from OsteoScreenLib.errors import UsageError, system_reason


def _middle(spacings_mm: tuple[float, float]) -> float:
    return round(math.sqrt(spacings_mm[0] * spacings_mm[1]), 3)


@dataclass(frozen=True)
class PatchConfig:
    """Where and at which scale patches are cut from the slices.

    A "locate" patch is coarse and shows the body anywhere or not at all (pass 1 of inference); an "outline" patch is
    fine and centred near the body (pass 2). Both have ``size`` x ``size`` pixels.
    """

    size: int = 192
    locate_fraction: float = 0.35
    locate_spacing_mm: tuple[float, float] = (1.6, 2.5)
    locate_shift_mm: float = 110.0
    outline_spacing_mm: tuple[float, float] = (0.5, 0.72)
    outline_shift_mm: float = 12.0
    rotation_deg: float = 20.0
    flip_probability: float = 0.5
    stretch: float = 0.08

    @property
    def locate_mm(self) -> float:
        """The spacing of pass 1 of inference: the middle of what is trained, on the scale of ratios."""
        return _middle(self.locate_spacing_mm)

    @property
    def outline_mm(self) -> float:
        """The spacing of pass 2 of inference."""
        return _middle(self.outline_spacing_mm)


@dataclass(frozen=True)
class IntensityConfig:
    """Amplitudes of the intensity augmentation; ``strength`` 0 switches all of it off.

    Every ``*_probability`` is per sample. Amplitudes are deliberately wider than what scanners do: the network is
    trained on simulated slices and has to find real ones inside the range.
    """

    strength: float = 1.0
    offset_hu: float = 30.0
    scale: float = 0.12
    gamma_probability: float = 0.3
    gamma: float = 0.35
    bias_probability: float = 0.4
    bias_hu: float = 40.0
    noise_probability: float = 0.6
    noise_hu: float = 60.0
    blur_probability: float = 0.3
    blur_pixels: float = 1.6
    sharpen_probability: float = 0.25
    sharpen: float = 1.5
    low_resolution_probability: float = 0.2
    low_resolution: float = 3.0
    streak_probability: float = 0.15
    streak_hu: float = 180.0
    erase_probability: float = 0.1
    erase_fraction: float = 0.25
    window_probability: float = 0.3
    window_shift: float = 0.15


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss; ``boundary`` is the extra weight of pixels within ``boundary_pixels`` of an
    outline (0 switches it off); ``smooth`` is in pixels and lets an empty mask score."""

    dice: float = 1.0
    bce: float = 1.0
    boundary: float = 0.0
    boundary_pixels: int = 3
    smooth: float = 20.0


@dataclass(frozen=True)
class ClassificationConfig:
    """What a bone-status classifier sees, and how that is randomised.

    ``model``: "model1" sees L1 and L2, "model2" L1 alone. ``hu``: "standardised" by each scan's calibration, or
    "measured". The field is ``crop_size`` pixels of ``crop_spacing_mm``; a spacing of 0 is the study's whole slice.
    ``masks``: the outlines that ``segmentation_model`` draws (the shipped bundle when empty), the "drawn" ones of the
    data set, or "both". ``scanner`` keeps to the subjects of one scanner. ``class_weights`` "balanced" weighs the
    classes alike in the loss, and is undone in the probabilities. ``label_sd_mg_cm3`` above 0 softens the target by
    that error of the reference. Amplitudes are uniform: degrees, mm, the logarithm of the scale, HU of white noise.
    """

    model: Literal["model1", "model2"] = "model1"
    hu: Literal["standardised", "measured"] = "standardised"
    crop_spacing_mm: float = 0.9
    crop_size: int = 64
    masks: Literal["predicted", "drawn", "both"] = "predicted"
    segmentation_model: str = ""
    scanner: str = ""
    class_weights: Literal["none", "balanced"] = "none"
    label_sd_mg_cm3: float = 0.0
    rotation_deg: float = 15.0
    shift_mm: float = 2.0
    zoom: float = 0.08
    flip_probability: float = 0.5
    noise_hu: float = 20.0


@dataclass(frozen=True)
class LocalisationConfig:
    """Which simulated trunks the localiser learns from, and the weights of the parts of its loss.

    ``trunks`` of the stream ``seed`` are simulated as they are needed, by ``workers`` processes (0: when they are
    read), and kept in the folder that ``--data`` names; ``held_out`` ones of the stream ``held_out_seed`` score it.
    ``calibration`` others, resampled as a scan is, tell at the export how far the names' evidence is to be trusted.
    """

    trunks: int = 2000
    seed: int = 1
    held_out: int = 32
    held_out_seed: int = 2
    calibration: int = 80
    workers: int = 1
    flip_probability: float = 0.5
    evidence_weight: float = 2.0
    dice_weight: float = 0.5
    ribs_weight: float = 0.5
    phase_weight: float = 1.0
    names_weight: float = 0.5


@dataclass(frozen=True)
class OptimiserConfig:
    """``sgd`` (Nesterov; the study's learning rate is 0.001) or ``adamw``; the rate warms up, then falls as a cosine
    to ``final_rate`` of itself."""

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 0.002
    final_rate: float = 0.01
    warmup_steps: int = 100
    weight_decay: float = 0.01
    momentum: float = 0.9
    clip_norm: float = 2.0
    average_decay: float = 0.999


@dataclass(frozen=True)
class ValidationConfig:
    """Which slices or subjects are held out, and when they are scored: those of a ``split`` that is saved with the data
    set, of which the test part is then left alone, or a ``fraction`` by subject or generator seed, but at least one
    where there are several."""

    split: str = ""
    fraction: float = 0.03
    most: int = 64
    split_seed: int = 7
    every_steps: int = 250
    patience: int = 0


@dataclass(frozen=True)
class CheckpointConfig:
    """When a checkpoint is written: whichever interval comes first; 0 switches an interval off."""

    every_steps: int = 500
    every_minutes: float = 5.0


#: The network of a segmentation.
_NETWORK: dict[str, Any] = {"name": "study_segmentation", "parameters": {"base_width": 16}}


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. ``steps`` and ``minutes`` are budgets: the schedule ends with whichever comes first, and 0
    means none. Only a budget in steps repeats bit for bit. ``most`` limits the slices (of a classification: subjects)
    to train on, drawn by ``seed``; 0 is all. ``batch`` is the global batch, over all processes;
    ``micro_batches`` splits each process's share into that many forward passes (less memory, ghost batches)."""

    task: str = "segmentation"
    network: Mapping[str, Any] = field(default_factory=lambda: _NETWORK)
    window_hu: tuple[float, float] = (-275.0, 850.0)
    steps: int = 10000
    minutes: float = 0.0
    most: int = 0
    batch: int = 16
    micro_batches: int = 1
    seed: int = 1
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    channels_last: Literal["auto", "on", "off"] = "auto"
    compile: bool = False
    threads: int = 0
    export_from: Literal["last", "best"] = "last"
    patches: PatchConfig = field(default_factory=PatchConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    classification: ClassificationConfig = field(default_factory=ClassificationConfig)
    localisation: LocalisationConfig = field(default_factory=LocalisationConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        if self.steps <= 0 and self.minutes <= 0:
            raise UsageError("The training has no budget; set steps or minutes above 0.")
        if self.batch < 1 or self.micro_batches < 1:
            raise UsageError("batch and micro_batches must be at least 1.")
        if self.most < 0:
            raise UsageError("most must be 0 (all) or above.")


#: Levels that each classifier sees, a channel each.
MODEL_LEVELS = {"model1": ("L1", "L2"), "model2": ("L1",)}

#: What a classification has otherwise than a segmentation; the mediastinal window is the study's.
_CLASSIFICATION: dict[str, Any] = {
    "task": "classification",
    "network": {"name": "study_classifier", "parameters": {"in_channels": 2, "base_width": 8}},
    "window_hu": [-160.0, 240.0],
    "steps": 1500,
    "batch": 32,
    "export_from": "best",
    "optimiser": {"learning_rate": 0.003, "weight_decay": 0.05, "average_decay": 0.99},
    "validation": {"every_steps": 100},
}


#: What a localisation has otherwise. Noise and blur are those of voxels of 3 to 4 mm, which average the scanner's; the
#: window keeps lung, fat, muscle and bone apart.
_LOCALISATION: dict[str, Any] = {
    "task": "localisation",
    "network": {"name": "spine_localiser", "parameters": {"out_channels": 35, "widths": [16, 32, 64, 128]}},
    "window_hu": [-300.0, 900.0],
    "steps": 30000,
    "batch": 2,
    "channels_last": "off",
    "intensity": {"noise_hu": 40.0, "low_resolution": 2.5},
    "optimiser": {"learning_rate": 0.003, "average_decay": 0.998},
    "validation": {"every_steps": 1000},
}


#: What tasks have otherwise than a segmentation.
_DEFAULTS = {"classification": _CLASSIFICATION, "localisation": _LOCALISATION}
#: The parameter that every network of these tasks takes, whichever it is: the study's levels, the vertebrae's channels.
_OF_ANY_NETWORK = {"classification": "in_channels", "localisation": "out_channels"}


def defaults(task: str) -> TrainingConfig:
    """Return the configuration that a task begins with."""
    return from_dict({"task": task}) if task in _DEFAULTS else TrainingConfig(task=task)


def to_dict(config: TrainingConfig) -> dict[str, Any]:
    """Return ``config`` as plain JSON types."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def from_dict(values: Mapping[str, Any]) -> TrainingConfig:
    """Return the configuration that ``values`` describe; what is left out keeps its default.

    Raises:
        UsageError: a key is unknown (the nearest right name is given) or a value has the wrong type.
    """
    if isinstance(values, Mapping) and values.get("task") in _DEFAULTS:
        values = merged(_defaults_beside(values), values)
    config: TrainingConfig = _build(TrainingConfig, values, "")
    return dataclasses.replace(config, network={"name": _NETWORK["name"], "parameters": {}, **config.network})


def _defaults_beside(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a task; another network than its own has parameters of its own."""
    task = values["task"]
    base: dict[str, Any] = _DEFAULTS[task]
    network = values.get("network")
    if not isinstance(network, Mapping) or network.get("name", base["network"]["name"]) == base["network"]["name"]:
        return base
    name = _OF_ANY_NETWORK[task]
    return base | {"network": {"parameters": {name: base["network"]["parameters"][name]}}}


def merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``values`` over it, section by section."""
    result = dict(base)
    for key, value in values.items():
        section = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        result[key] = merged(base[key], value) if section else value
    return result


def load_config(path: str | os.PathLike[str]) -> TrainingConfig:
    """Read a configuration from a JSON file.

    Raises:
        UsageError: the file is missing or not JSON, or it says something unknown.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The configuration {path} cannot be read: {system_reason(error)}.") from error
    except ValueError as error:
        raise UsageError(f"The configuration {path} is not valid JSON: {error}.") from error
    return from_dict(values)


def save_config(config: TrainingConfig, path: str | os.PathLike[str]) -> None:
    """Write ``config`` as JSON, whole or not at all."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(to_dict(config), indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def replace(config: TrainingConfig, **values: Any) -> TrainingConfig:
    """Return ``config`` with some of its top-level values replaced."""
    return dataclasses.replace(config, **values)


def with_model(config: TrainingConfig, model: str) -> TrainingConfig:
    """Return the configuration of a classification for "model1" (L1 and L2) or "model2" (L1 alone).

    Raises:
        UsageError: there is no such model.
    """
    if model not in MODEL_LEVELS:
        raise UsageError(f"There is no classifier {model!r}; there are model1 and model2.")
    changes = {
        "network": {"parameters": {"in_channels": len(MODEL_LEVELS[model])}},
        "classification": {"model": model},
    }
    return from_dict(merged(to_dict(config), changes))


def with_split(config: TrainingConfig, split: str) -> TrainingConfig:
    """Return the configuration that holds out what the split of that name holds out."""
    return dataclasses.replace(config, validation=dataclasses.replace(config.validation, split=split))


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise UsageError(f"{where or 'The configuration'} must be a JSON object, not {values!r}.")
    hints = typing.get_type_hints(kind)
    arguments = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in hints:
            raise UsageError(f"Unknown setting {name!r} in the training configuration.{_nearest(key, hints)}")
        arguments[key] = _convert(hints[key], value, name)
    return kind(**arguments)


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.4)
    return f" Did you mean {near[0]!r}?" if near else f" Known are {', '.join(sorted(known))}."


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, name)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise UsageError(f"{name} must be one of {', '.join(map(repr, arguments))}, not {value!r}.")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != len(arguments):
            raise UsageError(f"{name} must be a list of {len(arguments)} numbers, not {value!r}.")
        return tuple(_convert(part, item, name) for part, item in zip(arguments, value, strict=True))
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    wanted = dict if origin is not None else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UsageError(f"{name} must be of type {wanted.__name__}, not {value!r}.")
    return value
