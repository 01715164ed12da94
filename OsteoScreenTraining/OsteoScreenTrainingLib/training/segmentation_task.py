"""Training the segmentation of the vertebral body's trabecular compartment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.networks import build_network
from OsteoScreenLib.sampling import normalise

from ..datasets.slices import SliceDataset
from .augmentation import augment
from .config import TrainingConfig
from .epochs import ShuffledEpochs, some_of
from .losses import segmentation_loss
from .patches import PatchPlan, cut_patches, draw_plan, fixed_plan
from .task import Autocast

#: Coverage at which a pixel belongs to the body: half.
_EDGE = 0.5
#: Pass 1 of inference has to see the largest field of view of CT [mm].
_FIELD_OF_VIEW_MM = 500.0
#: Sides that the networks halve without padding are multiples of this.
_SIZE_MULTIPLE = 64


@dataclass(frozen=True)
class HostBatch:
    """Slices as read, (N, rows, columns) int16 HU and uint8 coverage, with the patches to cut from them."""

    images: Tensor
    masks: Tensor
    plan: PatchPlan


class SegmentationTask:
    """Patches at the two scales of inference from a slice data set; see ``task.Task``.

    Args:
        split: places in ``dataset`` to train on, and those that are held out.

    Raises:
        UsageError: nothing is left to train on, or to validate on.
    """

    def __init__(self, config: TrainingConfig, dataset: SliceDataset, split: tuple[list[int], list[int]]):
        self.config = config
        self.dataset = dataset
        self.shape = (dataset.rows, dataset.columns)
        train, held_out = split
        self.train = some_of(train, config.most, config.seed)
        self.held_out = self._choose(held_out)
        if not self.train:
            raise UsageError("No slices are left to train on; lower validation.fraction or add slices.")
        if config.validation.fraction > 0 and not held_out:
            raise UsageError(
                f"None of the {len(dataset)} slices is held out for validation; raise validation.fraction, or set it "
                "to 0 to train without validation."
            )
        self.size = len(self.train)
        self._epochs = ShuffledEpochs(self.size, config.seed)

    def _choose(self, held_out: Sequence[int]) -> list[int]:
        """Return at most ``validation.most`` of the held-out slices, spread over all of them."""
        most = self.config.validation.most
        if len(held_out) <= most:
            return list(held_out)
        return [held_out[place] for place in np.linspace(0, len(held_out) - 1, most).astype(int)]

    def make_network(self) -> nn.Module:
        return build_network(self.config.network)

    def check(self) -> None:
        self.dataset.check_still_there()

    def load(self, step: int, part: slice) -> HostBatch:
        places = range(*part.indices(self.config.batch))
        indices = [self.train[self._epochs[step * self.config.batch + place]] for place in places]
        images, masks = self.dataset.read(indices)
        records = [self.dataset.records[index] for index in indices]
        seeds = [(self.config.seed, step, place) for place in places]
        plan = draw_plan(records, seeds, self.shape, self.config.patches)
        return HostBatch(torch.from_numpy(images), torch.from_numpy(masks), plan)

    def prepare(self, host_batch: HostBatch, device: torch.device) -> tuple[Tensor, Tensor]:
        images, masks = (host_batch.images, host_batch.masks)
        if device.type == "cuda":
            images, masks = images.pin_memory(), masks.pin_memory()
        images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)
        hu, coverage = cut_patches(images, masks, host_batch.plan, self.config.patches.size)
        return augment(hu, host_batch.plan.seeds, self.config.window_hu, self.config.intensity), coverage

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        return segmentation_loss(outputs, target, self.config.loss)

    def validate(self, network: nn.Module, device: torch.device, autocast: Autocast) -> dict[str, float]:
        """Return DSC at both scales over held-out slices with a body, and how often an empty one gets an outline."""
        if not self.held_out:
            return {}
        outline = self._scores(network, device, autocast, locate=False)
        locate = self._scores(network, device, autocast, locate=True)
        metrics = {
            "dsc_outline": _mean(outline, True),
            "dsc_locate": _mean(locate, True),
            "false_outlines": 1 - _mean(outline, False),
        }
        scale = [value for value in (metrics["dsc_outline"], metrics["dsc_locate"]) if np.isfinite(value)]
        metrics["score"] = float(np.mean(scale)) if scale else float("nan")
        return metrics

    def _scores(
        self, network: nn.Module, device: torch.device, autocast: Autocast, locate: bool
    ) -> list[tuple[bool, float]]:
        """Return for each held-out patch whether there is a body on it, and its DSC (1 or 0 without one)."""
        scores: list[tuple[bool, float]] = []
        for start in range(0, len(self.held_out), 8):
            indices = self.held_out[start : start + 8]
            images, masks = (torch.from_numpy(a).to(device) for a in self.dataset.read(indices))
            records = [self.dataset.records[index] for index in indices]
            plan = fixed_plan(records, locate, self.shape, self.config.patches)
            hu, coverage = cut_patches(images, masks, plan, self.config.patches.size)
            with torch.inference_mode(), autocast():
                found = network(normalise(hu, self.config.window_hu)).float() > 0
            truth = coverage >= _EDGE
            both = (found & truth).sum((1, 2, 3)).tolist()
            sizes = zip(found.sum((1, 2, 3)).tolist(), truth.sum((1, 2, 3)).tolist(), strict=True)
            for overlap, (a, b) in zip(both, sizes, strict=True):
                scores.append((b > 0, 2 * overlap / (a + b) if a + b else 1.0))
        return scores

    def bundle_description(self, network: nn.Module) -> dict[str, Any]:
        kinds, patches = " and ".join(sorted(set(self.dataset.kinds))), self.config.patches
        side = math.ceil(_FIELD_OF_VIEW_MM / patches.locate_mm / _SIZE_MULTIPLE) * _SIZE_MULTIPLE
        return {
            "name": f"trained-{self.config.network['name'].replace('_', '-')}",
            "version": "0.0.0",
            "role": "segmentation",
            "architecture": {key: self.config.network[key] for key in ("name", "parameters")},
            "preprocessing": {
                "window_hu": list(self.config.window_hu),
                "locate": {"spacing_mm": patches.locate_mm, "size": side},
                "outline": {"spacing_mm": patches.outline_mm, "size": patches.size},
            },
            "classes": ["trabecular compartment"],
            "training": {
                "data": f"{self.size} {kinds} axial CT slices, {len(self.held_out)} held out",
                "kind": self._kind(),
            },
            "licence": "Apache-2.0",
        }

    def _kind(self) -> str:
        kinds = set(self.dataset.kinds)
        return kinds.pop() if kinds in ({"simulated"}, {"real"}) else "mixed"

    def bundle_metrics(self, metrics: dict[str, float]) -> list[dict[str, Any]]:
        """Return what :meth:`validate` found as the card's list of metrics."""
        names = {"dsc_outline": "DSC, mean, outline patches", "dsc_locate": "DSC, mean, locate patches"}
        kind = self._kind()
        data = f"held-out {kind} slices"
        return [
            {"name": text, "value": round(metrics[name], 4), "data": data, "kind": kind, "n": len(self.held_out)}
            for name, text in names.items()
            if np.isfinite(metrics.get(name, np.nan))
        ]


def _mean(scores: Sequence[tuple[bool, float]], body: bool) -> float:
    values = [score for has_body, score in scores if has_body == body]
    return float(np.mean(values)) if values else float("nan")
