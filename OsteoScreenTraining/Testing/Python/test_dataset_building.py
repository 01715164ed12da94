"""Building a data set from CT and outlines: the slices that were meant, and a reason for each that is left out."""

from __future__ import annotations

import dataclasses
import datetime
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from OsteoScreenLib.classification import MaskedSlice
from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.levels import parse_level
from OsteoScreenLib.segmentation_io import write_segmentation
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.datasets.inclusion import exclusion
from OsteoScreenTrainingLib.datasets.manifest import Subject, read_manifest, write_manifest
from OsteoScreenTrainingLib.datasets.manifest_lock import LOCK
from Testing.Python.classifier_inputs import seen_in_training, seen_in_use


def _outline(folder, subject, ct, masks):
    """Write outlines beside the CT as a reader's tool does; return the subject with their path."""
    places = {"L1": subject.l1_z_mm, "L2": subject.l2_z_mm}
    drawn = {level: (parse_level(str(places[level]), ct, level).slice_index, mask) for level, mask in masks.items()}
    (folder / "masks").mkdir(exist_ok=True)
    path = write_segmentation(drawn, ct.geometry, folder / "masks" / f"{subject.subject}.seg.nrrd")
    return dataclasses.replace(subject, masks=path.relative_to(folder).as_posix())


@pytest.fixture
def raw(cohort, tmp_path):
    """Return a folder as a hospital fills it: CT, outlines, and what the CT does not say; and the cohort's subjects."""
    simulated = DataSet(cohort)
    subjects = [subject for subject in simulated.subjects if subject.ct]
    folder = tmp_path / "raw"
    shutil.copytree(cohort / "ct", folder / "ct")
    rows = []
    for subject in subjects:
        bare = Subject(
            subject=subject.subject, ct=subject.ct, l1_z_mm=subject.l1_z_mm, l2_z_mm=subject.l2_z_mm,
            bmd_l1=subject.bmd_l1, bmd_l2=subject.bmd_l2, findings="degeneration",
        )  # fmt: skip
        drawn = {
            level: simulated.slices.read([simulated.slice_index(subject.subject, level)])[1][0] > 127
            for level in LEVELS
        }
        rows.append(_outline(folder, bare, open_ct(folder / subject.ct), drawn))
    write_manifest(rows, folder / "subjects.csv")
    return folder, simulated, subjects


def _build(folder, capsys):
    code = main(["dataset", "build", str(folder)])
    return code, capsys.readouterr()


def _block(folder, name, shape=(5, 256, 256), spacing=(1.4, 1.4, 2.0), noise=20):
    """Write a volume of a bright block on soft tissue with its outlines; return its row of the manifest."""
    hu = np.random.default_rng(1).normal(0, noise, shape).astype(np.int16)
    mask = np.zeros(shape[1:], bool)
    mask[100:120, 90:130] = True
    hu[:, mask] += 200
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(spacing)
    (folder / "ct").mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(folder / "ct" / f"{name}.nrrd"))
    subject = Subject(name, ct=f"ct/{name}.nrrd", l1_z_mm=6.0, l2_z_mm=2.0)
    return _outline(folder, subject, open_ct(folder / subject.ct), {"L1": mask, "L2": mask}), hu, mask


def test_the_slices_are_those_of_the_ct(raw, capsys):
    folder, simulated, subjects = raw
    code, said = _build(folder, capsys)
    assert (code, said.out) == (0, f"4 slices in {folder / 'slices'}\n")
    built = DataSet(folder)
    assert built.header.kind == "real"
    assert built.slices.kinds == ["real"]
    for subject in subjects:
        for level in LEVELS:
            here, there = built.slice_index(subject.subject, level), simulated.slice_index(subject.subject, level)
            hu, drawn = (array[0] for array in built.slices.read([here]))
            expected_hu, expected = (array[0] for array in simulated.slices.read([there]))
            np.testing.assert_array_equal(hu, expected_hu)
            np.testing.assert_array_equal(drawn > 127, expected > 127)
            one, two = built.slices.records[here], simulated.slices.records[there]
            assert one.pixel_mm == pytest.approx(two.pixel_mm, abs=1e-6)
            assert one.body == pytest.approx(two.body, abs=1e-6)
    assert [path.name for path in folder.glob(".*")] == [LOCK]


