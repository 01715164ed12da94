"""The phantom as a DICOM series with any header, and `osteoscreen screen` on it with bundles made for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_files import write_series
from phantom_ct import CENTRES, ORIGIN_RAS, PIXEL_MM, SLICE_MM, make_phantom
from pydicom.uid import generate_uid
from tiny_bundle import write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib.cli import main


@dataclass(frozen=True)
class WrittenStudy:
    """A series and the bundles to screen it with."""

    series: Path
    outliner: Path
    classifier: Path

    def screen(self, out: Path, *words: str, ct: Path | None = None, force: bool = True) -> int:
        """Run the command, by default with ``--force``, since the bundles' confidence is low; returns its exit code."""
        levels = [f"--{name.lower()}=#{CENTRES[name]}" for name in ("L1", "L2")]
        bundles = [f"--segmentation-model={self.outliner}", f"--classification-model={self.classifier}"]
        forced = ["--force"] if force else []
        return main(
            ["screen", str(ct or self.series), "-o", str(out), *levels, *bundles, "--device=cpu", *forced, *words]
        )


def write_study(folder: Path, **changes: Any) -> WrittenStudy:
    """Write the series and the bundles into ``folder``; ``changes`` are those of `dicom_files.write_series`."""
    header = {
        "spacing": SLICE_MM,
        "origin": (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2]),
        "PixelSpacing": [PIXEL_MM, PIXEL_MM],
        "SliceThickness": str(SLICE_MM),
        "StudyInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        **changes,
    }
    write_series(folder / "series", make_phantom().hu, **header)
    return WrittenStudy(
        folder / "series", write_tiny_bundle(folder / "outliner"), write_tiny_classifier(folder / "classifier")
    )
