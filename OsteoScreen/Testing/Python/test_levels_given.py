"""Levels that the user writes, and names, numbers and masks that a segmentation gives."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError
from OsteoScreenLib.levels import (
    SCT_CODES,
    VertebraMask,
    levels_from_segmentation,
    levels_from_vertebrae,
    parse_level,
    vertebra_named,
)
from OsteoScreenLib.results import Level

SPACING = 4.0
STACK = ("S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11")


@pytest.fixture(scope="module")
def ct():
    matrix = np.diag([-SPACING, -SPACING, SPACING, 1.0])
    matrix[:3, 3] = (80.0, 80.0, -1000.0)
    return ct_from_array(np.full((76, 40, 40), 60, np.int16), matrix)


@pytest.fixture(scope="module")
def spine():
    """A spine of numbers 1 (S1) to 8 (T11) on the CT's grid: bodies with an arch that reaches further down."""
    labels = np.zeros((76, 40, 40), np.uint8)
    for n in range(len(STACK)):
        k = 4 + 9 * n
        labels[k : k + 7, 14:22, 15:25] = n + 1
        labels[max(0, k - 5) : k + 3, 25:27, 12:28] = n + 1
    return labels


def written(path, labels, ct, names=None):
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((SPACING,) * 3)
    origin = ct.geometry.ras(0, 0, 0)
    image.SetOrigin((-origin[0], -origin[1], origin[2]))
    for n, (value, name, tags) in enumerate(names or ()):
        image.SetMetaData(f"Segment{n}_Name", name)
        image.SetMetaData(f"Segment{n}_LabelValue", str(value))
        image.SetMetaData(f"Segment{n}_Layer", "0")
        image.SetMetaData(f"Segment{n}_Tags", tags)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def renumbered(spine, numbers):
    table = np.zeros(256, np.uint8)
    for name, value in numbers.items():
        table[STACK.index(name) + 1] = value
    return table[spine]


MIDDLE = {"L1": 4 + 45 + 3, "L2": 4 + 36 + 3}


def test_millimetres_and_indices_are_understood(ct):
    assert parse_level("-812.5", ct, "L1").slice_index == 47
    level = parse_level(" #12 ", ct, "L2")
    assert level == Level("L2", -952.0, 12, "user", True)
    assert parse_level("−952", ct, "L1").slice_index == 12


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "", "#", "#-1", "#1.5", "#99999999", "#76", "1e9", "0", "L1", "auto", "1_000",
             "٣", "-812.5; rm -rf /", "9" * 5000, "\x00", "{}", "%s%n"],
)  # fmt: skip
def test_nonsense_is_a_usage_error_in_one_short_sentence(ct, text):
    with pytest.raises(UsageError) as caught:
        parse_level(text, ct, "L1")
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@given(text=st.text(max_size=30))
def test_any_text_gives_a_level_inside_the_scan_or_a_usage_error(ct, text):
    try:
        level = parse_level(text, ct, "L1")
    except UsageError:
        return
    assert 0 <= level.slice_index < ct.geometry.shape[0]


@pytest.mark.parametrize(
    ("name", "vertebra"),
    [
        ("vertebrae_L1", "L1"),
        ("Vertebra L2", "L2"),
        ("L1 vertebra", "L1"),
        ("L1 vertebral body", "L1"),
        ("First lumbar vertebra", "L1"),
        ("lumbar vertebra 2", "L2"),
        ("T12", "T12"),
        ("L01", "L1"),
        ("L1-L2", None),
        ("L1-L2 disc", None),
        ("L1_rib", None),
        ("L1 spinous process", None),
        ("CT12", None),
        ("liver", None),
        ("L11", None),
    ],
)
def test_names_mean_vertebrae_and_nothing_else(name, vertebra):
    assert vertebra_named(name) == vertebra


@pytest.mark.parametrize(
    "numbers",
    [
        {name: 26 + n for n, name in enumerate(STACK)},  # TotalSegmentator 2
        {name: 17 + n for n, name in enumerate(STACK) if n},  # TotalSegmentator 1, CADS
        {name: n for n, name in enumerate(STACK) if n},  # CADS part 552
        {"S1": 26, "L5": 24, "L4": 23, "L3": 22, "L2": 21, "L1": 20, "T12": 19, "T11": 18},  # VerSe, TPTBox
        {"L5": 17, "L4": 16, "L3": 15, "L2": 14, "L1": 13, "T12": 12, "T11": 11},  # VertebralBodiesCT
        {"L2": 30, "L1": 31},
        {"L2": 21, "L1": 20},
    ],
)
def test_public_numberings_are_told_apart_by_where_the_labels_lie(tmp_path, ct, spine, numbers):
    levels = levels_from_segmentation(written(tmp_path / "seg.nii.gz", renumbered(spine, numbers), ct), ct)
    assert {name: level.slice_index for name, level in levels.items()} == MIDDLE
    assert {level.set_by for level in levels.values()} == {"segmentation"}