def test_what_the_ct_says_fills_empty_cells_and_no_others(raw, capsys):
    folder, _, subjects = raw
    rows = read_manifest(folder / "subjects.csv")
    own = dataclasses.replace(rows[0], study_date=datetime.date(2019, 5, 6), sex="M", age_years=77.0, kvp=100.0)
    write_manifest([own, rows[1]], folder / "subjects.csv")
    assert _build(folder, capsys)[0] == 0
    kept, filled = read_manifest(folder / "subjects.csv")
    uid = open_ct(folder / own.ct).describe().series_instance_uid
    assert kept == dataclasses.replace(own, series_uid=uid)
    expected = subjects[1]
    assert (filled.study_date, filled.age_years, filled.sex, filled.kvp) == (
        expected.study_date, expected.age_years, expected.sex, 120.0,
    )  # fmt: skip
    assert (filled.bmd_l1, filled.findings, filled.calibration_slope) == (expected.bmd_l1, "degeneration", None)
    assert exclusion(filled, DataSet(folder)) == "severe degeneration"


def test_a_header_that_no_manifest_takes_leaves_the_cells_empty(raw, capsys):
    import pydicom

    folder, _, subjects = raw
    for file in (folder / subjects[0].ct).iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientSex, dataset.KVP = "O", "0"
        dataset.save_as(file)
    assert _build(folder, capsys)[0] == 0
    changed = read_manifest(folder / "subjects.csv")[0]
    assert (changed.sex, changed.kvp, changed.age_years) == (None, None, subjects[0].age_years)


def test_one_that_cannot_be_built_is_left_out_with_its_reason(raw, capsys):
    folder, _, _ = raw
    rows = read_manifest(folder / "subjects.csv")
    good, other = rows
    (folder / "ct" / "junk").mkdir()
    (folder / "ct" / "junk" / "a.dcm").write_bytes(b"no DICOM")
    full = np.ones((512, 512), bool)
    ct = open_ct(folder / good.ct)
    cases = {
        "JUNK": (dataclasses.replace(good, ct="ct/junk"), ""),
        "GONE": (dataclasses.replace(good, ct="ct/none"), "cannot be opened"),
        "NOMASKS": (dataclasses.replace(good, masks="masks/none.nrrd"), "There is no segmentation"),
        "OUTSIDE": (dataclasses.replace(good, l2_z_mm=good.l2_z_mm - 300), "lies outside the scan"),
        "HALF": (_outline(folder, dataclasses.replace(good, subject="HALF"), ct, {"L1": full}), "hold no L2; draw it"),
        "SHIFTED": (dataclasses.replace(good, l1_z_mm=good.l1_z_mm + 4), "L1 does not lie on its centre slice"),
    }
    bad = [dataclasses.replace(row, subject=name) for name, (row, _) in cases.items()]
    unfilled = Subject("UNFILLED", sex="F")
    write_manifest([good, *bad, unfilled, other], folder / "subjects.csv")
    code, said = _build(folder, capsys)
    assert code == 0
    lines = said.out.splitlines()
    assert lines[-1] == f"4 slices in {folder / 'slices'}"
    assert [line.split(": ")[:2] for line in lines[:-1]] == [["left out", name] for name in cases]
    for line, (name, (_, reason)) in zip(lines, cases.items(), strict=False):
        assert reason in line, name
    data = DataSet(folder)
    assert [s.subject for s in data.subjects] == [good.subject, *cases, "UNFILLED", other.subject]
    assert {record.subject for record in data.slices.records} == {good.subject, other.subject}
    assert data.subject("UNFILLED") == unfilled


def test_nothing_to_build_is_told(raw, capsys):
    folder, _, _ = raw
    rows = read_manifest(folder / "subjects.csv")
    write_manifest([dataclasses.replace(row, masks=None) for row in rows], folder / "subjects.csv")
    code, said = _build(folder, capsys)
    assert code == 4
    assert "No subject in" in said.err and "ct, masks, l1_z_mm and l2_z_mm; fill them in" in said.err
    write_manifest([dataclasses.replace(row, ct="ct/none") for row in rows], folder / "subjects.csv")
    code, said = _build(folder, capsys)
    assert code == 4
    assert "No slice could be cut; the first reason: " in said.err
    assert not (folder / "slices").exists()
    assert not list(folder.glob(".*"))


def test_slices_that_are_there_are_not_built_over(raw, capsys):
    folder, _, _ = raw
    assert _build(folder, capsys)[0] == 0
    before = (folder / "slices" / "images.npy").stat().st_mtime_ns
    code, said = _build(folder, capsys)
    assert code == 2
    assert "is there already; remove it to build the slices again" in said.err
    assert (folder / "slices" / "images.npy").stat().st_mtime_ns == before
    shutil.rmtree(folder / "slices")
    assert _build(folder, capsys)[0] == 0


