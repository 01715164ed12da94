"""Which levels and files of a public collection are not taken, and the reasons that are given."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.levels import VertebraMask
from OsteoScreenTrainingLib.datasets.folder import LEVELS
from OsteoScreenTrainingLib.datasets.manifest import read_manifest
from OsteoScreenTrainingLib.datasets.public.labels import VERSE, GuessedFile, NumberedFile, read_labels
from OsteoScreenTrainingLib.datasets.public.outlining import outline_levels
from Testing.Python.public_scans import Scan, report_rows, run_dataset, simulated_scan, write_verse, write_volume


def _reasons(dataset):
    return {(row["scan"], row["level"]): row["reason"] for row in report_rows(dataset)}


def _levels(scan, labels=None, hu=None, names=LEVELS):
    drawn = scan.labels if labels is None else labels
    ct = ct_from_array(scan.hu if hu is None else hu, scan.ijk_to_ras)
    from OsteoScreenLib.ct.geometry import canonical

    geometry, axis_map = canonical(drawn.shape, scan.ijk_to_ras)
    turned = axis_map.volume(drawn)
    masks = {n: VertebraMask(n, turned == v, geometry) for n, v in (("L1", 20), ("L2", 21)) if (turned == v).any()}
    return outline_levels(ct, masks, names)


def _slice_of(scan, label):
    """Return the slice (as stored) on which a label's body is about half-way."""
    slices = np.flatnonzero((scan.labels == label).any(axis=(1, 2)))
    areas = [(scan.labels[k] == label).sum() for k in slices]
    return int(np.average(slices, weights=areas))


