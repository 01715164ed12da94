"""Damaged, odd and hostile DICOM: one sentence that says what to do, and never a guess."""

from __future__ import annotations

import os
import tracemalloc
import warnings

import numpy as np
import pydicom
import pytest
from dicom_files import SYNTAXES, body, write_enhanced, write_series
from pydicom.uid import ExplicitVRLittleEndian

from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.errors import InputError, UsageError

HU = body(6)


def finding(ct, name):
    return next((c for c in ct.findings if c.check == name), None)


def sentence(caught):
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and len(message) < 400, message
    return message


def series_with(**values):
    return lambda folder: write_series(folder, HU, **values)


def raw_edit(tag_bytes, offset, replacement):
    """Overwrite bytes of an element's value in every file: what no writer would agree to write."""

    def make(folder):
        for path in write_series(folder, HU):
            data = bytearray(path.read_bytes())
            at = data.index(tag_bytes) + 8 + offset
            data[at : at + len(replacement)] = replacement
            path.write_bytes(data)

    return make


def cut(keep):
    def make(folder):
        for path in write_series(folder, HU):
            data = path.read_bytes()
            path.write_bytes(data[: int(len(data) * keep)])

    return make


def nothing(folder):
    pass


def junk(folder):
    for n in range(5):
        (folder / f"{n}.dcm").write_bytes(np.random.default_rng(n).bytes(2000))


def magic_only(folder):
    (folder / "a.dcm").write_bytes(bytes(128) + b"DICM")


def magic_and_junk(folder):
    (folder / "a.dcm").write_bytes(bytes(128) + b"DICM" + np.random.default_rng(0).bytes(3000))


def only_a_pipe(folder):
    os.mkfifo(folder / "pipe")


def only_links_out(folder):
    outside = folder.parent / (folder.name + "-outside")
    paths = write_series(outside, HU)
    for path in paths:
        (folder / path.name).symlink_to(path)


def deflate_bomb(folder):
    path = write_series(folder, HU[:1], syntax=SYNTAXES["deflated"])[0]
    import zlib

    head = path.read_bytes()[:132]
    meta = pydicom.filereader.read_file_meta_info(path)
    start = 144 + meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush the same bytes may stand again and again.
    part = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = 40 * part + packer.flush()
    assert len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(2 * part)) == 2 << 24
    path.write_bytes(head + path.read_bytes()[132:start] + bomb)


def elsewhere(keyword, value):
    return lambda dataset, k: setattr(dataset, keyword, value)


def raw_words(words, others):
    """Write other bytes in the place of some, in every file."""

    def make(folder):
        for path in write_series(folder, HU):
            data = path.read_bytes()
            assert words in data
            path.write_bytes(data.replace(words, others, 1))

    return make


def unknown_syntax(folder):
    for path in write_series(folder, HU):
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0", 1))


def video_syntax(folder):
    for path in write_series(folder, HU):
        data = path.read_bytes()
        dataset = pydicom.dcmread(path)
        dataset.PixelData = pydicom.encaps.encapsulate([b"not a video "])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
        dataset.save_as(path)
        assert data


