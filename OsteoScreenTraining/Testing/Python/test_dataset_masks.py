"""A data set is built from the masks that real tools write: Slicer, label maps, DICOM SEG, and several files."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import open_ct
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import Subject, write_manifest
from Testing.Python.drawn_ct import CENTRE, HALF_MM, PIXEL_MM, PLACES, SIDE, SLICES, write_ct

#: Labels of L1 and L2 in public numberings.
VERSE, TOTAL = (20, 21), (31, 30)
CODES = {"L1": "66794005", "L2": "14293000"}


def _labels(values=(1, 2), thick=4):
    """Return the bodies as a label map (slices, rows, columns), each a few slices thick."""
    labels = np.zeros((SLICES, SIDE, SIDE), np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for value, (level, k) in zip(values, PLACES.items(), strict=True):
        column, row = CENTRE[level]
        inside = np.hypot((x - column) * PIXEL_MM / HALF_MM[0], (y - row) * PIXEL_MM / HALF_MM[1]) < 1
        labels[max(k - thick, 0) : k + thick + 1][:, inside] = value
    return labels


def _write(path, labels, like, fields=()):
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(sitk.ReadImage(str(like)))
    for key, value in fields:
        image.SetMetaData(key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path.name


def _slicer(folder, like, named):
    fields = []
    for n, (level, code) in enumerate(CODES.items()):
        fields += [
            (f"Segment{n}_ID", f"Segment_{n}"),
            (f"Segment{n}_Name", level if named else f"Segment_{n}"),
            (f"Segment{n}_LabelValue", str(n + 1)),
            (f"Segment{n}_Layer", "0"),
        ]
        if not named:
            fields.append(
                (f"Segment{n}_Tags", f"TerminologyEntry:Segmentation~SCT^123037004^A~SCT^{code}^V~^^~x~^^~^^|")
            )
    return _write(folder / "m.seg.nrrd", _labels(), like, fields)


def _one_each(folder, like, suffix=".nii.gz"):
    return [
        _write(folder / f"vertebrae_{level}{suffix}", (_labels() == n + 1).astype(np.uint8), like)
        for n, level in enumerate(PLACES)
    ]


def _folder_of_files(folder, like):
    _one_each(folder / "seg", like)
    return "seg"


def _dicom_seg(folder, like):
    """Write the bodies as a DICOM SEG, a frame for each slice that a segment is on."""
    image = sitk.ReadImage(str(like))
    labels = _labels()
    frames, items = [], []
    for number in (1, 2):
        for k in np.flatnonzero((labels == number).any(axis=(1, 2))):
            frames.append(labels[k] == number)
            items.append(_frame(number, image.TransformIndexToPhysicalPoint((0, 0, int(k)))))
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", generate_uid()
    dataset.Modality, dataset.SegmentationType = "SEG", "BINARY"
    dataset.Rows = dataset.Columns = SIDE
    dataset.NumberOfFrames, dataset.SamplesPerPixel = len(frames), 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.SegmentSequence = Sequence([_segment(n + 1, level) for n, level in enumerate(PLACES)])
    shared = Dataset()
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [PIXEL_MM, PIXEL_MM], 2.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(items)
    dataset.PixelData = pack_bits(np.array(frames).astype(np.uint8).ravel())
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(folder / "seg.dcm", dataset, enforce_file_format=True)
    return "seg.dcm"


def _frame(number, position):
    place, segment, item = Dataset(), Dataset(), Dataset()
    place.ImagePositionPatient = [float(f"{value:.6f}") for value in position]
    segment.ReferencedSegmentNumber = number
    item.PlanePositionSequence, item.SegmentIdentificationSequence = Sequence([place]), Sequence([segment])
    return item


def _segment(number, level):
    code, segment = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = CODES[level], "SCT", f"{level} vertebra"
    segment.SegmentNumber, segment.SegmentLabel = number, f"Segment {number}"
    segment.SegmentedPropertyTypeCodeSequence = Sequence([code])
    return segment


KINDS = {
    "Slicer, by name": lambda f, like: _slicer(f, like, named=True),
    "Slicer, by code": lambda f, like: _slicer(f, like, named=False),
    "NIfTI, VerSe": lambda f, like: _write(f / "seg-vert_msk.nii.gz", _labels(VERSE), like),
    "NIfTI, TotalSegmentator": lambda f, like: _write(f / "a.nii.gz", _labels(TOTAL), like),
    "NRRD label map": lambda f, like: _write(f / "a.nrrd", _labels(TOTAL), like),
    "MetaImage": lambda f, like: _write(f / "a.mha", _labels(TOTAL), like),
    "DICOM SEG": _dicom_seg,
    "a folder of files": _folder_of_files,
    "a list of files": lambda f, like: "; ".join(_one_each(f, like)),
    "a list of NRRD": lambda f, like: ";".join(_one_each(f, like, ".nrrd")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_built_from(tmp_path, capsys, kind):
    write_ct(tmp_path / "ct.nrrd")
    masks = KINDS[kind](tmp_path, tmp_path / "ct.nrrd")
    code, data = _build(tmp_path, masks)
    assert code == 0, capsys.readouterr().err
    truth = _labels()
    for n, (level, k) in enumerate(PLACES.items()):
        drawn = data.slices.read([data.slice_index("P1", level)])[1][0] > 127
        shrunk = drawn[np.ix_(*[(np.arange(SIDE) * 512 // SIDE + 1)] * 2)]
        assert (shrunk != (truth[k] == n + 1)).sum() < 25
    assert main(["dataset", "check", str(tmp_path)]) == 0


def _build(folder, masks):
    ct = open_ct(folder / "ct.nrrd")
    heights = {f"{level.lower()}_z_mm": ct.geometry.slice_z(k) for level, k in PLACES.items()}
    known = {"age_years": 60.0, "sex": "F", "kvp": 120.0}
    write_manifest([Subject("P1", ct="ct.nrrd", masks=masks, **heights, **known)], folder / "subjects.csv")
    code = main(["dataset", "build", str(folder)])
    return code, DataSet(folder) if code == 0 else None


def test_a_list_that_cannot_be_meant_is_told(tmp_path, capsys):
    like = tmp_path / "ct.nrrd"
    write_ct(like)
    both = _one_each(tmp_path, like)
    twice = _write(tmp_path / "other_L1.nii.gz", (_labels() == 1).astype(np.uint8), like)
    empty = _write(tmp_path / "empty_L2.nii.gz", np.zeros((SLICES, SIDE, SIDE), np.uint8), like)
    for cell, says in (
        (";".join([*both, twice]), "holds L1, as does another of the files"),
        (f"{both[0]};{empty}", "empty_L2.nii.gz is empty; draw L2 again"),
        (f"{both[0]};none.nii.gz", "There is no segmentation at"),
        (both[0] + ";" + both[0], "holds L1, as does another of the files"),
    ):
        code, _ = _build(tmp_path, cell)
        assert code == 4
        assert says in capsys.readouterr().err
