"""Importing public collections at the command line, from small folders of their structure: simulated trunks."""

from __future__ import annotations

import contextlib
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.datasets.inclusion import exclusion
from OsteoScreenTrainingLib.datasets.manifest import read_manifest
from OsteoScreenTrainingLib.datasets.public import importing
from OsteoScreenTrainingLib.datasets.splits import load_split
from OsteoScreenTrainingLib.evaluation.cases import body_mask_cases
from Testing.Python.public_scans import Scan, report_rows, run_dataset, write_verse, write_volume


def _turned(path, order, flips=(False, False, False)):
    """Write a volume again with its axes in another order: the same scan, stored otherwise."""
    image = sitk.Flip(sitk.PermuteAxes(sitk.ReadImage(str(path)), order), flips)
    sitk.WriteImage(image, str(path), True)


def _reasons(dataset):
    return {(row["scan"], row["level"]): row["reason"] for row in report_rows(dataset)}


def test_verse_to_a_data_set_that_trains_both_networks(square_scan, tmp_path, capsys, tiny_config, tiny_classification):
    scan, _ = square_scan
    folder, dataset = tmp_path / "verse", tmp_path / "set"
    lines = ["participant_id\tage\tsex\tBMD\tmanufacturer"]
    ct, mask = write_verse(folder, scan)
    for number in range(1, 8):
        part = ("01_training", "02_validation")[number % 2]
        for source, kind, ending in ((ct, "rawdata", "_ct"), (mask, "derivatives", "_seg-vert_msk")):
            target = folder / part / kind / f"sub-verse50{number}" / f"sub-verse50{number}{ending}.nii.gz"
            target.parent.mkdir(parents=True)
            shutil.copyfile(source, target)
        lines.append(f"sub-verse50{number}\t6{number}\tF\t{(40, 100, 190)[number % 3]}.5\tPhilips")
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, said = run_dataset(capsys, "import-verse", folder, "-o", dataset, "--keep-split", "--kvp", "120")
    assert code == 0, said.err
    assert "8 subjects, 8 with L1 and L2 outlined" in said.out
    assert "CC BY-SA 4.0" in said.out
    subjects = {subject.subject: subject for subject in read_manifest(dataset / "subjects.csv")}
    known = subjects["verse501"]
    assert (known.age_years, known.sex, known.kvp, known.bmd, known.scanner) == (61, "F", 120, 100.5, "Philips")
    assert "Löffler" in known.method
    assert subjects["verse500"].bmd is None
    assert (dataset / known.ct).resolve() == (folder / "02_validation/rawdata/sub-verse501/sub-verse501_ct.nii.gz")
    assert not (dataset / "ct").exists()
    assert not (dataset / ".import").exists()

    code, said = run_dataset(capsys, "build", dataset)
    assert code == 0, said.err
    data = DataSet(dataset)
    assert len(data.slices) == 16
    assert exclusion(data.subject("verse501"), data) is None
    split = load_split(data, "public")
    assert {part: len(names) for part, names in split.parts.items()} == {"training": 4, "validation": 4, "test": 0}
    assert "verse500" not in load_split(data, "public-bmd").part_of()

    for task, config in (
        ("segmentation", tiny_config(steps=2, validation={"split": "public", "every_steps": 0})),
        ("classification", tiny_classification(steps=2, validation={"split": "public-bmd", "every_steps": 0})),
    ):
        path = tmp_path / f"{task}.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        run = tmp_path / f"run-{task}"
        assert main(["train", task, "--data", str(dataset), "-o", str(run), "--config", str(path)]) == 0
        assert (run / "bundle" / "bundle.json").is_file()


def test_the_levels_and_outlines_are_where_the_truth_is(square_scan, tmp_path, capsys):
    scan, truth = square_scan
    write_verse(tmp_path / "verse", scan)
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")[0] == 0
    (subject,) = read_manifest(tmp_path / "set" / "subjects.csv")
    outlines = read_vertebrae(tmp_path / "set" / subject.masks, LEVELS)
    for level, z_mm in (("L1", subject.l1_z_mm), ("L2", subject.l2_z_mm)):
        place = np.array(truth.vertebra(level).centre)
        assert abs(z_mm - place[2]) <= 3.0
        drawn = np.argwhere(outlines[level].mask)
        found = outlines[level].geometry.ras(*drawn.mean(axis=0)[::-1])
        assert np.hypot(*(found - place)[:2]) < 4.0
    for row in report_rows(tmp_path / "set"):
        assert row["outcome"] == "accepted"
        assert 500 < float(row["area_mm2"]) < 1800
        assert 15 < float(row["height_mm"]) < 35


