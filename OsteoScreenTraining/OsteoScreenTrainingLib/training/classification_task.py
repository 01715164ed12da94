"""Training the bone-status classifier, Model 1 (L1 and L2) or Model 2 (L1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from OsteoScreenLib.densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.networks import build_network
from OsteoScreenLib.results import BONE_STATUSES

from ..datasets.folder import DataSet, bone_statuses
from ..datasets.inclusion import include
from ..datasets.manifest import Subject
from ..datasets.masked_slices import MaskedBatch, MaskedSlices
from ..datasets.splits import Part, Split, load_split, make_split
from ..statistics.delong import auc_with_interval
from ..statistics.temperature import fit_temperature
from .config import MODEL_LEVELS, ClassificationConfig, TrainingConfig
from .epochs import ShuffledEpochs, some_of
from .masked_augmentation import draw_poses, masked_inputs, upright_poses
from .patches import PatchPlan
from .task import Autocast

#: Subjects at a time where no gradient is needed.
_AT_ONCE = 32


@dataclass(frozen=True)
class HostBatch:
    """The slices of some subjects as cut, where to sample them, and the target (subjects, classes)."""

    slices: MaskedBatch
    plan: PatchPlan
    target: Tensor


class ClassificationTask:
    """Masked slices of a data set's subjects, and their bone status; see ``task.Task``.

    Args:
        masks: files of outlines; of a subject that is in several, one is drawn at random each time. None is the drawn
            outlines.

    Attributes:
        without_outline: subjects of the split who are left out because a level has no outline.

    Raises:
        UsageError: nothing is left to train on, or to validate on, or the network's channels are not the levels.
        InputError: no subject of a part has an outline on every level.
    """

    def __init__(self, config: TrainingConfig, data: DataSet, masks: Sequence[Path | None]):
        self.config, self.data = config, data
        self.options: ClassificationConfig = config.classification
        self.levels = MODEL_LEVELS[self.options.model]
        self.field = (self.options.crop_spacing_mm, self.options.crop_size) if self.options.crop_spacing_mm else None
        self.field_mm = self.field[0] * self.field[1] if self.field else 0.0
        self.input_size = self.options.crop_size if self.field else data.slices.rows
        if config.network.get("parameters", {}).get("in_channels", 2) != len(self.levels):
            raise UsageError(
                f"network.parameters.in_channels must be {len(self.levels)} for classification.model "
                f"{self.options.model!r}."
            )
        self.split = _split(config, data)
        training = some_of(self._subjects("training"), config.most, config.seed)
        validation = self._subjects("validation")
        self._training = self._with_every_outline(training, masks)
        self._validation = self._masked(validation, masks[0])
        seen = {*self._training[0].names, *self._validation.names}
        self.without_outline = [item.subject for item in (*training, *validation) if item.subject not in seen]
        self.size = len(self._training[0])
        self._targets = [self._target(slices.names) for slices in self._training]
        self._weights = _class_weights(self._statuses(self._training[0].names), self.options.class_weights)
        self._epochs = ShuffledEpochs(self.size, config.seed)

    # -- the data

    def _subjects(self, part: Part) -> list[Subject]:
        subjects = [self.data.subject(name) for name in self.split.parts[part]]
        if self.options.scanner:
            subjects = [subject for subject in subjects if subject.scanner == self.options.scanner]
        if not subjects:
            raise UsageError(f"No subject is left for {part}; check the split and classification.scanner.")
        return subjects

    def _with_every_outline(self, subjects: list[Subject], masks: Sequence[Path | None]) -> list[MaskedSlices]:
        """Return the masked slices by file of outlines, all of the same subjects."""
        found = [self._masked(subjects, file) for file in masks]
        common = set(found[0].names).intersection(*(slices.names for slices in found))
        if all(len(slices) == len(common) for slices in found):
            return found
        subjects = [subject for subject in subjects if subject.subject in common]
        return [self._masked(subjects, file) for file in masks]

    def _masked(self, subjects: Sequence[Subject], masks: Path | None) -> MaskedSlices:
        return MaskedSlices(self.data, subjects, self.levels, masks, self.field_mm)

    def _statuses(self, names: Sequence[str]) -> np.ndarray:
        return bone_statuses([self.data.subject(name) for name in names])

    def _target(self, names: Sequence[str]) -> Tensor:
        """Return the target (subjects, classes): the reference's class, or its blur by the reference's own error."""
        if self.options.label_sd_mg_cm3 == 0:
            return functional.one_hot(torch.from_numpy(self._statuses(names)), len(BONE_STATUSES)).float()
        bmd = np.array([self.data.subject(name).bmd for name in names])
        limits = np.array([NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3])
        above = stats.norm.cdf((bmd[:, None] - limits) / self.options.label_sd_mg_cm3)
        return torch.from_numpy(np.stack([above[:, 0], above[:, 1] - above[:, 0], 1 - above[:, 1]], 1)).float()

    # -- what the trainer asks

    def make_network(self) -> nn.Module:
        return build_network(self.config.network)

    def check(self) -> None:
        self.data.slices.check_still_there()

    def load(self, step: int, part: slice) -> HostBatch:
        places = list(range(*part.indices(self.config.batch)))
        seeds = [(self.config.seed, step, place) for place in places]
        samples = [self._epochs[step * self.config.batch + place] for place in places]
        source = int(np.random.default_rng((self.config.seed, 1_000_033, step)).integers(len(self._training)))
        slices = self._training[source].read(samples)
        plan = draw_poses(slices, seeds, len(self.levels), self.field, self.options)
        return HostBatch(slices, plan, self._targets[source][samples])

    def prepare(self, host_batch: HostBatch, device: torch.device) -> tuple[Tensor, Tensor]:
        inputs = masked_inputs(
            host_batch.slices,
            host_batch.plan,
            self.input_size,
            self.options,
            self.config.window_hu,
            device,
            self.options.noise_hu,
        )
        return self._by_subject(inputs), host_batch.target.to(device)

    def _by_subject(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(-1, len(self.levels), *inputs.shape[-2:])

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        logs = functional.log_softmax(outputs.float(), dim=1)
        return -(logs * target * self._weights.to(logs.device)).sum(1).mean()

    def validate(self, network: nn.Module, device: torch.device, autocast: Autocast) -> dict[str, float]:
        """Return log-loss, accuracy and the one-vs-rest AUCs on the validation subjects; the score is the loss."""
        outputs = self.outputs(network, self._validation, device, autocast)
        truth = self._statuses(self._validation.names)
        logs = outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)
        loss = -float(logs[np.arange(len(truth)), truth].mean())
        metrics = {"log_loss": loss, "accuracy": float((outputs.argmax(1) == truth).mean()), "score": -loss}
        for place, status in enumerate(BONE_STATUSES):
            of_class = truth == place
            if of_class.any() and not of_class.all():
                metrics[f"auc_{status}"] = auc_with_interval(of_class, np.exp(logs[:, place])).value
        return metrics

    def outputs(self, network: nn.Module, slices: MaskedSlices, device: torch.device, autocast: Autocast) -> np.ndarray:
        """Return the network's outputs (subjects, classes), corrected for the class weights of the loss."""
        found = []
        for start in range(0, len(slices), _AT_ONCE):
            batch = slices.read(range(start, min(start + _AT_ONCE, len(slices))))
            plan = upright_poses(batch, self.field)
            inputs = masked_inputs(batch, plan, self.input_size, self.options, self.config.window_hu, device, 0.0)
            with torch.inference_mode(), autocast():
                found.append(network(self._by_subject(inputs)).float().cpu())
        return (torch.cat(found) - torch.log(self._weights)).double().numpy()

    # -- the bundle

    def bundle_description(self, network: nn.Module) -> dict[str, Any]:
        outputs = self.outputs(network, self._validation, torch.device("cpu"), torch.no_grad)
        temperature = fit_temperature(outputs, self._statuses(self._validation.names))
        kind = self.data.header.kind
        preprocessing: dict[str, Any] = {
            "levels": list(self.levels),
            "window_hu": list(self.config.window_hu),
            "hu": self.options.hu,
        }
        if self.field:
            preprocessing["crop"] = {"spacing_mm": self.field[0], "size": self.field[1]}
        postprocessing: dict[str, Any] = {}
        if np.isfinite(temperature):
            # Where every validation subject is right, the data determine none.
            postprocessing["temperature"] = round(temperature, 4)
        if self.options.class_weights != "none":
            postprocessing["class_weights"] = [round(float(weight), 6) for weight in self._weights]
        description: dict[str, Any] = {"postprocessing": postprocessing} if postprocessing else {}
        return description | {
            "name": f"trained-bone-status-{self.options.model}",
            "version": "0.0.0",
            "role": "classification",
            "architecture": {key: self.config.network[key] for key in ("name", "parameters")},
            "preprocessing": preprocessing,
            "classes": list(BONE_STATUSES),
            "training": {
                "data": f"{self.size} {kind} subjects, {len(self._validation)} for validation{self._left_out()}",
                "kind": kind,
                "reference": self._reference(),
                "outlines": self.options.masks,
            },
            "licence": "Apache-2.0",
        }

    def _left_out(self) -> str:
        return f"; left out without an outline: {', '.join(self.without_outline)}" if self.without_outline else ""

    def _reference(self) -> str:
        methods = {self.data.subject(name).method for name in self._training[0].names}
        return "; ".join(sorted(method for method in methods if method)) or "not stated"

    def bundle_metrics(self, metrics: dict[str, float]) -> list[dict[str, Any]]:
        kind = self.data.header.kind
        names = {f"auc_{status}": f"AUC, {status} against the rest" for status in BONE_STATUSES}
        names |= {"accuracy": "accuracy", "log_loss": "log-loss before the temperature"}
        data = f"validation subjects ({kind})"
        return [
            {"name": text, "value": round(metrics[name], 4), "data": data, "kind": kind, "n": len(self._validation)}
            for name, text in names.items()
            if name in metrics
        ]


def _split(config: TrainingConfig, data: DataSet) -> Split:
    """Return the split that the configuration names; without a name one at random, which leaves a test part too."""
    if config.validation.split:
        return load_split(data, config.validation.split)
    return make_split("random", include(data).included, config.validation.split_seed)


def _class_weights(statuses: np.ndarray, how: str) -> Tensor:
    """Return the weight of each class in the loss: 1, or in inverse proportion to its number, 1 in the mean."""
    counts = np.bincount(statuses, minlength=len(BONE_STATUSES))
    if how == "none":
        return torch.ones(len(counts))
    return torch.tensor(len(statuses) / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)