def test_a_folder_that_cannot_be_written_to_is_told(raw, capsys):
    folder, _, _ = raw
    (folder / "slices").write_text("in the way")
    code, said = _build(folder, capsys)
    assert code == 4
    assert "cannot be written to" in said.err
    assert not list(folder.glob(".*"))


def test_a_smaller_matrix_is_resampled_to_512(tmp_path, capsys):
    row, hu, mask = _block(tmp_path, "SMALL")
    write_manifest([row], tmp_path / "subjects.csv")
    assert _build(tmp_path, capsys)[0] == 0
    data = DataSet(tmp_path)
    assert (data.slices.rows, data.slices.columns) == (512, 512)
    index = data.slice_index("SMALL", "L1")
    record = data.slices.records[index]
    assert record.pixel_mm == pytest.approx(0.7)
    built, drawn = (array[0] for array in data.slices.read([index]))
    # Means over the four pixels that a pixel became keep what it was, up to the interpolation.
    shrunk = built.reshape(256, 2, 256, 2).mean(axis=(1, 3))
    noise = (slice(150, 250), slice(10, 250))
    assert np.corrcoef(shrunk[noise].ravel(), hu[3][noise].ravel())[0, 1] > 0.9
    assert shrunk[mask].mean() == pytest.approx(hu[3][mask].mean(), abs=8)
    inside = drawn > 127
    assert inside.sum() == pytest.approx(4 * mask.sum(), abs=4 * 60)
    assert record.body == pytest.approx((2 * 109.5 + 0.5, 2 * 109.5 + 0.5), abs=0.6)


@pytest.mark.parametrize(("rows", "columns"), [(400, 512), (512, 301)])
def test_slices_that_are_not_square_are_copied_into_a_square_whose_edge_repeats(tmp_path, capsys, rows, columns):
    row, hu, mask = _block(tmp_path, "FLAT", (5, rows, columns), (0.7, 0.7, 2.0))
    write_manifest([row], tmp_path / "subjects.csv")
    assert _build(tmp_path, capsys)[0] == 0
    data = DataSet(tmp_path)
    index = data.slice_index("FLAT", "L1")
    built, drawn = (array[0] for array in data.slices.read([index]))
    above, left = -(-(512 - rows) // 2), -(-(512 - columns) // 2)
    beside = ((above, 512 - rows - above), (left, 512 - columns - left))
    np.testing.assert_array_equal(built, np.pad(hu[3], beside, "edge"))
    np.testing.assert_array_equal(drawn, np.pad(mask, beside) * 255)
    assert data.slices.records[index].pixel_mm == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("shape", "spacing", "noise", "within"),
    [((5, 400, 512), (0.7, 0.7, 2.0), 20, 2e-5), ((5, 512, 300), (0.7, 0.7, 2.0), 20, 2e-5),
     ((5, 256, 200), (1.2, 1.5, 2.0), 0, 0.2)],
    ids=["flat", "narrow", "oblong pixels"],
)  # fmt: skip
@pytest.mark.parametrize("crop", [(0.9, 64), (1.8, 32), None], ids=["crop", "coarse", "whole"])
def test_training_on_a_built_slice_sees_what_screening_sees_of_the_ct(
    tmp_path, capsys, shape, spacing, noise, within, crop
):
    row, _, mask = _block(tmp_path, "S", shape, spacing, noise)
    write_manifest([row], tmp_path / "subjects.csv")
    assert _build(tmp_path, capsys)[0] == 0
    data, ct = DataSet(tmp_path), open_ct(tmp_path / row.ct)
    places = {"L1": row.l1_z_mm, "L2": row.l2_z_mm}
    slices = {
        level: MaskedSlice(
            ct.slice(ct.geometry.nearest_slice(z_mm)), mask.astype(np.float32), ct.geometry.pixel_spacing_mm
        )
        for level, z_mm in places.items()
    }
    used = seen_in_use(slices, None, crop, "measured", tmp_path)
    trained = seen_in_training(data, data.subjects[0], LEVELS, crop, "measured")
    assert (used > 0).sum() > 200
    if within < 0.1:
        torch.testing.assert_close(trained, used, atol=within, rtol=0)
    else:
        # Pixels at the outline's edge may fall on either side of it: resampled once, and twice.
        assert ((trained - used).abs() > within).float().mean() < 0.002