DAMAGED = {
    "empty folder": nothing,
    "junk": junk,
    "magic only": magic_only,
    "magic and junk": magic_and_junk,
    "only a pipe": only_a_pipe,
    "only links out": only_links_out,
    "cut in the header": cut(0.2),
    "cut in the pixels": cut(0.8),
    "zero spacing": series_with(PixelSpacing=[0, 0]),
    "negative spacing": series_with(PixelSpacing=[-0.7, 0.7]),
    "no spacing": series_with(PixelSpacing=None),
    "nan spacing": raw_edit(b"(\x00\x30\x00DS", 0, b"nan"),
    "nan position": raw_edit(b"\x20\x00\x32\x00DS", 0, b"nan    "),
    "oblique rows and columns": series_with(orientation=(1, 0, 0, 0.5, 0.9, 0), step=np.array([0, 0, 2])),
    "orientation of zeros": series_with(orientation=(0, 0, 0, 0, 0, 0), step=np.array([0, 0, 2])),
    "long direction": series_with(orientation=(2, 0, 0, 0, 1, 0)),
    "enormous rows": raw_edit(b"(\x00\x10\x00US", 0, b"\xff\xff"),
    "no rows": raw_edit(b"(\x00\x10\x00US", 0, b"\0\0"),
    "more rows than pixels": raw_edit(b"(\x00\x10\x00US", 0, b"\x90\0"),
    "a position beyond the horizon": series_with(edit=elsewhere("ImagePositionPatient", [0, 0, 1e17])),
    "a thickness beyond all": series_with(edit=elsewhere("SliceThickness", 1e300)),
    "odd bits": raw_edit(b"(\x00\x01\x01US", 0, b"\x40\0"),
    "odd high bit": series_with(HighBit=12),
    "unknown transfer syntax": unknown_syntax,
    "video": video_syntax,
    "deflate bomb": deflate_bomb,
    "colour": series_with(SamplesPerPixel=3),
    "a transfer syntax of control characters": raw_words(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1\x92\x1b.1\0"),
    "a value representation that is none": raw_words(b"\x08\x00\x3e\x10LO", b"\x08\x00\x3e\x10L\xd6"),
    "only a scout": series_with(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    "segmentation": series_with(Modality="SEG"),
}


@pytest.mark.parametrize("make", DAMAGED.values(), ids=DAMAGED)
def test_damage_ends_in_one_sentence(tmp_path, make, capfd):
    folder = tmp_path / "study"
    folder.mkdir()
    make(folder)
    with pytest.raises(InputError) as caught:
        open_ct(folder).volume()
    message = sentence(caught)
    assert "SECRET" not in message and "Secret" not in message
    assert "".join(capfd.readouterr()) == ""


def test_a_sequence_that_is_a_number_holds_nothing(tmp_path):
    """The voltage under the tag of the contrast agent's sequence, found by Testing/fuzz_dicom.py."""
    raw_words(b"\x18\x00\x60\x00DS", b"\x18\x00\x12\x00DS")(tmp_path)
    ct = open_ct(tmp_path)
    assert ct.acquisition.kvp is None and ct.acquisition.contrast is None
    np.testing.assert_array_equal(ct.volume(), HU)


@pytest.mark.parametrize("line", [("1e308", "0"), ("1", "-1e300"), ("-2e5", "0")])
def test_a_line_to_hu_that_is_no_ct_is_refused(tmp_path, line):
    write_series(tmp_path, HU, edit=lambda dataset, k: setattr(dataset, "RescaleType", "HU"))
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.RescaleSlope, dataset.RescaleIntercept = line
        dataset.save_as(path)
    ct = open_ct(tmp_path)
    assert finding(ct, "rescale").outcome == "refuse"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isnan(ct.slice(1)).any()


@pytest.mark.parametrize("name", ["RLE", "JPEG 2000", "JPEG-LS", "JPEG lossless"])
@pytest.mark.parametrize("lost", [100, 700])
def test_compressed_pixels_cut_short(tmp_path, name, lost):
    for path in write_series(tmp_path, HU[:2], syntax=SYNTAXES[name]):
        path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(InputError, match="2 cut short"):
        open_ct(tmp_path)


@pytest.mark.parametrize("height", [b"\0\0", b"\xff\xff", b"\0\x29"])
@pytest.mark.parametrize(
    ("name", "frame_header"),
    [("JPEG lossless", b"\xff\xc3\x00\x0b\x10"), ("JPEG-LS", b"\xff\xf7\x00\x0b\x10"), ("JPEG 2000", b"\xff\x51")],
)
def test_a_picture_of_another_size_than_the_headers_is_never_decoded(tmp_path, name, frame_header, height):
    """With a height of zero libjpeg never ends; found by Testing/fuzz_dicom.py."""
    for path in write_series(tmp_path, HU[:2], syntax=SYNTAXES[name]):
        data = bytearray(path.read_bytes())
        at = data.index(frame_header, data.index(b"\xe0\x7f\x10\x00")) + len(frame_header)
        at += 10 if name == "JPEG 2000" else 0
        data[at : at + 2] = height
        path.write_bytes(data)
    with pytest.raises(InputError, match="2 with a damaged header"):
        open_ct(tmp_path)


def test_a_coloured_capture_among_the_images_is_no_damage(tmp_path):
    paths = write_series(tmp_path, HU, syntax=SYNTAXES["JPEG 2000"])
    dataset = pydicom.dcmread(paths[0])
    dataset.SamplesPerPixel, dataset.SOPInstanceUID, dataset.Rows = 3, "1.2.3.4.5", 7
    dataset.save_as(tmp_path / "capture")
    ct = open_ct(tmp_path)
    assert finding(ct, "files").outcome == "pass" and ct.geometry.shape[0] == len(HU)


def rle_nonsense(data):
    return data[:-1000] + bytes(100) + np.random.default_rng(0).bytes(892) + data[-8:]


def no_codestream(data):
    return data.replace(b"\xff\x4f\xff\x51", bytes(4), 1)


@pytest.mark.parametrize(("name", "ruin"), [("RLE", rle_nonsense), ("JPEG 2000", no_codestream)])
def test_compressed_pixels_of_nonsense(tmp_path, name, ruin):
    """The RLE decoder panics here, which is not an Exception."""
    for path in write_series(tmp_path, HU[:2], syntax=SYNTAXES[name]):
        path.write_bytes(ruin(path.read_bytes()))
    ct = open_ct(tmp_path)
    with pytest.raises(InputError, match="damaged or cut short"):
        ct.slice(1)


def test_truncated_enhanced_multiframe(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", HU)
    path.write_bytes(path.read_bytes()[: -HU[0].nbytes * 2])
    with pytest.raises(InputError, match="cut short"):
        open_ct(path)


def test_a_damaged_slice_among_good_ones_is_refused_until_forced(tmp_path):
    paths = write_series(tmp_path, HU)
    paths[2].write_bytes(paths[2].read_bytes()[:-500])
    paths[4].write_bytes(paths[4].read_bytes()[:400])
    ct = open_ct(tmp_path)
    check = finding(ct, "files")
    assert check.outcome == "refuse" and check.value == 2
    assert finding(ct, "gaps").outcome == "warn"
    np.testing.assert_array_equal(ct.slice(2), HU[3])
    assert ct.geometry.slice_z(2) == pytest.approx(-494)


def test_file_of_the_wrong_kind(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="neither DICOM nor NRRD"):
        open_ct(tmp_path / "notes.txt")
    path = write_series(tmp_path / "scout", HU[:1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0]
    with pytest.raises(InputError, match="not a CT image"):
        open_ct(path)


def test_what_is_not_there_or_not_a_file(tmp_path):
    with pytest.raises(InputError, match="check the path"):
        open_ct(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_ct(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_ct("/dev/zero")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(InputError):
        open_ct(tmp_path / "round")
    with pytest.raises(InputError):
        open_ct("a\0b")
    with pytest.raises(UsageError):
        open_ct("")


def test_folder_that_may_not_be_read(tmp_path):
    write_series(tmp_path / "a", HU)
    (tmp_path / "a").chmod(0)
    try:
        if os.access(tmp_path / "a", os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(InputError):
            open_ct(tmp_path / "a")
    finally:
        (tmp_path / "a").chmod(0o700)


def test_files_that_vanish_while_reading(tmp_path):
    paths = write_series(tmp_path, HU)
    ct = open_ct(tmp_path)
    for path in paths:
        path.unlink()
    with pytest.raises(InputError, match="can no longer be opened"):
        ct.slice(1)
    with pytest.raises(InputError, match="can no longer be opened"):
        ct.sha256()


def test_link_within_the_folder_is_followed(tmp_path):
    write_series(tmp_path / "store", HU, name=lambda k: f".{k}")
    for k in range(6):
        (tmp_path / f"link{k}").symlink_to(tmp_path / "store" / f".{k}")
    np.testing.assert_array_equal(open_ct(tmp_path).volume(), HU)


def test_cancelling_is_let_through(tmp_path):
    write_series(tmp_path, HU)

    def cancel(*step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_ct(tmp_path, progress=cancel)


def test_opening_a_long_series_keeps_no_pixels(tmp_path):
    big = np.zeros((40, 256, 256), np.int16)
    write_series(tmp_path, big, syntax=ExplicitVRLittleEndian)
    open_ct(tmp_path)  # imports and caches of the libraries
    tracemalloc.start()
    ct = open_ct(tmp_path)
    for k in range(40):
        ct.slice(k)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 9 * 256 * 256 * 4 + 2_000_000  # the eight cached slices, and headers
