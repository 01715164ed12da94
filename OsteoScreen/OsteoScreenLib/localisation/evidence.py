"""The network's answer on a whole trunk: evidence for bodies, discs, ribs, sacrum and names, voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..errors import BundleError, InputError
from ..inference import BundleRunner
from ..models import Bundle
from ..sampling import normalise
from ..tensors import array_from_tensor, tensor_from_array
from . import channels
from .resample import TrunkGrid

#: A trunk of fewer voxels a side shows no vertebra.
SMALLEST_SIDE = 8


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is seen where, on a grid with the trunk's slices and half its rows and columns.

    body, disc, sacrum, rib : (slices, rows, columns), how much of the voxel is that, 0 to 1
    ribbed : (2, slices, rows, columns), probability that the vertebra here bears a rib on the left, on the right
    phase : (slices, rows, columns) complex; its angle is 0 in a body's centre and half a turn in a disc, growing
        towards the feet, and it is short where the network does not know
    names : (names, slices, rows, columns) log-probabilities of the name of the vertebra here
    """

    trunk: TrunkGrid
    body: npt.NDArray[np.float32]
    disc: npt.NDArray[np.float32]
    sacrum: npt.NDArray[np.float32]
    rib: npt.NDArray[np.float32]
    ribbed: npt.NDArray[np.float32]
    phase: npt.NDArray[np.complex64]
    names: npt.NDArray[np.float32]

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns of the evidence, mm."""
        dz, dy, dx = self.trunk.grid_mm
        return dz, dy * channels.REDUCTION, dx * channels.REDUCTION

    def ras(self, places: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return RAS mm (..., 3) of places (..., 3): slice, row and column of the evidence, fractions allowed."""
        fine = np.array(places, float)
        fine[..., 1:] = fine[..., 1:] * channels.REDUCTION + (channels.REDUCTION - 1) / 2
        return self.trunk.ras(fine)


def evidence_from(outputs: npt.NDArray[np.float32], trunk: TrunkGrid) -> Evidence:
    """Return the evidence that raw outputs (channels, slices, rows, columns) of the network mean."""
    # Clipped, so that exp cannot overflow.
    logits = np.clip(outputs[: channels.COS], -30, 30)
    shares = (1 / (1 + np.exp(-logits))).astype(np.float32)
    names = outputs[channels.FIRST_NAME :]
    names = names - names.max(axis=0)
    names = names - np.log(np.exp(names).sum(axis=0))
    return Evidence(
        trunk=trunk,
        body=shares[channels.BODY],
        disc=shares[channels.DISC],
        sacrum=shares[channels.SACRUM],
        rib=shares[channels.RIB],
        ribbed=shares[channels.RIBBED_LEFT : channels.RIBBED_RIGHT + 1],
        phase=(outputs[channels.COS] + 1j * outputs[channels.SIN]).astype(np.complex64),
        names=names,
    )


def too_small(trunk: TrunkGrid) -> str | None:
    """Return why a trunk is too small to show a vertebra, a sentence, or None where it is not."""
    if min(trunk.hu.shape) >= SMALLEST_SIDE:
        return None
    shown = " x ".join(str(round(n * mm)) for n, mm in zip(trunk.hu.shape, trunk.grid_mm, strict=True))
    return f"The scan measures {shown} mm, too little to find vertebrae."


class EvidenceNetwork(BundleRunner):
    """Runs a localisation bundle on whole trunks; made once, used for many.

    Raises:
        BundleError: the bundle's weights do not load, or it was made for another grid or for other channels.
        UsageError: the device is unknown or missing.
    """

    memory_format = torch.channels_last_3d

    def __init__(self, bundle: Bundle, device: str = "auto"):
        if bundle.classes != channels.CHANNELS:
            raise BundleError(
                f"The bundle {bundle.name} names other output channels than this version reads; train it again."
            )
        super().__init__(bundle, device)
        mm = [float(value) for value in bundle.preprocessing["grid_mm"]]
        self.grid_mm = (mm[0], mm[1], mm[2])

    def look(self, trunk: TrunkGrid) -> Evidence:
        """Return what the network sees in a trunk on the bundle's grid.

        Raises InputError where the trunk is too small to show a vertebra.
        """
        why = too_small(trunk)
        if why is not None:
            raise InputError(why)
        return self._with_memory(lambda: self._look(trunk))

    def _look(self, trunk: TrunkGrid) -> Evidence:
        hu = tensor_from_array(np.asarray(trunk.hu, np.float32))[None, None]
        outputs = self._forward(normalise(hu, self.window_hu))
        return evidence_from(array_from_tensor(outputs[0]), trunk)
