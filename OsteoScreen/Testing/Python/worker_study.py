"""A study as a caller of the worker has it: an array on the disk, what its header says, levels and small bundles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from phantom_ct import CENTRES, Phantom, make_phantom
from tiny_bundle import silent_network, write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib.ct import CT, Acquisition, ct_from_array
from OsteoScreenLib.results import Check
from OsteoScreenLib.worker import exchange

ACQUISITION = Acquisition(
    modality="CT", kvp=120.0, slice_thickness_mm=3.0, kernel="Br38f", contrast=False, age_years=60.0, sex="F"
)
FINDINGS = (Check("series", "pass", "There is one series.", "1.2.3"),)


@dataclass
class Study:
    """``described`` and ``levels`` are those of a message; ``ct`` is the same scan in this process."""

    folder: Path
    phantom: Phantom
    ct: CT
    described: dict[str, Any]
    levels: dict[str, Any]
    options: dict[str, Any]

    def message(self, do: str, identifier: Any = 1, **changes: Any) -> dict[str, Any]:
        return {
            "id": identifier,
            "do": do,
            "ct": self.described,
            "levels": self.levels,
            "options": self.options,
            "folder": str(self.folder),
            **changes,
        }


def make_study(folder: Path) -> Study:
    folder.mkdir(parents=True, exist_ok=True)
    phantom = make_phantom()
    # Stored sideways, as a volume in Slicer may be.
    stored = np.ascontiguousarray(phantom.hu.transpose(2, 0, 1)[:, ::-1])
    canonical = phantom.ijk_to_ras
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = canonical[:3, 1], -canonical[:3, 2], canonical[:3, 0]
    matrix[:3, 3] = canonical[:3, 3] + canonical[:3, 2] * (phantom.hu.shape[0] - 1)
    ct = ct_from_array(stored, matrix, ACQUISITION, findings=FINDINGS, kind="dicom", series_instance_uid="1.2.3")
    last = phantom.hu.shape[0] - 1
    return Study(
        folder,
        phantom,
        ct,
        exchange.describe_ct(
            exchange.write_array(stored, folder, "ct"),
            matrix,
            ACQUISITION,
            findings=FINDINGS,
            kind="dicom",
            series_instance_uid="1.2.3",
        ),
        {name: {"slice_index": last - CENTRES[name], "set_by": "user", "confirmed": True} for name in ("L1", "L2")},
        {
            "segmentation_model": str(write_tiny_bundle(folder / "outliner")),
            "classification_model": str(write_tiny_classifier(folder / "classifier")),
            "device": "cpu",
            "force": True,
        },
    )


def write_silent(folder: Path) -> str:
    return str(write_tiny_bundle(folder / "silent", silent_network()))