def test_reasons_for_rejecting_a_level(square_scan):
    scan, _ = square_scan
    fine = _levels(scan)
    assert [fine[level].reason for level in LEVELS] == ["", ""]
    slices = np.flatnonzero((scan.labels == 20).any(axis=(1, 2)))
    k = fine["L1"].level.slice_index

    missing = np.where(scan.labels == 20, 0, scan.labels)
    assert _levels(scan, missing)["L1"].reason == "L1 is not labelled."

    flat = scan.labels.copy()
    flat[: k - 1][flat[: k - 1] == 20] = 0
    flat[k + 2 :][flat[k + 2 :] == 20] = 0
    assert "mm high, so it is compressed, or its label is cut" in _levels(scan, flat)["L1"].reason

    both = np.where(scan.labels == 21, 20, scan.labels)
    assert "two vertebrae share" in _levels(scan, both)["L1"].reason

    pieces = scan.labels.copy()
    pieces[slices[0] + (slices[-1] - slices[0]) // 2] = 0
    assert "is in pieces" in _levels(scan, pieces)["L1"].reason

    holed = scan.labels.copy()
    rows, columns = np.nonzero(fine["L1"].mask)
    for dy in (-6, 0, 6):
        y, x = int(rows.mean()) + dy, int(columns.mean())
        holed[k, y - 1 : y + 2, x - 6 : x + 7] = 0
    assert "has holes on its centre slice" in _levels(scan, holed)["L1"].reason

    metal = scan.hu.copy()
    metal[k, int(rows.mean()) - 2 : int(rows.mean()) + 3, int(columns.mean()) - 4 : int(columns.mean()) + 5] = 3000
    rejected = _levels(scan, hu=metal)["L1"]
    assert "metal" in rejected.reason
    assert rejected.level is not None
    assert rejected.mask is None

    swapped = scan.labels.copy()
    swapped[scan.labels == 20], swapped[scan.labels == 21] = 21, 20
    assert all("swapped" in found.reason for found in _levels(scan, swapped).values())


def test_a_vertebra_at_the_scans_end_is_cut(square_scan):
    scan, _ = square_scan
    k = _slice_of(scan, 20)
    upwards = scan.ijk_to_ras[2, 2] > 0
    part = slice(0, k) if upwards else slice(k, None)
    matrix = scan.ijk_to_ras.copy()
    matrix[:3, 3] += 0 if upwards else k * matrix[:3, 2]
    found = _levels(Scan(scan.hu[part], scan.labels[part], matrix))
    assert "cuts L1" in found["L1"].reason
    assert found["L2"].reason == ""


def test_a_field_of_view_that_cuts_the_body(square_scan):
    scan, _ = square_scan
    fine = _levels(scan)["L1"]
    column = int(np.nonzero(fine.mask)[1].mean())
    left = Scan(scan.hu[:, :, :column], scan.labels[:, :, :column], scan.ijk_to_ras)
    assert _levels(left)["L1"].reason


def test_thick_slices_have_no_centre_slice(square_scan):
    scan, _ = square_scan
    thick = Scan(scan.hu[::2], scan.labels[::2], scan.ijk_to_ras @ np.diag([1.0, 1, 2, 1]))
    assert "The slices are 6.0 mm apart" in _levels(thick)["L1"].reason


def test_transitional_vertebrae_are_noted(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    odd = scan.labels.copy()
    odd[scan.labels == 19] = 28
    write_verse(tmp_path / "verse", scan, labels=odd)
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")[0] == 0
    notes = report_rows(tmp_path / "set")[0]["notes"]
    assert "A 13th thoracic vertebra is labelled above L1." in notes
    assert "There is no T12 between T11 and L1" in notes


def test_contrast_medium_is_noted_and_gets_no_bmd_from_hu(tmp_path, capsys):
    scan, truth = simulated_scan(0)
    assert truth.conditions["phase"] == "arterial"
    write_verse(tmp_path / "verse", scan)
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set", "--bmd-from-hu")[0] == 0
    rows = report_rows(tmp_path / "set")
    # At L2 this subject's aorta is 13 mm wide, and a loop of bowel lies beside it.
    assert {row["level"]: row["aorta"] for row in rows} == {"L1": "refuse", "L2": "refuse"}
    assert "so bone reads too dense" in rows[0]["notes"]
    assert read_manifest(tmp_path / "set" / "subjects.csv")[0].bmd is None


def test_files_that_are_wrong_are_reasons_and_the_others_go_on(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    folder, dataset = tmp_path / "verse", tmp_path / "set"
    write_verse(folder, scan, "sub-verse500")
    _, mask = write_verse(folder, scan, "sub-verse501")
    mask.write_bytes(mask.read_bytes()[:2000])
    ct, _ = write_verse(folder, scan, "sub-verse502")
    ct.write_bytes(ct.read_bytes()[:-2000])
    write_verse(folder, scan, "sub-verse503", labels=np.stack([scan.hu], axis=0)[0])
    _, mask = write_verse(folder, scan, "sub-verse504")
    twice = sitk.JoinSeries([sitk.ReadImage(str(mask))] * 2)
    sitk.WriteImage(twice, str(mask))
    write_verse(folder, scan, "sub-verse505", labels=np.where(scan.labels > 0, 77, 0).astype(np.uint8))
    write_verse(folder, scan, "sub-verse506", labels=np.zeros_like(scan.labels))
    _, mask = write_verse(folder, scan, "sub-verse507")
    moved = sitk.ReadImage(str(mask))
    moved.SetOrigin([value + 60 for value in moved.GetOrigin()])
    sitk.WriteImage(moved, str(mask))
    ct, _ = write_verse(folder, scan, "sub-verse508")
    ct.write_bytes(b"")
    ct, mask = write_verse(folder, scan, "sub-verse509")
    centroids = mask.with_name("sub-verse509_seg-subreg_ctd.json")
    entries = [{"direction": ["L", "P", "S"]}, {"label": 20, "X": 5, "Y": 5, "Z": 5}]
    centroids.write_text(json.dumps(entries), encoding="utf-8")
    code, said = run_dataset(capsys, "import-verse", folder, "-o", dataset)
    assert code == 0, said.err
    assert "10 subjects, 1 with L1 and L2 outlined" in said.out
    reasons = _reasons(dataset)
    assert reasons["verse500", "L1"] == ""
    for name, words in {
        "verse501": "cut short",
        "verse502": "cut short",
        "verse503": "looks like an image, not like labels",
        "verse504": "give one three-dimensional CT",
        "verse505": "holds the labels 77, none of which is a vertebra's",
        "verse506": "is empty; copy it again",
        "verse507": "does not lie on a vertebra of this CT",
        "verse508": "is empty; copy it again",
        "verse509": "centroid of L1 does not lie on its label",
    }.items():
        assert words in reasons[name, "L1"], name
        assert reasons[name, "L1"].endswith(".")
    assert reasons["verse509", "L2"] == ""


def test_nothing_usable_is_an_error(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    empty = tmp_path / "empty"
    empty.mkdir()
    for command in ("import-verse", "import-totalsegmentator", "import-ctspine1k"):
        code, said = run_dataset(capsys, command, empty, "-o", tmp_path / "set")
        assert code == 4
        assert "No scan of " in said.err
        code, said = run_dataset(capsys, command, tmp_path / "missing", "-o", tmp_path / "set")
        assert code == 2
        assert "There is no folder" in said.err
    write_verse(tmp_path / "verse", scan, labels=np.where(scan.labels == 19, 19, 0))
    code, said = run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")
    assert code == 4
    assert "No level of 1 scans could be outlined; the first reason: L1 is not labelled." in said.err
    assert not (tmp_path / "set" / "subjects.csv").exists()


def test_a_data_set_is_not_overwritten_and_options_are_checked(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    write_verse(tmp_path / "verse", scan)
    arguments = ("import-verse", tmp_path / "verse", "-o", tmp_path / "set")
    assert run_dataset(capsys, *arguments, "--kvp", "12")[0] == 2
    assert run_dataset(capsys, *arguments, "--workers", "0")[0] == 2
    assert run_dataset(capsys, *arguments)[0] == 0
    code, said = run_dataset(capsys, *arguments)
    assert code == 2
    assert "holds a data set already" in said.err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "file" / "set")[0] == 4


def test_labels_with_fractions_are_an_image(tmp_path):
    path = write_volume(np.full((3, 4, 5), 0.5, np.float32), np.eye(4), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="looks like an image"):
        read_labels(path)
    with pytest.raises(InputError, match="looks like an image"):
        NumberedFile(path, VERSE).read(LEVELS)


def test_the_numbering_of_a_label_map_is_told_from_its_geometry(square_scan, tmp_path):
    scan, _ = square_scan
    path = write_volume(scan.labels, scan.ijk_to_ras, tmp_path / "some.nii.gz")
    assert set(GuessedFile(path).read(LEVELS).masks) == set(LEVELS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        GuessedFile(path).read(LEVELS)
