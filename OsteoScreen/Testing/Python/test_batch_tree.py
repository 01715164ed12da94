"""The studies below a folder: what they are, what is left out and why, and that nothing outside is read or written."""

from __future__ import annotations

import os
import socket
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import body, write_series

from OsteoScreenLib.batch import tree
from OsteoScreenLib.batch.ids import is_study_id
from OsteoScreenLib.batch.sources import read_studies
from OsteoScreenLib.batch.tree import tree_studies
from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.errors import InputError, UsageError

HU = body(3, 34, 33)


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(HU)
    sitk.WriteImage(image, str(path))


def series(folder, study="1.2.3", uid=None, **values):
    return write_series(folder, HU, StudyInstanceUID=study, series=uid, **values)


def found(root, **options):
    """Paths below the root, by id; and what was skipped, by path."""
    skipped = {}

    def tell(one):
        assert one.path not in skipped, "told once"
        assert one.path.isprintable() and one.reason.isprintable() and one.reason.endswith(".")
        skipped[one.path] = one.reason

    studies = list(tree_studies(root, tell=tell, **options))
    assert len({study.id for study in studies}) == len(studies) and all(is_study_id(study.id) for study in studies)
    return {os.path.relpath(study.ct, root): study for study in studies}, skipped


def test_series_folders_and_volumes_are_studies(tmp_path):
    series(tmp_path / "DOE^JANE" / "ct", study="1.2.1")
    series(tmp_path / "ROE^MAX" / "2024" / "thin", study="1.2.2")
    series(tmp_path / "ROE^MAX" / "2024" / "thick", study="1.2.2")
    volume(tmp_path / "volumes" / "a.nii.gz")
    volume(tmp_path / "volumes" / "b.nrrd")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "list.txt").write_text("x")
    studies, skipped = found(tmp_path)
    assert list(studies) == ["DOE^JANE/ct", "ROE^MAX/2024", "volumes/a.nii.gz", "volumes/b.nrrd"]
    assert skipped == {"notes": "It holds no CT (1 files)."}
    for study in studies.values():
        assert open_ct(study.ct, study.series).geometry.shape[0] == 3
        assert "DOE" not in study.id and study.levels_from is None


