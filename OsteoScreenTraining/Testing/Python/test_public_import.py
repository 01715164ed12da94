"""Importing public collections at the command line, from small folders of their structure: simulated trunks."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import ct_from_array, open_ct
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.levels import VertebraMask, read_vertebrae
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.datasets.inclusion import exclusion
from OsteoScreenTrainingLib.datasets.manifest import read_manifest
from OsteoScreenTrainingLib.datasets.public import importing
from OsteoScreenTrainingLib.datasets.public.labels import VERSE, GuessedFile, NumberedFile, read_labels
from OsteoScreenTrainingLib.datasets.public.outlining import outline_levels
from OsteoScreenTrainingLib.datasets.splits import load_split
from OsteoScreenTrainingLib.evaluation.cases import body_mask_cases
from OsteoScreenTrainingLib.simulation.trunk3d.levels import BODY_LABELS, POSTERIOR_LABEL
from OsteoScreenTrainingLib.simulation.trunk3d.simulate import simulate_trunk

_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Scan:
    """A simulated scan with whole vertebrae in VerSe's numbering: (slices, rows, columns), and (4, 4) to RAS mm."""

    hu: np.ndarray
    labels: np.ndarray
    ijk_to_ras: np.ndarray


def _simulated(index):
    trunk = simulate_trunk(11, index, spacing_mm=(3.0, 1.6, 1.6), region="abdomen", usual=True)
    labels = np.zeros_like(trunk.labels)
    for name, value in BODY_LABELS.items():
        if name != "S1":
            labels[(trunk.labels == value) | (trunk.labels == POSTERIOR_LABEL + value)] = value
    return Scan(trunk.hu, labels, trunk.ijk_to_ras), trunk.truth


@pytest.fixture(scope="module")
def square():
    """Return an unenhanced scan whose slices are square, and its truth."""
    return _simulated(6)


@pytest.fixture(scope="module")
def oblong():
    """Return one whose slices are not."""
    return _simulated(2)


def _write(array, ijk_to_ras, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_LPS @ (ijk_to_ras[:3, :3] / spacing)).ravel().tolist())
    image.SetOrigin((_LPS @ ijk_to_ras[:3, 3]).tolist())
    sitk.WriteImage(image, str(path), True)
    return path


def _turned(path, order, flips=(False, False, False)):
    """Write a volume again with its axes in another order: the same scan, stored otherwise."""
    image = sitk.Flip(sitk.PermuteAxes(sitk.ReadImage(str(path)), order), flips)
    sitk.WriteImage(image, str(path), True)


def _verse(folder, scan, name="sub-verse500", part="01_training", labels=None):
    subject = name.split("_")[0]
    ct = _write(scan.hu, scan.ijk_to_ras, folder / part / "rawdata" / subject / f"{name}_ct.nii.gz")
    drawn = scan.labels if labels is None else labels
    mask = folder / part / "derivatives" / subject / f"{name}_seg-vert_msk.nii.gz"
    return ct, _write(drawn, scan.ijk_to_ras, mask)


def _run(capsys, *arguments):
    code = main(["dataset", *map(str, arguments)])
    return code, capsys.readouterr()