def test_an_ambiguous_or_meaningless_numbering_is_refused(tmp_path, ct, spine):
    upside_down = {name: 33 - n for n, name in enumerate(STACK)}
    for numbers in (upside_down, {"L2": 1, "L1": 2}, {name: 100 + n for n, name in enumerate(STACK)}):
        with pytest.raises(InputError, match="numbering"):
            levels_from_segmentation(written(tmp_path / "seg.nii.gz", renumbered(spine, numbers), ct), ct)
    without_l5 = {"L4": 2, "L3": 3, "L2": 4, "L1": 5, "T12": 6, "T11": 7}
    with pytest.raises(InputError, match="can be read as"):
        levels_from_segmentation(written(tmp_path / "seg.nii.gz", renumbered(spine, without_l5), ct), ct)
    levels = levels_from_segmentation(written(tmp_path / "x_part_552.nii.gz", renumbered(spine, without_l5), ct), ct)
    assert levels["L1"].slice_index == MIDDLE["L1"]


def code(number):
    return f"TerminologyEntry:List~SCT^123037004^Anatomical Structure~SCT^{number}^x~^^~y~^^~^^|"


@pytest.mark.parametrize(
    "segments",
    [
        [(6, "L1", ""), (5, "L2", "")],
        [(6, "L1 vertebra", ""), (5, "vertebrae_L2", ""), (4, "L3", "")],
        [(6, "Segment_1", code("66794005")), (5, "Segment_2", code("14293000"))],
        [(6, "L1 vertebral body", code("66794005")), (7, "L1", ""), (5, "L2", "")],
    ],
)
def test_slicer_segments_are_known_by_name_or_code(tmp_path, ct, spine, segments):
    levels = levels_from_segmentation(written(tmp_path / "s.seg.nrrd", spine, ct, segments), ct)
    assert {name: level.slice_index for name, level in levels.items()} == MIDDLE


def test_contradicting_or_double_segments_are_refused(tmp_path, ct, spine):
    for segments in ([(6, "L1", code("36470004"))], [(6, "L1", ""), (5, "vertebra L1", "")], [(6, "spleen", "")] * 1):
        with pytest.raises(InputError):
            levels_from_segmentation(written(tmp_path / "s.seg.nrrd", spine, ct, segments), ct)


def test_one_file_per_vertebra(tmp_path, ct, spine):
    for name in ("L1", "L2", "T12"):
        written(tmp_path / f"vertebrae_{name}.nii.gz", (spine == STACK.index(name) + 1).astype(np.uint8), ct)
    assert {n: level.slice_index for n, level in levels_from_segmentation(tmp_path, ct).items()} == MIDDLE
    (tmp_path / "vertebrae_L2.nii.gz").unlink()
    assert list(levels_from_segmentation(tmp_path, ct)) == ["L1"]
    (tmp_path / "vertebrae_L1.nii.gz").unlink()
    with pytest.raises(InputError, match="T12"):
        levels_from_segmentation(tmp_path, ct)


def test_masks_at_hand_give_the_levels_of_their_file(tmp_path, ct, spine):
    path = written(tmp_path / "s.seg.nrrd", spine, ct, [(6, "L1", ""), (5, "L2", "")])
    masks = {name: VertebraMask(name, spine == STACK.index(name) + 1, ct.geometry) for name in ("T12", "L2", "L1")}
    assert levels_from_vertebrae(masks, ct) == levels_from_segmentation(path, ct)
    assert list(levels_from_vertebrae(masks, ct)) == ["L1", "L2"]
    for levels in (
        levels_from_vertebrae(masks, ct, ("T12",), confirmed=False),
        levels_from_segmentation(path, ct, confirmed=False),
    ):
        assert {level.confirmed for level in levels.values()} == {False}
    del masks["L1"]
    with pytest.raises(InputError, match="lacks L1"):
        levels_from_vertebrae(masks, ct)
    masks["L1"] = VertebraMask("L1", np.zeros_like(spine, bool), ct.geometry)
    with pytest.raises(InputError, match="L1 is empty"):
        levels_from_vertebrae(masks, ct)