def test_every_storage_order_gives_the_same(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    for name, order, flips in (
        ("sub-verse501", None, None),
        ("sub-verse502_dir-sag", (1, 2, 0), (False, True, False)),
        ("sub-verse503_dir-cor", (0, 2, 1), (True, False, True)),
    ):
        files = write_verse(tmp_path / "verse", scan, name)
        for file in files if order else ():
            _turned(file, order, flips)
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")[0] == 0
    rows = report_rows(tmp_path / "set")
    for level in LEVELS:
        mine = [row for row in rows if row["level"] == level]
        assert len({row["scan"] for row in mine}) == 3
        assert np.ptp([float(row["z_mm"]) for row in mine]) < 0.01
        assert np.ptp([float(row["area_mm2"]) for row in mine]) < 2
        assert np.ptp([float(row["mean_hu"]) for row in mine]) < 0.5


def test_slices_and_pixels_that_are_not_square_are_built_from_the_ct_itself(square_scan, tmp_path, capsys):
    whole, _ = square_scan
    narrow = whole.ijk_to_ras.copy()
    narrow[:3, 3] += 20 * narrow[:3, 0]
    scan = Scan(whole.hu[:, :, 20:160], whole.labels[:, :, 20:160], narrow)
    wide = Scan(scan.hu[:, :, ::2], scan.labels[:, :, ::2], scan.ijk_to_ras @ np.diag([2.0, 1, 1, 1]))
    write_verse(tmp_path / "verse", wide)
    ct, _ = write_verse(tmp_path / "verse", scan, "sub-verse501")
    dataset = tmp_path / "set"
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", dataset)[0] == 0
    assert (dataset / read_manifest(dataset / "subjects.csv")[1].ct).resolve() == ct.resolve()
    assert run_dataset(capsys, "build", dataset)[0] == 0
    data = DataSet(dataset)
    for level in LEVELS:
        areas = []
        for name in ("verse500", "verse501"):
            place = data.slice_index(name, level)
            coverage = data.slices.read([place])[1][0]
            areas.append((coverage > 127).sum() * data.slices.records[place].pixel_mm ** 2)
        assert areas[0] == pytest.approx(areas[1], rel=0.15)


def test_totalsegmentator_one_file_per_class_and_label_maps_are_the_same(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    folder = tmp_path / "total"
    for name in ("s0001", "s0002", "s0003", "s0004"):
        write_volume(scan.hu, scan.ijk_to_ras, folder / name / "ct.nii.gz")
    for vertebra, label in (("T12", 19), ("L1", 20), ("L2", 21), ("L3", 22)):
        part = (scan.labels == label).astype(np.uint8)
        write_volume(part, scan.ijk_to_ras, folder / "s0001" / "segmentations" / f"vertebrae_{vertebra}.nii.gz")
    for name, first in (("s0002", 31), ("s0003", 22)):  # L1 in version 2 and in version 1
        numbered = np.where((scan.labels >= 8) & (scan.labels <= 24), first + 20 - scan.labels, 0).astype(np.uint8)
        write_volume(numbered, scan.ijk_to_ras, folder / name / "vertebrae.nii.gz")
    (folder / "s0004" / "segmentations").mkdir()
    header = (
        "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location"
    )
    (folder / "meta.csv").write_text(f"{header}\ns0001;64;f;A;ct;test;SIEMENS;X;120;;\n", encoding="utf-8")
    dataset = tmp_path / "set"
    code, said = run_dataset(capsys, "import-totalsegmentator", folder, "-o", dataset, "--keep-split", "--bmd-from-hu")
    assert code == 0, said.err
    assert "3 subjects, 3 with L1 and L2" in said.out
    assert "not usable: 1 scans, such as s0004: s0004 has neither" in said.out
    rows = report_rows(dataset)
    for level in LEVELS:
        assert len({(row["z_mm"], row["area_mm2"]) for row in rows if row["level"] == level}) == 1
    subject = read_manifest(dataset / "subjects.csv")[0]
    assert (subject.sex, subject.kvp, subject.scanner) == ("F", 120, "SIEMENS X")
    assert subject.method == importing.BMD_FROM_HU
    assert 20 < subject.bmd_l1 < 250
    assert json.loads((dataset / "splits/public-bmd.json").read_text())["parts"]["test"] == ["s0001"]
    sources = json.loads((dataset / "sources.json").read_text(encoding="utf-8"))
    assert sources["collection"]["licence"] == "CC BY 4.0"
    code, said = run_dataset(
        capsys, "import-totalsegmentator", folder, "-o", tmp_path / "v1", "--labels", "vertebrae.nii.gz",
        "--numbering", "v1",
    )  # fmt: skip
    assert code == 0, said.err
    assert {row["scan"] for row in report_rows(tmp_path / "v1") if row["outcome"] == "accepted"} >= {"s0003"}


def test_ctspine1k(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    folder, dataset = tmp_path / "spine", tmp_path / "set"
    write_volume(scan.hu, scan.ijk_to_ras, folder / "raw_data/volumes/MSD-T10/liver_0.nii.gz")
    write_volume(scan.labels.astype(np.float32), scan.ijk_to_ras, folder / "raw_data/labels/MSD-T10/liver_0_seg.nii.gz")
    (folder / "data_split.txt").write_text("trainset:\nliver_0.nii.gz\n", encoding="utf-8")
    code, said = run_dataset(capsys, "import-ctspine1k", folder, "-o", dataset, "--keep-split")
    assert code == 0, said.err
    assert "CC BY-NC-SA" in said.out
    assert json.loads((dataset / "splits/public.json").read_text())["parts"]["training"] == ["liver_0"]
    assert report_rows(dataset)[0]["notes"].startswith("The CT is from MSD-T10.")
    assert run_dataset(capsys, "build", dataset)[0] == 0


def test_one_series_of_each_subject(square_scan, tmp_path, capsys):
    scan, _ = square_scan
    cut = np.where(scan.labels == 21, 0, scan.labels)
    write_verse(tmp_path / "verse", scan, "sub-verse414_split-verse261", labels=cut)
    write_verse(tmp_path / "verse", scan, "sub-verse414_split-verse262")
    write_verse(tmp_path / "verse", scan, "sub-verse414_split-verse263")
    dataset = tmp_path / "set"
    assert run_dataset(capsys, "import-verse", tmp_path / "verse", "-o", dataset, "--workers", "2")[0] == 0
    (subject,) = read_manifest(dataset / "subjects.csv")
    assert subject.subject == "verse414"
    assert [path.name for path in (dataset / "masks").iterdir()] == ["verse414_split-verse262.seg.nrrd"]
    reasons = _reasons(dataset)
    assert reasons["verse414_split-verse261", "L2"] == "L2 is not labelled."
    assert "Another series" in reasons["verse414_split-verse263", "L1"]


def test_an_import_that_was_stopped_goes_on(square_scan, tmp_path, capsys, monkeypatch):
    scan, _ = square_scan
    for name in ("sub-verse500", "sub-verse501"):
        write_verse(tmp_path / "verse", scan, name)
    outlined, real = [], importing.import_case

    def stopping(case, dataset, options):
        if len(outlined) == 1:
            outlined.append("stop")
            raise KeyboardInterrupt
        outlined.append(case.name)
        return real(case, dataset, options)

    monkeypatch.setattr(importing, "import_case", stopping)
    arguments = ("import-verse", tmp_path / "verse", "-o", tmp_path / "set")
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        run_dataset(capsys, *arguments)
    assert not (tmp_path / "set" / "subjects.csv").exists()
    assert run_dataset(capsys, *arguments)[0] == 0
    assert outlined == ["verse500", "stop", "verse501"]
    assert len(read_manifest(tmp_path / "set" / "subjects.csv")) == 2


# -- real CT


def test_totalsegmentators_example(shared_data, tmp_path, capsys):
    """Its centre slices are those of its README, its outlines those of its body masks less their cortex."""
    folder = shared_data / "totalsegmentator-example"
    dataset = tmp_path / "set"
    code, said = run_dataset(capsys, "import-totalsegmentator", folder, "-o", dataset)
    assert code == 0, said.err
    assert run_dataset(capsys, "build", dataset)[0] == 0
    ct = open_ct(folder / "ct.nii.gz")
    (subject,) = read_manifest(dataset / "subjects.csv")
    assert [ct.geometry.nearest_slice(z) for z in (subject.l1_z_mm, subject.l2_z_mm)] == [97, 86]
    outlines = read_vertebrae(dataset / subject.masks, LEVELS)
    for case in body_mask_cases(folder):
        if (case.level, case.k) in (("L1", 97), ("L2", 86)):
            mine, its = outlines[case.level].coverage_on(ct.geometry, case.k) > 0.5, case.truth > 0.5
            assert 2 * (mine & its).sum() / (mine.sum() + its.sum()) > 0.93
    rows = {row["level"]: row for row in report_rows(dataset)}
    # One pixel inside the body mask, README: 93 HU on slice 97, 106 on slice 86.
    assert float(rows["L1"]["mean_hu"]) == pytest.approx(93, abs=8)
    assert float(rows["L2"]["mean_hu"]) == pytest.approx(106, abs=8)
    assert (dataset / subject.ct).resolve() == (folder / "ct.nii.gz").resolve()

    # As the data set itself is laid out: a file for each class.
    scan = tmp_path / "dataset" / "s0000"
    (scan / "segmentations").mkdir(parents=True)
    shutil.copyfile(folder / "ct.nii.gz", scan / "ct.nii.gz")
    labels = sitk.ReadImage(str(folder / "vertebrae.nii.gz"))
    for name, value in (("L2", 30), ("L1", 31), ("T12", 32)):
        sitk.WriteImage(labels == value, str(scan / "segmentations" / f"vertebrae_{name}.nii.gz"))
    assert run_dataset(capsys, "import-totalsegmentator", scan.parent, "-o", tmp_path / "again")[0] == 0
    again = {row["level"]: row for row in report_rows(tmp_path / "again")}
    for level in LEVELS:
        assert (again[level]["z_mm"], again[level]["mean_hu"]) == (rows[level]["z_mm"], rows[level]["mean_hu"])