def test_ids_stay_when_the_tree_moves_and_grows(tmp_path):
    series(tmp_path / "a" / "p1" / "ct", study="1.2.1")
    before, _ = found(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    series(tmp_path / "b" / "p0" / "ct", study="1.2.2")
    series(tmp_path / "b" / "p1" / "later", study="1.2.3")
    after, _ = found(tmp_path / "b")
    assert after["p1/ct"].id == before["p1/ct"].id and len(after) == 3


def test_a_folder_that_mixes_patients_gives_each_with_its_series(tmp_path):
    series(tmp_path / "all", study="1.2.1", uid="1.2.1.1", name=lambda k: f"A{k}")
    series(tmp_path / "all", study="1.2.1", uid="1.2.1.2", name=lambda k: f"B{k}", SliceThickness="5")
    series(tmp_path / "all", study="1.2.2", uid="1.2.2.1", name=lambda k: f"C{k}", edit=other_size)
    studies = list(tree_studies(tmp_path))
    assert [study.series for study in studies] == ["1.2.1.1", "1.2.2.1"]
    assert {open_ct(study.ct, study.series).series_instance_uid for study in studies} == {"1.2.1.1", "1.2.2.1"}


def other_size(dataset, k):
    dataset.PixelSpacing = [0.9, 0.9]


def test_images_beside_folders_of_other_studies_are_not_mixed_with_them(tmp_path):
    series(tmp_path / "p", study="1.2.1", uid="1.2.1.1")
    series(tmp_path / "p" / "old", study="1.2.2", uid="1.2.2.1")
    studies, _ = found(tmp_path)
    assert {path: study.series for path, study in studies.items()} == {"p/old": None, "p": "1.2.1.1"}


def test_a_mixed_folder_above_others_gives_each_study_once(tmp_path):
    series(tmp_path / "p", study="1.2.1", uid="1.2.1.1", name=lambda k: f"A{k}")
    series(tmp_path / "p", study="1.2.2", uid="1.2.2.1", name=lambda k: f"B{k}", edit=other_size)
    for name in "xyz":
        series(tmp_path / "p" / name, study=f"1.2.{ord(name)}", uid=f"1.2.{ord(name)}.1")
    studies = list(tree_studies(tmp_path))
    said = [(os.path.relpath(study.ct, tmp_path), study.series) for study in studies]
    assert sorted(said, key=str) == [
        ("p", "1.2.1.1"), ("p", "1.2.2.1"), ("p/x", None), ("p/y", None), ("p/z", None)
    ]  # fmt: skip


def test_volumes_and_papers_beside_images_do_not_divide_them(tmp_path):
    series(tmp_path / "p", study="1.2.1", uid="1.2.1.1")
    (tmp_path / "p" / "report.pdf").write_bytes(b"%PDF")
    volume(tmp_path / "p" / "converted" / "p.nii.gz")
    studies, skipped = found(tmp_path)
    assert {path: study.series for path, study in studies.items()} == {"p": None, "p/converted/p.nii.gz": None}
    assert skipped == {}


def test_copies_of_a_study_in_folders_of_their_own_are_each_screened_among_others(tmp_path):
    for name, study in (("a", "1.2.1"), ("b", "1.2.1"), ("c", "1.2.2")):
        series(tmp_path / name, study=study)
    assert list(found(tmp_path)[0]) == ["a", "b", "c"]


def test_an_anonymised_archive_without_study_uids_is_one_study_a_folder(tmp_path):
    for name in "ab":
        series(tmp_path / name, study="")
    studies, _ = found(tmp_path)
    assert list(studies) == ["a", "b"]


def test_damaged_images_are_listed_so_that_their_row_says_so(tmp_path):
    for path in series(tmp_path / "a"):
        path.write_bytes(path.read_bytes()[:200])
    studies, _ = found(tmp_path)
    assert list(studies) == ["a"]
    with pytest.raises(InputError):
        open_ct(studies["a"].ct)


def test_scouts_and_reports_alone_are_no_study(tmp_path):
    series(tmp_path / "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    series(tmp_path / "mr", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    studies, skipped = found(tmp_path)
    assert studies == {} and set(skipped) == {"scout", "mr"}


@pytest.mark.parametrize(
    ("pattern", "segmentation"),
    [
        ("{name}_vertebrae.nii.gz", "cts/{}_vertebrae.nii.gz"),
        ("seg/{name}.nrrd", "cts/seg/{}.nrrd"),
        ("{name}.seg.nrrd", "cts/{}.seg.nrrd"),
    ],
)
def test_segmentations_are_found_beside_volumes_and_folders_and_are_no_ct(tmp_path, pattern, segmentation):
    volume(tmp_path / "cts" / "a.nii.gz")
    volume(tmp_path / "cts" / "without.nii.gz")
    series(tmp_path / "cts" / "b", study="1.2.1")
    for name in "ab":
        volume(tmp_path / segmentation.format(name))
    studies, skipped = found(tmp_path, levels_pattern=pattern)
    assert sorted(studies) == ["cts/a.nii.gz", "cts/b", "cts/without.nii.gz"] and skipped == {}
    assert {path: study.has_levels for path, study in studies.items()} == {
        "cts/a.nii.gz": True, "cts/b": True, "cts/without.nii.gz": False,
    }  # fmt: skip
    assert studies["cts/b"].levels_from == str(tmp_path / segmentation.format("b"))


def test_a_segmentation_inside_the_folder_of_images_is_found(tmp_path):
    for name in "ab":
        series(tmp_path / name, study=f"1.2.{ord(name)}")
        volume(tmp_path / name / "vertebrae" / f"{name}.nii.gz")
    studies, _ = found(tmp_path, levels_pattern="vertebrae/{name}.nii.gz")
    assert list(studies) == ["a", "b"] and all(study.has_levels for study in studies.values())


def test_a_segmentation_of_a_folder_of_several_scans_is_nobodys(tmp_path):
    series(tmp_path / "all", study="1.2.1", uid="1.2.1.1", name=lambda k: f"A{k}")
    series(tmp_path / "all", study="1.2.2", uid="1.2.2.1", name=lambda k: f"B{k}", edit=other_size)
    volume(tmp_path / "all.nrrd")
    assert [study.has_levels for study in tree_studies(tmp_path, levels_pattern="{name}.nrrd")] == [False, False]


def test_a_segmentation_of_one_name_is_taken_where_it_can_be_of_one_ct_alone(tmp_path):
    for name in ("s1/ct.nii.gz", "s2/ct.nii.gz", "s2/ct2.nii.gz", "s1/vertebrae.nii.gz", "s2/vertebrae.nii.gz"):
        volume(tmp_path / name)
    for name in ("s3/dicom", "s4/dicom", "s4/other"):
        series(tmp_path / name, study=f"1.2.{ord(name[1])}.{ord(name[3])}")
        volume(tmp_path / name[:2] / "vertebrae.nii.gz")
    studies, _ = found(tmp_path, levels_pattern="vertebrae.nii.gz")
    assert {path: study.has_levels for path, study in studies.items()} == {
        "s1/ct.nii.gz": True, "s2/ct.nii.gz": False, "s2/ct2.nii.gz": False, "s3/dicom": True,
        "s4/dicom": False, "s4/other": False,
    }  # fmt: skip


def test_a_pattern_says_which_volumes_are_ct(tmp_path):
    for name in ("ct.nii.gz", "liver.nii.gz", "x.seg.nrrd"):
        volume(tmp_path / "s1" / name)
    studies, _ = found(tmp_path, ct_pattern="ct.*")
    assert list(studies) == ["s1/ct.nii.gz"]


@pytest.mark.parametrize("pattern", ["../{name}.nii", "/{name}", "a//{name}", "{name}\n", "C:{name}", "..\\{name}"])
def test_a_pattern_that_leads_elsewhere_is_refused(tmp_path, pattern):
    with pytest.raises(UsageError, match="pattern"):
        tree_studies(tmp_path, levels_pattern=pattern)


def test_a_hostile_tree_is_told_of_and_nothing_outside_is_read_or_written(tmp_path, monkeypatch):
    outside, root = tmp_path / "outside", tmp_path / "root"
    series(outside / "ct", study="1.9")
    volume(outside / "secret.nii.gz")
    series(root / "good", study="1.2.1")
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(outside)
    (root / "out.nii.gz").symlink_to(outside / "secret.nii.gz")
    (root / "round").symlink_to(root / "round")
    (root / "device").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.nii.gz")
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(root)  # the path of a socket is short
    server.bind("plug.nii")
    with zipfile.ZipFile(root / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(1 << 24))
    series(root / "links", study="1.2.2")
    (root / "links" / "IM0009").symlink_to(outside / "ct" / "IM0000")
    for name in ("a\x1b[2J", "b\u202egpj", "new\nline"):
        series(root / name, study="1.2.4")
    try:
        volume(outside / "x.nrrd")
        os.rename(outside / "x.nrrd", os.fsencode(root) + b"/\xff\xfe.nrrd")
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    deep = root
    for n in range(80):
        deep = deep / f"d{n}"
    volume(deep / "deep.nrrd")
    before = seen(tmp_path)
    studies, skipped = found(root)
    server.close()
    assert list(studies) == ["good", "links"]
    assert seen(tmp_path) == before
    for name in ("loop", "out", "out.nii.gz", "round", "device", "links/IM0009"):
        assert "link" in skipped[name]
    assert "neither a file nor a folder" in skipped["pipe.nii.gz"] and "packed" in skipped["bomb.zip"]
    assert "neither a file nor a folder" in skipped["plug.nii"]
    assert sum("cannot be shown" in reason for reason in skipped.values()) == 4
    assert sum("deeper" in reason for reason in skipped.values()) == 1
    # And the reader of what was found keeps to its folder.
    ct = open_ct(studies["links"].ct)
    assert ct.geometry.shape[0] == 3 and all(path.is_relative_to(root) for path in ct.files)


def seen(folder):
    """When everything was last changed, and opened where the file system says so."""
    every = sorted(folder.rglob("*"))
    return [(path, path.lstat().st_mtime_ns, path.lstat().st_size) for path in every]


def test_files_are_opened_inside_the_tree_alone(tmp_path, monkeypatch):
    root, outside = tmp_path / "root", tmp_path / "outside"
    paths = series(root / "a")
    series(outside, study="1.9")
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: (opened.append(str(path)), real(path, *rest))[1])
    # In the moment between the listing and the opening, an image becomes a link out of the tree.
    listing = tree._Walk._listing

    def swapped(walk, folder, depth):
        result = listing(walk, folder, depth)
        if folder.name == "a" and not paths[0].is_symlink():
            paths[0].unlink()
            paths[0].symlink_to(outside / "IM0000")
        return result

    monkeypatch.setattr(tree._Walk, "_listing", swapped)
    (study,) = tree_studies(root)
    assert study.ct == str(root / "a")
    assert opened and all(path.startswith(str(root)) for path in opened)


def test_a_folder_that_may_not_be_read_is_told(tmp_path):
    series(tmp_path / "a")
    (tmp_path / "b").mkdir(mode=0)
    if os.access(tmp_path / "b", os.R_OK):
        pytest.skip("this user may read everything")
    studies, skipped = found(tmp_path)
    assert list(studies) == ["a"] and "permission denied" in skipped["b"]


def test_the_output_folder_inside_the_tree_is_left_alone(tmp_path):
    volume(tmp_path / "a.nrrd")
    volume(tmp_path / "out" / "set-1" / "x" / "b.nrrd")
    studies, skipped = found(tmp_path, leave_out=[tmp_path / "out"])
    assert list(studies) == ["a.nrrd"] and skipped == {}


def test_a_root_that_is_none(tmp_path):
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(InputError):
            tree_studies(root)


def test_one_word_says_what_the_batch_is_given(tmp_path):
    volume(tmp_path / "tree" / "a.nrrd")
    (tmp_path / "tree" / "b.zip").write_bytes(b"PK")
    (tmp_path / "list.csv").write_text("ct,other\ntree/a.nrrd,x\n")
    told = []
    (of_tree,) = read_studies(str(tmp_path / "tree"), tell=told.append)
    (of_list,) = read_studies(str(tmp_path / "list.csv"), tell=told.append)
    assert of_tree.ct == of_list.ct == str(tmp_path / "tree" / "a.nrrd")
    assert told[0] == "Left out: b.zip. It is packed; unpack it first." and "'other'" in told[1]
    np.testing.assert_array_equal(open_ct(of_tree.ct).volume(), np.maximum(HU, -1024)[:, ::1, ::1].astype(np.float32))
    with pytest.raises(UsageError, match="not there"):
        read_studies(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="Patterns"):
        read_studies(str(tmp_path / "list.csv"), levels_pattern="{name}.nrrd")


@pytest.mark.parametrize(
    "query",
    ["dicomweb:", "dicomweb:?Modality=CT", "dicomweb:x?PatientName=A", "dicomweb:x?nonsense", "dicomweb:x/studies/1.2"],
)
def test_a_query_that_cannot_be_is_one_sentence(query):
    with pytest.raises(UsageError):
        read_studies(query)
