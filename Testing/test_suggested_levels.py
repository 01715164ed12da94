"""``--l1 auto --l2 auto`` as a user runs it: on trunks simulated here, and on the real CT where it is at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.levels.suggestion import CONFIDENT
from OsteoScreenLib.localisation.resample import read_trunk
from OsteoScreenLib.models import default_bundle
from OsteoScreenLib.results import NumberedVertebra, Numbering
from OsteoScreenLib.spine_view import spine_picture
from OsteoScreenTrainingLib.simulation.trunk3d import SimulatedTrunk, simulate_trunk
from OsteoScreenTrainingLib.simulation.trunk3d.writing import write_volume

#: A stream that neither training, calibration nor evaluation uses.
SEED = 4_242
#: How near a suggested slice has to be to the true centre, mm: what Docs/levels.md counts by.
NEAR_MM = 4.0


@dataclass(frozen=True)
class Scan:
    """A simulated trunk and the volume file that it lies in."""

    trunk: SimulatedTrunk
    path: Path


def cropped(trunk: SimulatedTrunk, folder: Path, low_mm: float, high_mm: float) -> Path:
    """Write what of a trunk lies between two heights (RAS S)."""
    z = trunk.ijk_to_ras[2, 3] + trunk.ijk_to_ras[2, 2] * np.arange(len(trunk.hu))
    kept = np.flatnonzero((z >= low_mm) & (z <= high_mm))
    matrix = trunk.ijk_to_ras.copy()
    matrix[:3, 3] += kept[0] * matrix[:3, 2]
    path = folder / "cropped.nii.gz"
    write_volume(path, trunk.hu[kept[0] : kept[-1] + 1], matrix)
    return path


@pytest.fixture(scope="module", autouse=True)
def bundle():
    found = default_bundle("localisation")
    assert found is not None, "a localisation bundle ships"
    return found


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Neck to lumbar spine, nothing unusual: the first rib and the last are in view."""
    trunk = simulate_trunk(SEED, 0, spacing_mm=(2.0, 1.0, 1.0), region="neck to lumbar", usual=True)
    path = tmp_path_factory.mktemp("trunk") / "ct.nii.gz"
    write_volume(path, trunk.hu, trunk.ijk_to_ras)
    return Scan(trunk, path)


def screened(path, out, *words):
    code = main(["screen", str(path), "-o", str(out), "--age", "70", "--sex", "F", *words])
    return code, json.loads((out / "result.json").read_text(encoding="utf-8"))


def test_both_levels_are_found_measured_and_left_to_the_reader(scan, tmp_path, capsys):
    code, result = screened(scan.path, tmp_path / "out", "--l1=auto", "--l2=auto", "--force")
    said = capsys.readouterr().out
    assert code == 0
    for name in ("L1", "L2"):
        level = result["levels"][name]
        assert (level["set_by"], level["confirmed"]) == ("suggested", False)
        assert abs(level["z_mm"] - scan.trunk.truth.vertebra(name).centre[2]) <= NEAR_MM
        assert result["numbering"]["levels"][name]["probability"] >= CONFIDENT
        assert result["roi"][name]["mean_hu"] > 0
    names = [vertebra["name"] for vertebra in result["numbering"]["vertebrae"]]
    assert names.index("L1") == names.index("T12") + 1
    assert any("lowest" in reason and "rib-bearing" in reason for reason in result["numbering"]["reasons"])
    assert "suggest" in result["timing_s"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for text in (page, said):
        assert "suggested" in text and "not confirmed" in text
    assert "How the vertebrae were counted" in page


def test_one_level_may_be_the_readers_own(scan, tmp_path):
    z = scan.trunk.truth.vertebra("L1").centre[2]
    code, result = screened(scan.path, tmp_path / "out", f"--l1={z:.1f}", "--l2=auto", "--force")
    assert code == 0
    assert result["levels"]["L1"]["set_by"] == "user" and result["levels"]["L1"]["confirmed"] is True
    assert result["levels"]["L2"]["set_by"] == "suggested" and result["levels"]["L2"]["confirmed"] is False


def test_a_scan_that_ends_above_l1_claims_no_lumbar_level(scan, tmp_path, capsys):
    bottom = scan.trunk.truth.vertebra("T12").centre[2] - 18.0
    path = cropped(scan.trunk, tmp_path, bottom, np.inf)
    code, result = screened(path, tmp_path / "out", "--l1=auto", "--l2=auto")
    assert code == 3
    assert result["status"] == "refused" and not result["levels"]
    said = capsys.readouterr().err
    assert "L1" in said and "--l1" in said and "Traceback" not in said


def test_without_anything_to_count_from_it_abstains(scan, tmp_path):
    low, high = (scan.trunk.truth.vertebra(name).centre[2] for name in ("T9", "T5"))
    path = cropped(scan.trunk, tmp_path, low, high)
    code, result = screened(path, tmp_path / "out", "--l1=auto", "--l2=auto")
    assert code == 3
    assert not result["levels"] and not result["numbering"]["vertebrae"]
    assert "nothing fixes the count" in result["numbering"]["abstains"]


def test_the_view_along_the_spine_shows_bodies_between_ribs(scan):
    known = [v for v in scan.trunk.truth.vertebrae if v.whole]
    ct = ct_from_array(scan.trunk.hu, scan.trunk.ijk_to_ras)
    numbering = Numbering([NumberedVertebra(v.name, 0.99, v.centre, True) for v in known], {}, [], None, {})
    picture = spine_picture(read_trunk(ct), numbering)
    assert [place.name for place in picture.names] == [v.name for v in known]
    rows = np.array([place.row for place in picture.names])
    assert (np.diff(rows) > 0).all(), "from the head down"
    heights = np.array([v.centre[2] for v in known])
    assert np.diff(rows) * picture.spacing_mm[0] == pytest.approx(-np.diff(heights), abs=2.0)
    ribbed = [place for place, v in zip(picture.names, known, strict=True) if v.ribs]
    bare = [place for place, v in zip(picture.names, known, strict=True) if v.name in ("L2", "L3")]
    beside = {True: [], False: []}
    for is_ribbed, places in ((True, ribbed), (False, bare)):
        for place in places:
            row = picture.image[round(place.row) - 4 : round(place.row) + 5]
            away = np.abs(np.arange(row.shape[1]) - place.column) * picture.spacing_mm[1]
            beside[is_ribbed].append(float(row[:, (away > 45) & (away < 80)].max(axis=0).mean()))
    assert np.median(beside[True]) > np.median(beside[False]) + 100, "ribs are brighter than what lies beside L2 and L3"


# -- real CT


def test_the_neck_to_l3_scan_is_named_right(shared_data, tmp_path):
    folder = shared_data / "acrin-nsclc-fdg-pet-042"
    outlines = json.loads((folder / "outlines.json").read_text(encoding="utf-8"))
    truth = {o["level"]: o["z_ras_mm"] for o in outlines if o.get("is_level_centre_slice")}
    _, result = screened(folder / "dicom", tmp_path / "out", "--l1=auto", "--l2=auto")
    named = {v["name"]: v["centre_ras_mm"][2] for v in result["numbering"]["vertebrae"]}
    for name, z in truth.items():
        assert abs(named[name] - z) <= 2 * NEAR_MM
    for name, level in result["levels"].items():
        assert abs(level["z_mm"] - truth[name]) <= NEAR_MM


def test_two_thoracic_vertebrae_claim_no_lumbar_level(shared_data, tmp_path):
    code, result = screened(shared_data / "totalsegmentator-dicom", tmp_path / "out", "--l1=auto", "--l2=auto")
    assert code == 3 and not result["levels"]