def _rows(dataset):
    with open(dataset / "import.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _reasons(dataset):
    return {(row["scan"], row["level"]): row["reason"] for row in _rows(dataset)}


# -- the way through


def test_verse_to_a_data_set_that_trains_both_networks(square, tmp_path, capsys, tiny_config, tiny_classification):
    scan, _ = square
    folder, dataset = tmp_path / "verse", tmp_path / "set"
    lines = ["participant_id\tage\tsex\tBMD\tmanufacturer"]
    ct, mask = _verse(folder, scan)
    for number in range(1, 8):
        part = ("01_training", "02_validation")[number % 2]
        for source, kind, ending in ((ct, "rawdata", "_ct"), (mask, "derivatives", "_seg-vert_msk")):
            target = folder / part / kind / f"sub-verse50{number}" / f"sub-verse50{number}{ending}.nii.gz"
            target.parent.mkdir(parents=True)
            shutil.copyfile(source, target)
        lines.append(f"sub-verse50{number}\t6{number}\tF\t{(40, 100, 190)[number % 3]}.5\tPhilips")
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, said = _run(capsys, "import-verse", folder, "-o", dataset, "--keep-split", "--kvp", "120")
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

    code, said = _run(capsys, "build", dataset)
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


def test_the_levels_and_outlines_are_where_the_truth_is(square, tmp_path, capsys):
    scan, truth = square
    _verse(tmp_path / "verse", scan)
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")[0] == 0
    (subject,) = read_manifest(tmp_path / "set" / "subjects.csv")
    outlines = read_vertebrae(tmp_path / "set" / subject.masks, LEVELS)
    for level, z_mm in (("L1", subject.l1_z_mm), ("L2", subject.l2_z_mm)):
        place = np.array(truth.vertebra(level).centre)
        assert abs(z_mm - place[2]) <= 3.0
        drawn = np.argwhere(outlines[level].mask)
        found = outlines[level].geometry.ras(*drawn.mean(axis=0)[::-1])
        assert np.hypot(*(found - place)[:2]) < 4.0
    for row in _rows(tmp_path / "set"):
        assert row["outcome"] == "accepted"
        assert 500 < float(row["area_mm2"]) < 1800
        assert 15 < float(row["height_mm"]) < 35


def test_every_storage_order_gives_the_same(square, tmp_path, capsys):
    scan, _ = square
    for name, order, flips in (
        ("sub-verse501", None, None),
        ("sub-verse502_dir-sag", (1, 2, 0), (False, True, False)),
        ("sub-verse503_dir-cor", (0, 2, 1), (True, False, True)),
    ):
        files = _verse(tmp_path / "verse", scan, name)
        for file in files if order else ():
            _turned(file, order, flips)
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")[0] == 0
    rows = _rows(tmp_path / "set")
    for level in LEVELS:
        mine = [row for row in rows if row["level"] == level]
        assert len({row["scan"] for row in mine}) == 3
        assert np.ptp([float(row["z_mm"]) for row in mine]) < 0.01
        assert np.ptp([float(row["area_mm2"]) for row in mine]) < 2
        assert np.ptp([float(row["mean_hu"]) for row in mine]) < 0.5


def test_slices_and_pixels_that_are_not_square_are_built_from_the_ct_itself(oblong, tmp_path, capsys):
    scan, _ = oblong
    assert scan.hu.shape[1] != scan.hu.shape[2]
    wide = Scan(scan.hu[:, :, ::2], scan.labels[:, :, ::2], scan.ijk_to_ras @ np.diag([2.0, 1, 1, 1]))
    _verse(tmp_path / "verse", wide)
    ct, _ = _verse(tmp_path / "verse", scan, "sub-verse501")
    dataset = tmp_path / "set"
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", dataset)[0] == 0
    assert (dataset / read_manifest(dataset / "subjects.csv")[1].ct).resolve() == ct.resolve()
    assert _run(capsys, "build", dataset)[0] == 0
    data = DataSet(dataset)
    for level in LEVELS:
        areas = []
        for name in ("verse500", "verse501"):
            place = data.slice_index(name, level)
            coverage = data.slices.read([place])[1][0]
            areas.append((coverage > 127).sum() * data.slices.records[place].pixel_mm ** 2)
        assert areas[0] == pytest.approx(areas[1], rel=0.15)


def test_totalsegmentator_one_file_per_class_and_label_maps_are_the_same(square, tmp_path, capsys):
    scan, _ = square
    folder = tmp_path / "total"
    for name in ("s0001", "s0002", "s0003", "s0004"):
        _write(scan.hu, scan.ijk_to_ras, folder / name / "ct.nii.gz")
    for vertebra, label in (("T12", 19), ("L1", 20), ("L2", 21), ("L3", 22)):
        part = (scan.labels == label).astype(np.uint8)
        _write(part, scan.ijk_to_ras, folder / "s0001" / "segmentations" / f"vertebrae_{vertebra}.nii.gz")
    for name, first in (("s0002", 31), ("s0003", 22)):  # L1 in version 2 and in version 1
        numbered = np.where((scan.labels >= 8) & (scan.labels <= 24), first + 20 - scan.labels, 0).astype(np.uint8)
        _write(numbered, scan.ijk_to_ras, folder / name / "vertebrae.nii.gz")
    (folder / "s0004" / "segmentations").mkdir()
    header = (
        "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location"
    )
    (folder / "meta.csv").write_text(f"{header}\ns0001;64;f;A;ct;test;SIEMENS;X;120;;\n", encoding="utf-8")
    dataset = tmp_path / "set"
    code, said = _run(capsys, "import-totalsegmentator", folder, "-o", dataset, "--keep-split", "--bmd-from-hu")
    assert code == 0, said.err
    assert "3 subjects, 3 with L1 and L2" in said.out
    assert "not usable: 1 scans, such as s0004: s0004 has neither" in said.out
    rows = _rows(dataset)
    for level in LEVELS:
        assert len({(row["z_mm"], row["area_mm2"]) for row in rows if row["level"] == level}) == 1
    subject = read_manifest(dataset / "subjects.csv")[0]
    assert (subject.sex, subject.kvp, subject.scanner) == ("F", 120, "SIEMENS X")
    assert subject.method == importing.BMD_FROM_HU
    assert 20 < subject.bmd_l1 < 250
    assert json.loads((dataset / "splits/public-bmd.json").read_text())["parts"]["test"] == ["s0001"]
    sources = json.loads((dataset / "sources.json").read_text(encoding="utf-8"))
    assert sources["collection"]["licence"] == "CC BY 4.0"
    code, said = _run(
        capsys, "import-totalsegmentator", folder, "-o", tmp_path / "v1", "--labels", "vertebrae.nii.gz",
        "--numbering", "v1",
    )  # fmt: skip
    assert code == 0, said.err
    assert {row["scan"] for row in _rows(tmp_path / "v1") if row["outcome"] == "accepted"} >= {"s0003"}


def test_ctspine1k(square, tmp_path, capsys):
    scan, _ = square
    folder, dataset = tmp_path / "spine", tmp_path / "set"
    _write(scan.hu, scan.ijk_to_ras, folder / "raw_data/volumes/MSD-T10/liver_0.nii.gz")
    _write(scan.labels.astype(np.float32), scan.ijk_to_ras, folder / "raw_data/labels/MSD-T10/liver_0_seg.nii.gz")
    (folder / "data_split.txt").write_text("trainset:\nliver_0.nii.gz\n", encoding="utf-8")
    code, said = _run(capsys, "import-ctspine1k", folder, "-o", dataset, "--keep-split")
    assert code == 0, said.err
    assert "CC BY-NC-SA" in said.out
    assert json.loads((dataset / "splits/public.json").read_text())["parts"]["training"] == ["liver_0"]
    assert _rows(dataset)[0]["notes"].startswith("The CT is from MSD-T10.")
    assert _run(capsys, "build", dataset)[0] == 0


def test_one_series_of_each_subject(square, tmp_path, capsys):
    scan, _ = square
    cut = np.where(scan.labels == 21, 0, scan.labels)
    _verse(tmp_path / "verse", scan, "sub-verse414_split-verse261", labels=cut)
    _verse(tmp_path / "verse", scan, "sub-verse414_split-verse262")
    _verse(tmp_path / "verse", scan, "sub-verse414_split-verse263")
    dataset = tmp_path / "set"
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", dataset, "--workers", "2")[0] == 0
    (subject,) = read_manifest(dataset / "subjects.csv")
    assert subject.subject == "verse414"
    assert [path.name for path in (dataset / "masks").iterdir()] == ["verse414_split-verse262.seg.nrrd"]
    reasons = _reasons(dataset)
    assert reasons["verse414_split-verse261", "L2"] == "L2 is not labelled."
    assert "Another series" in reasons["verse414_split-verse263", "L1"]


def test_an_import_that_was_stopped_goes_on(square, tmp_path, capsys, monkeypatch):
    scan, _ = square
    for name in ("sub-verse500", "sub-verse501"):
        _verse(tmp_path / "verse", scan, name)
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
        _run(capsys, *arguments)
    assert not (tmp_path / "set" / "subjects.csv").exists()
    assert _run(capsys, *arguments)[0] == 0
    assert outlined == ["verse500", "stop", "verse501"]
    assert len(read_manifest(tmp_path / "set" / "subjects.csv")) == 2


# -- what is rejected, and why


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


def test_reasons_for_rejecting_a_level(square):
    scan, _ = square
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


def test_a_vertebra_at_the_scans_end_is_cut(square):
    scan, _ = square
    k = _slice_of(scan, 20)
    upwards = scan.ijk_to_ras[2, 2] > 0
    part = slice(0, k) if upwards else slice(k, None)
    matrix = scan.ijk_to_ras.copy()
    matrix[:3, 3] += 0 if upwards else k * matrix[:3, 2]
    found = _levels(Scan(scan.hu[part], scan.labels[part], matrix))
    assert "cuts L1" in found["L1"].reason
    assert found["L2"].reason == ""


def test_a_field_of_view_that_cuts_the_body(square):
    scan, _ = square
    fine = _levels(scan)["L1"]
    column = int(np.nonzero(fine.mask)[1].mean())
    left = Scan(scan.hu[:, :, :column], scan.labels[:, :, :column], scan.ijk_to_ras)
    assert _levels(left)["L1"].reason


def test_thick_slices_have_no_centre_slice(square):
    scan, _ = square
    thick = Scan(scan.hu[::2], scan.labels[::2], scan.ijk_to_ras @ np.diag([1.0, 1, 2, 1]))
    assert "The slices are 6.0 mm apart" in _levels(thick)["L1"].reason


def test_transitional_vertebrae_are_noted(square, tmp_path, capsys):
    scan, _ = square
    odd = scan.labels.copy()
    odd[scan.labels == 19] = 28
    _verse(tmp_path / "verse", scan, labels=odd)
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")[0] == 0
    notes = _rows(tmp_path / "set")[0]["notes"]
    assert "A 13th thoracic vertebra is labelled above L1." in notes
    assert "There is no T12 between T11 and L1" in notes


def test_contrast_medium_is_noted_and_gets_no_bmd_from_hu(tmp_path, capsys):
    scan, truth = _simulated(0)
    assert truth.conditions["phase"] == "arterial"
    _verse(tmp_path / "verse", scan)
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set", "--bmd-from-hu")[0] == 0
    rows = _rows(tmp_path / "set")
    # At L2 this subject's aorta is 13 mm wide, and a loop of bowel lies beside it.
    assert {row["level"]: row["aorta"] for row in rows} == {"L1": "refuse", "L2": "refuse"}
    assert "so bone reads too dense" in rows[0]["notes"]
    assert read_manifest(tmp_path / "set" / "subjects.csv")[0].bmd is None


# -- files that are wrong


def test_files_that_are_wrong_are_reasons_and_the_others_go_on(square, tmp_path, capsys):
    scan, _ = square
    folder, dataset = tmp_path / "verse", tmp_path / "set"
    _verse(folder, scan, "sub-verse500")
    _, mask = _verse(folder, scan, "sub-verse501")
    mask.write_bytes(mask.read_bytes()[:2000])
    ct, _ = _verse(folder, scan, "sub-verse502")
    ct.write_bytes(ct.read_bytes()[:-2000])
    _verse(folder, scan, "sub-verse503", labels=np.stack([scan.hu], axis=0)[0])
    _, mask = _verse(folder, scan, "sub-verse504")
    twice = sitk.JoinSeries([sitk.ReadImage(str(mask))] * 2)
    sitk.WriteImage(twice, str(mask))
    _verse(folder, scan, "sub-verse505", labels=np.where(scan.labels > 0, 77, 0).astype(np.uint8))
    _verse(folder, scan, "sub-verse506", labels=np.zeros_like(scan.labels))
    _, mask = _verse(folder, scan, "sub-verse507")
    moved = sitk.ReadImage(str(mask))
    moved.SetOrigin([value + 60 for value in moved.GetOrigin()])
    sitk.WriteImage(moved, str(mask))
    ct, _ = _verse(folder, scan, "sub-verse508")
    ct.write_bytes(b"")
    ct, mask = _verse(folder, scan, "sub-verse509")
    centroids = mask.with_name("sub-verse509_seg-subreg_ctd.json")
    entries = [{"direction": ["L", "P", "S"]}, {"label": 20, "X": 5, "Y": 5, "Z": 5}]
    centroids.write_text(json.dumps(entries), encoding="utf-8")
    code, said = _run(capsys, "import-verse", folder, "-o", dataset)
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


def test_nothing_usable_is_an_error(square, tmp_path, capsys):
    scan, _ = square
    empty = tmp_path / "empty"
    empty.mkdir()
    for command in ("import-verse", "import-totalsegmentator", "import-ctspine1k"):
        code, said = _run(capsys, command, empty, "-o", tmp_path / "set")
        assert code == 4
        assert "No scan of " in said.err
        code, said = _run(capsys, command, tmp_path / "missing", "-o", tmp_path / "set")
        assert code == 2
        assert "There is no folder" in said.err
    _verse(tmp_path / "verse", scan, labels=np.where(scan.labels == 19, 19, 0))
    code, said = _run(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "set")
    assert code == 4
    assert "No level of 1 scans could be outlined; the first reason: L1 is not labelled." in said.err
    assert not (tmp_path / "set" / "subjects.csv").exists()


def test_a_data_set_is_not_overwritten_and_options_are_checked(square, tmp_path, capsys):
    scan, _ = square
    _verse(tmp_path / "verse", scan)
    arguments = ("import-verse", tmp_path / "verse", "-o", tmp_path / "set")
    assert _run(capsys, *arguments, "--kvp", "12")[0] == 2
    assert _run(capsys, *arguments, "--workers", "0")[0] == 2
    assert _run(capsys, *arguments)[0] == 0
    code, said = _run(capsys, *arguments)
    assert code == 2
    assert "holds a data set already" in said.err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert _run(capsys, "import-verse", tmp_path / "verse", "-o", tmp_path / "file" / "set")[0] == 4


def test_labels_with_fractions_are_an_image(tmp_path):
    path = _write(np.full((3, 4, 5), 0.5, np.float32), np.eye(4), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="looks like an image"):
        read_labels(path)
    with pytest.raises(InputError, match="looks like an image"):
        NumberedFile(path, VERSE).read(LEVELS)


def test_the_numbering_of_a_label_map_is_told_from_its_geometry(square, tmp_path):
    scan, _ = square
    path = _write(scan.labels, scan.ijk_to_ras, tmp_path / "some.nii.gz")
    assert set(GuessedFile(path).read(LEVELS).masks) == set(LEVELS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        GuessedFile(path).read(LEVELS)


# -- real CT


def test_totalsegmentators_example(shared_data, tmp_path, capsys):
    """Its centre slices are those of its README, its outlines those of its body masks less their cortex."""
    folder = shared_data / "totalsegmentator-example"
    dataset = tmp_path / "set"
    code, said = _run(capsys, "import-totalsegmentator", folder, "-o", dataset)
    assert code == 0, said.err
    assert _run(capsys, "build", dataset)[0] == 0
    ct = open_ct(folder / "ct.nii.gz")
    (subject,) = read_manifest(dataset / "subjects.csv")
    assert [ct.geometry.nearest_slice(z) for z in (subject.l1_z_mm, subject.l2_z_mm)] == [97, 86]
    outlines = read_vertebrae(dataset / subject.masks, LEVELS)
    for case in body_mask_cases(folder):
        if (case.level, case.k) in (("L1", 97), ("L2", 86)):
            mine, its = outlines[case.level].coverage_on(ct.geometry, case.k) > 0.5, case.truth > 0.5
            assert 2 * (mine & its).sum() / (mine.sum() + its.sum()) > 0.93
    rows = {row["level"]: row for row in _rows(dataset)}
    # One pixel inside the body mask, README: 93 HU on slice 97, 106 on slice 86.
    assert float(rows["L1"]["mean_hu"]) == pytest.approx(93, abs=8)
    assert float(rows["L2"]["mean_hu"]) == pytest.approx(106, abs=8)
    assert (dataset / subject.ct).resolve() == (folder / "ct.nii.gz").resolve()
