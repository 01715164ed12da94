"""A patient's files, and results of them to decide on, for the tests of `osteoscreen decide`."""

from __future__ import annotations

from pathlib import Path

from followed_patient import write_calibration, write_scan
from no_bundles import no_bundles
from phantom_ct import make_phantom
from pydicom.uid import generate_uid
from tiny_bundle import write_tiny_bundle

from OsteoScreenLib.cli import main, replacing


def write_patient(folder: Path) -> Path:
    """Write a CT, the same series with other pixels, another series, and the outlines of L1 and L2."""
    phantom = make_phantom()
    series = generate_uid()
    write_scan(folder / "ct", phantom, series=series)
    write_scan(folder / "edited", make_phantom(L1=90.0), series=series)
    write_scan(folder / "other", phantom)
    phantom.write_outlines(folder / "outlines.seg.nrrd")
    write_calibration(folder / "calibration.json")
    write_tiny_bundle(folder / "outliner")
    return folder


def screen_patient(patient: Path, folder: Path) -> Path:
    """Write results to copy: with everything beside them ("all"), and the plain one; returns the folder.

    No bundle that is installed takes part.
    """
    outlined = ["screen", str(patient / "ct"), "--masks", str(patient / "outlines.seg.nrrd")]
    with no_bundles(folder):
        assert main([*outlined, "-o", str(folder / "all"), "--write", "all"]) == 0
        assert main([*outlined, "-o", str(folder / "plain")]) == 0
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, without the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != replacing.LOCK}
