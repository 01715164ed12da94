"""Folders and files that may not be opened, and disks that are full: each command says which, and why."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from phantom_ct import CENTRES, make_phantom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from OsteoScreenLib.cli import main
from OsteoScreenLib.cli.output import staged_output
from OsteoScreenLib.cli.replacing import replacing
from OsteoScreenLib.errors import InputError, OsteoScreenError, is_disk_full, system_reason
from OsteoScreenLib.results_io import write_bytes_atomically

L1 = f"--l1=#{CENTRES['L1']}"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that may not be opened, and in which nothing may be looked for."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        folder.chmod(0o700)
        pytest.skip("needs a user whom permissions bind")
    yield folder
    folder.chmod(0o700)


@pytest.fixture
def sealed(locked: Path, tmp_path: Path) -> Path:
    """A file that may not be opened."""
    file = tmp_path / "sealed.nrrd"
    file.write_bytes(b"NRRD0004\n")
    file.chmod(0)
    return file


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    return make_phantom().write(tmp_path / "ct.nii.gz")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code of a command and its one sentence."""
    code = main(list(words))
    lines = capsys.readouterr().err.splitlines()
    return code, lines[-1]


def test_what_may_not_be_read_is_named(
    locked: Path, sealed: Path, ct: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    refused = "permission denied"
    for words, code, part in (
        (["screen", str(locked), "-o", out, L1], 4, f"{locked} cannot be opened: {refused}"),
        (["screen", str(sealed), "-o", out, L1], 4, f"{sealed} cannot be opened: {refused}"),
        (["screen", str(ct), "-o", out, "--levels-from", str(locked)], 4, f"{locked} cannot be opened: {refused}"),
        (["screen", str(ct), "-o", out, L1, "--masks", str(sealed)], 4, f"{sealed} cannot be opened: {refused}"),
        (["screen", str(ct), "-o", out, L1, "--calibration", str(sealed)], 4, f"cannot be read: {refused}"),
        (["screen", str(ct), "-o", out, L1, "--earlier", str(sealed)], 4, f"cannot be read: {refused}"),
        (["decide", str(locked), "--accept", "--by", "A. Reader"], 2, "holds no result.json to be read"),
        (["models", "show", str(locked)], 5, f"cannot be read: {refused}"),
        (["pacs", "send", "http://127.0.0.1:9/dicom-web", str(locked)], 4, f"{locked} cannot be read: {refused}"),
    ):
        found, sentence = told(capsys, *words)
        assert (found, part in sentence) == (code, True), sentence
    assert not (tmp_path / "out").exists()


def test_the_files_of_a_study_that_may_not_be_read_are_counted(
    locked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, sentence = told(capsys, "screen", str(tmp_path), "-o", str(tmp_path / "out"), L1)
    assert code == 4
    assert "left out: 1 that cannot be opened" in sentence


def test_no_sentence_names_a_temporary_folder(tmp_path: Path) -> None:
    """What a writer says of the file that it was given is said of the folder that the user named."""
    for staged in (staged_output(tmp_path / "out", ["result.json"]), replacing(tmp_path, ["result.json"])):
        with pytest.raises(OsteoScreenError, match="is a directory") as caught, staged as folder:
            (folder / "result.json").mkdir()
            write_bytes_atomically(b"{}", folder / "result.json")
        assert ".osteoscreen-" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)
    for staged in (staged_output(tmp_path / "out", ["result.json"]), replacing(tmp_path, ["result.json"])):
        with pytest.raises(InputError, match=r"^The scan is gone\.$"), staged:
            raise InputError("The scan is gone.")
    assert list(tmp_path.iterdir()) == []


class AlmostFull(io.BytesIO):
    """A file that has room for a header, and none for an image."""

    def write(self, content: bytes) -> int:  # type: ignore[override]
        if len(content) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_a_full_disk_is_told_through_a_library_that_wraps_it() -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.PixelData = bytes(1 << 20)
    dataset["PixelData"].VR = "OW"
    with pytest.raises(OSError, match="No space left") as caught:
        dataset.save_as(AlmostFull())
    assert "Traceback" in str(caught.value)
    assert system_reason(caught.value) == "the disk is full"
    assert is_disk_full(caught.value)


def test_the_systems_reason_is_in_words() -> None:
    assert system_reason(PermissionError(errno.EACCES, "Permission denied", "x")) == "permission denied"
    assert system_reason(ValueError("embedded\nnull byte")) == "embedded null byte"
    assert system_reason(EOFError()) == "EOFError"
    assert not is_disk_full(PermissionError(errno.EACCES, "Permission denied"))
