"""Training the localiser on simulated trunks: where the spine is, and which vertebra is which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from OsteoScreenLib.ct import OUTSIDE_HU
from OsteoScreenLib.localisation import channels
from OsteoScreenLib.localisation.evidence import evidence_from
from OsteoScreenLib.localisation.localiser import see_spine
from OsteoScreenLib.localisation.resample import read_trunk
from OsteoScreenLib.networks import build_network
from OsteoScreenLib.sampling import normalise

from ..evaluation.localisation import fit_naming_temperature
from ..evaluation.localisation_cases import simulated_case
from . import localisation_targets as targets
from .config import LocalisationConfig, TrainingConfig
from .epochs import ShuffledEpochs
from .localisation_loss import localisation_loss, localisation_losses
from .task import Autocast
from .trunk_store import Trunk, TrunkStore
from .volume_augmentation import augment_volumes

#: Blocks that are cut from the trunks, in voxels of the grid: a step's all have one of these shapes, long and narrow or
#: short and wide. All hold about as many voxels, and every side fits the network without padding.
BLOCKS = ((64, 80, 80), (96, 64, 80), (112, 64, 64), (144, 64, 48), (160, 48, 48))
#: Steps whose trunks are simulated ahead of need.
_AHEAD = 12
#: How far from the spine a block's middle lies: SD, in voxels; and how much further to the front.
_OFF_SPINE, _IN_FRONT = 9.0, 5.0
#: Stream of the trunks that calibrate the names: neither those of training nor those of the evaluation.
_CALIBRATION_SEED = 70_707
#: The names' temperature is at least this, whatever fits simulated trunks: a network is surer of its own simulation
#: than it has reason to be of a patient, and the names of neighbours err together. On crops along
#: the spine of three real CT (acrin-nsclc-fdg-pet-042, and an NLST and a whole-body CT of OHIF's public test data) an
#: early network (2000 steps) gave 18 confident wrong levels at 1.07, 2 at 2 and none at 4; one of 9000 steps gave none
#: at any, and lost none of its confident right ones from 1 to 4, 4 of 130 at 6.
_LEAST_TEMPERATURE = 4.0
#: Share of the blocks that lie anywhere in the trunk.
_ANYWHERE = 0.12


@dataclass(frozen=True)
class HostBatch:
    """Blocks as cut: (N, 1, slices, rows, columns) int16 HU, their uint8 targets, and the seeds of augmentation."""

    hu: Tensor
    targets: Tensor
    seeds: NDArray[np.int64]


class LocalisationTask:
    """Blocks of simulated trunks, which are made as they are needed and kept in ``folder``; see ``task.Task``.

    Raises:
        UsageError: the folder holds something else.
    """

    def __init__(self, config: TrainingConfig, folder: Path):
        self.config = config
        self.options: LocalisationConfig = config.localisation
        self.store = TrunkStore(folder, self.options.seed, self.options.workers)
        self.size = self.options.trunks
        self._epochs = ShuffledEpochs(self.size, config.seed)

    # -- what the trainer asks

    def make_network(self) -> nn.Module:
        return build_network(self.config.network)

    def check(self) -> None:
        self.store.check_still_there()

    def load(self, step: int, part: slice) -> HostBatch:
        for later in range(step, step + _AHEAD):
            self.store.ask([self._index(later, place) for place in range(*part.indices(self.config.batch))])
        shape = BLOCKS[int(np.random.default_rng((self.config.seed, 1_000_037, step)).integers(len(BLOCKS)))]
        blocks, wanted, seeds = [], [], []
        for place in range(*part.indices(self.config.batch)):
            rng = np.random.default_rng((self.config.seed, step, place))
            hu, target = cut_block(self.store.read(self._index(step, place)), shape, rng)
            if rng.random() < self.options.flip_probability:
                hu, target = mirrored(hu, target)
            blocks.append(hu)
            wanted.append(target)
            seeds.append(int(rng.integers(2**62)))
        return HostBatch(
            torch.from_numpy(np.stack(blocks)[:, None]), torch.from_numpy(np.stack(wanted)), np.array(seeds, np.int64)
        )

    def _index(self, step: int, place: int) -> int:
        return self._epochs[step * self.config.batch + place]

    def prepare(self, host_batch: HostBatch, device: torch.device) -> tuple[Tensor, Tensor]:
        hu = host_batch.hu.to(device).float()
        inputs = augment_volumes(hu, host_batch.seeds, self.config.window_hu, self.config.intensity)
        return inputs, host_batch.targets.to(device)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        return localisation_loss(outputs, target, self.options)

    def validate(self, network: nn.Module, device: torch.device, autocast: Autocast) -> dict[str, float]:
        """Return the losses on whole held-out trunks and the share of column voxels with the right name; the score is
        the loss, negative."""
        if not self.options.held_out:
            return {}
        rows: list[dict[str, float]] = []
        for trunk in self._held_out:
            hu = torch.from_numpy(np.array(trunk.hu))[None, None].to(device).float()
            with torch.inference_mode(), autocast():
                outputs = network(normalise(hu, self.config.window_hu)).float()
            target = torch.from_numpy(np.array(trunk.targets))[None].to(device)
            parts = {name: float(value) for name, value in localisation_losses(outputs, target).items()}
            parts |= {"loss": float(self.loss(outputs, target)), "name_accuracy": _accuracy(outputs, target)}
            rows.append(parts)
        metrics = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
        return metrics | {"score": -metrics["loss"]}

    @cached_property
    def _held_out(self) -> list[Trunk]:
        store = TrunkStore(self.store.folder, self.options.held_out_seed)
        return [store.read(index) for index in range(self.options.held_out)]

    # -- the bundle

    def bundle_description(self, network: nn.Module) -> dict[str, Any]:
        temperature = self.fit_temperature(network)
        kept = max(temperature, _LEAST_TEMPERATURE)
        postprocessing = {"postprocessing": {"temperature": kept}} if np.isfinite(temperature) else {}
        return postprocessing | {
            "name": "trained-spine-localiser",
            "version": "0.0.0",
            "role": "localisation",
            "architecture": {key: self.config.network[key] for key in ("name", "parameters")},
            "preprocessing": {"window_hu": list(self.config.window_hu), "grid_mm": list(channels.GRID_MM)},
            "classes": list(channels.CHANNELS),
            "training": {
                "data": f"blocks of {self.size} simulated trunks, {self.options.held_out} others held out",
                "kind": "simulated",
            },
            "licence": "Apache-2.0",
        }

    def fit_temperature(self, network: nn.Module) -> float:
        """Return the temperature at which the names' probabilities fit trunks that are resampled as scans are and
        changed as in training; NaN where none are set aside for it.

        The network is surer of clean simulated trunks than it has reason to be of a patient's: what the augmentation
        adds stands for that difference.
        """
        pairs = []
        for index in range(self.options.calibration):
            case = simulated_case(index, _CALIBRATION_SEED)
            trunk = read_trunk(case.ct)
            hu = torch.from_numpy(trunk.hu)[None, None]
            with torch.inference_mode():
                seeds = np.array([index], np.int64)
                outputs = network(augment_volumes(hu, seeds, self.config.window_hu, self.config.intensity))
            pairs.append((see_spine(evidence_from(outputs[0].float().numpy(), trunk)), case))
        return fit_naming_temperature(pairs)

    def bundle_metrics(self, metrics: dict[str, float]) -> list[dict[str, Any]]:
        names = {"loss": "loss, mean", "name_accuracy": "voxels of bodies and discs with the right name, share"}
        return [
            {
                "name": text, "value": round(metrics[name], 4), "data": "held-out simulated trunks",
                "kind": "simulated", "n": self.options.held_out,
            }
            for name, text in names.items()
            if np.isfinite(metrics.get(name, np.nan))
        ]  # fmt: skip


def cut_block(
    trunk: Trunk, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return a block of a trunk, HU and targets, mostly about its spine; air, not valid, where the trunk has ended."""
    size = np.array(trunk.hu.shape)
    middle = size / 2
    slice_at = rng.uniform(0, size[0]) if size[0] > shape[0] else middle[0]
    slice_at = float(np.clip(slice_at, min(shape[0], size[0]) / 2, size[0] - min(shape[0], size[0]) / 2))
    row_at, column_at = _spine_at(trunk, round(slice_at), rng)
    first = np.round(np.array([slice_at, row_at, column_at]) - np.array(shape) / 2).astype(int)
    reduction = channels.REDUCTION
    first[1:] -= first[1:] % reduction
    # A block that reaches far beyond the trunk teaches nothing: in the plane it is pushed back in.
    for axis in (1, 2):
        spare = int(size[axis]) - shape[axis]
        first[axis] = np.clip(first[axis], min(0, spare), max(0, spare))
        first[axis] -= first[axis] % reduction
    hu = np.full(shape, OUTSIDE_HU, np.int16)
    target = _nothing((shape[0], shape[1] // reduction, shape[2] // reduction))
    low, high = np.maximum(first, 0), np.minimum(first + shape, size)
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    there = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
    hu[there] = trunk.hu[here]
    fine = (here[0], *(slice(s.start // reduction, s.stop // reduction) for s in here[1:]))
    coarse = (there[0], *(slice(s.start // reduction, s.stop // reduction) for s in there[1:]))
    target[(slice(None), *coarse)] = trunk.targets[(slice(None), *fine)]
    return hu, target


def _spine_at(trunk: Trunk, near: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return row and column of a block's middle, in voxels of the grid."""
    _, rows, columns = trunk.hu.shape
    if rng.random() >= _ANYWHERE:
        low, high = max(0, near - 12), near + 12
        _, j, i = np.nonzero(trunk.targets[targets.NAME, low:high] != targets.NO_NAME)
        if len(j):
            row = channels.REDUCTION * float(j.mean()) - _IN_FRONT + rng.normal(0, _OFF_SPINE)
            return row, channels.REDUCTION * float(i.mean()) + rng.normal(0, _OFF_SPINE)
    return float(rng.uniform(0, rows)), float(rng.uniform(0, columns))


def _nothing(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the targets of where there is no scan."""
    target = np.zeros((targets.PLANES, *shape), np.uint8)
    target[targets.NAME] = targets.NO_NAME
    target[targets.COS] = target[targets.SIN] = 128
    return target


def mirrored(hu: NDArray[np.int16], target: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return a block with left and right exchanged."""
    target = target[..., ::-1].copy()
    bits = target[targets.RIBBED]
    left, right = bits & targets.LEFT_BIT, bits & targets.RIGHT_BIT
    target[targets.RIBBED] = (left > 0) * targets.RIGHT_BIT + (right > 0) * targets.LEFT_BIT
    return hu[..., ::-1].copy(), target


def _accuracy(outputs: Tensor, target: Tensor) -> float:
    column = target[:, targets.NAME] != targets.NO_NAME
    if not bool(column.any()):
        return float("nan")
    found = outputs[:, channels.FIRST_NAME :].argmax(1)[column]
    return float((found == target[:, targets.NAME][column]).float().mean())