def test_codes_name_the_vertebrae_that_are_screened():
    assert (SCT_CODES["66794005"], SCT_CODES["14293000"]) == ("L1", "L2")


def test_an_outline_drawn_on_one_slice_is_that_slice(tmp_path, ct, spine):
    labels = np.zeros_like(spine)
    labels[51, 15:21, 16:24], labels[44, 15:21, 16:24] = 1, 2
    path = written(tmp_path / "drawn.seg.nrrd", labels, ct, [(1, "L1", ""), (2, "L2", "")])
    assert {n: level.slice_index for n, level in levels_from_segmentation(path, ct).items()} == {"L1": 51, "L2": 44}


def test_a_segmentation_of_another_scan_is_refused(tmp_path, ct, spine):
    matrix = np.array(ct.geometry.ijk_to_ras)
    matrix[2, 3] += 500.0
    path = written(tmp_path / "s.seg.nrrd", spine, ct, [(6, "L1", ""), (5, "L2", "")])
    for shape in ((76, 40, 40), (80, 40, 40)):
        elsewhere = ct_from_array(np.full(shape, 60, np.int16), matrix)
        with pytest.raises(InputError, match="another scan"):
            levels_from_segmentation(path, elsewhere)
    air = ct_from_array(np.full((76, 40, 40), -1000, np.int16), ct.geometry.ijk_to_ras)
    with pytest.raises(InputError, match="another scan"):
        levels_from_segmentation(path, air)


def test_a_body_that_the_scan_cuts_gives_no_level(tmp_path, ct, spine):
    cut = np.zeros_like(spine)
    cut[:4], cut[20:27] = (spine[49:53] == 6) * 6, (spine[40:47] == 5) * 5
    with pytest.raises(InputError, match="cuts L1"):
        levels_from_segmentation(written(tmp_path / "s.seg.nrrd", cut, ct, [(6, "L1", ""), (5, "L2", "")]), ct)


def test_a_process_at_the_scans_end_is_not_taken_for_its_vertebra(ct, spine):
    """The scan begins or ends within the processes of L1: their middle was once taken for that of its body."""
    arch = np.zeros_like(spine, bool)
    arch[:, 25:27, 12:28] = spine[:, 25:27, 12:28] == STACK.index("L1") + 1
    for part in (slice(0, 6), slice(0, 2), slice(5, 8), slice(7, 8)):
        inside = np.zeros_like(arch)
        inside[part] = arch[44:52][part]
        at_end = np.roll(inside, -np.flatnonzero(inside.any(axis=(1, 2)))[0], axis=0)
        for mask in (at_end, at_end[::-1]):
            with pytest.raises(InputError, match="only a process or an edge of L1 at the end of the scan"):
                levels_from_vertebrae({"L1": VertebraMask("L1", mask, ct.geometry)}, ct)


def test_a_vertebra_whose_process_alone_reaches_the_scans_end_is_whole(ct, spine):
    k = 4 + 9 * STACK.index("L1") - 5
    cut = ct_from_array(ct.volume()[k + 1 :], ct.geometry.ijk_to_ras)
    vertebra = VertebraMask("L1", (spine == STACK.index("L1") + 1)[k + 1 :], cut.geometry)
    assert vertebra.mask[0].any()
    assert levels_from_vertebrae({"L1": vertebra}, cut)["L1"].slice_index == MIDDLE["L1"] - k - 1


def test_damaged_segmentations_are_input_errors(tmp_path, ct, spine):
    good = written(tmp_path / "good.nii.gz", renumbered(spine, {"L2": 30, "L1": 31}), ct).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.nrrd").write_bytes(b"")
    (tmp_path / "text.nii").write_text("hello")
    (tmp_path / "seg.txt").write_text("hello")
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 40)
    written(tmp_path / "none.nii.gz", np.zeros_like(spine), ct)
    written(tmp_path / "image.nii.gz", np.random.default_rng(0).normal(0, 300, spine.shape).astype(np.float32), ct)
    (tmp_path / "folder").mkdir()
    for name in ("cut.nii.gz", "empty.nrrd", "text.nii", "seg.txt", "x.dcm", "none.nii.gz", "image.nii.gz", "folder"):
        with pytest.raises(InputError):
            levels_from_segmentation(tmp_path / name, ct)
    with pytest.raises(OsteoScreenError, match="no segmentation at"):
        levels_from_segmentation(tmp_path / "absent.nii.gz", ct)
