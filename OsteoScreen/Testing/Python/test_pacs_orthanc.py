"""Out of a real PACS and into it: what comes is what was stored, and nothing comes or goes twice."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from dicom_files import body, write_series
from orthanc_server import PASSWORD, USER, Orthanc
from phantom_ct import ORIGIN_RAS, PIXEL_MM, SLICE_MM, make_phantom
from pydicom import dcmread
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage, generate_uid
from scripted_server import Request, scripted

from OsteoScreenLib.cli import main

ENGINE = Path(__file__).resolve().parents[2]


def stored_study(orthanc: Orthanc, folder: Path, hu: np.ndarray | None = None, **changes) -> tuple[str, list[Path]]:
    """Write a series and send it; returns its study's UID and the files."""
    study = changes.pop("StudyInstanceUID", None) or generate_uid()
    hu = body() if hu is None else hu
    files = write_series(folder, hu, name=lambda k: f"IM{k:03d}.dcm", StudyInstanceUID=study, **changes)
    assert main(["pacs", "send", orthanc.url, str(folder)]) == 0
    return study, files


def fetched(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_sent_is_stored_found_and_fetched_unchanged(orthanc, tmp_path, capsys):
    study, files = stored_study(orthanc, tmp_path / "ct", body(12))
    sent = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in files}
    assert orthanc.stored() == sent
    capsys.readouterr()
    assert main(["pacs", "find", orthanc.url, "--modality", "CT", "--study-date", "20240101-20241231"]) == 0
    shown = capsys.readouterr().out
    for words in (study, "20240615", "12 slices", "2 mm", "Br38f", "Chest 2.0 Br38"):
        assert words in shown
    assert main(["pacs", "fetch", orthanc.url, study, "-o", str(tmp_path / "back")]) == 0
    assert "12 came and 0 were there already" in capsys.readouterr().out
    assert fetched(tmp_path / "back") == set(sent.values())
    assert main(["pacs", "fetch", orthanc.url, study, "-o", str(tmp_path / "back")]) == 0
    assert "0 came and 12 were there already" in capsys.readouterr().out


def test_what_is_cut_short_in_the_folder_is_fetched_again(orthanc, tmp_path, capsys):
    study, files = stored_study(orthanc, tmp_path / "ct")
    command = ["pacs", "fetch", orthanc.url, study, "-o", str(tmp_path / "back")]
    assert main(command) == 0
    first, second, *_ = sorted((tmp_path / "back").rglob("*.dcm"))
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"")
    capsys.readouterr()
    assert main(command) == 0
    assert "2 came and 4 were there already" in capsys.readouterr().out
    assert fetched(tmp_path / "back") == {path.read_bytes() for path in files}


def test_compressed_images_come_as_they_are_stored(orthanc, tmp_path):
    study, files = stored_study(orthanc, tmp_path / "ct", syntax=RLELossless)
    assert main(["pacs", "fetch", orthanc.url, study, "-o", str(tmp_path / "back")]) == 0
    back = [dcmread(path) for path in (tmp_path / "back").rglob("*.dcm")]
    assert {each.file_meta.TransferSyntaxUID for each in back} == {RLELossless}
    pixels = {each.SOPInstanceUID: each.pixel_array for each in back}
    for path in files:
        original = dcmread(path)
        assert np.array_equal(pixels[original.SOPInstanceUID], original.pixel_array)


def test_identity_is_shown_only_where_it_is_asked_for(orthanc, tmp_path, capsys):
    study, _ = stored_study(orthanc, tmp_path / "ct", AccessionNumber="ACC-77")
    stored_study(orthanc, tmp_path / "other", PatientID="SOMEBODY", PatientName="Other")
    capsys.readouterr()
    search = ["pacs", "find", orthanc.url, "--patient-id", "SECRET*", "--accession", "ACC-77"]
    assert main(search) == 0
    output = "".join(capsys.readouterr())
    assert output.count("study ") == 1
    assert study in output
    for secret in ("Simulated", "SECRET", "ACC-77"):
        assert secret not in output
    assert main([*search, "--with-identity"]) == 0
    shown = capsys.readouterr().out
    for secret in ("Simulated^Secret", "SECRET-ID", "ACC-77"):
        assert secret in shown


def test_a_study_comes_with_its_ct_and_any_series_by_its_name(orthanc, tmp_path, capsys):
    study, soft = stored_study(orthanc, tmp_path / "soft", body(4))
    capture = {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}
    _, other = stored_study(orthanc, tmp_path / "other", body(2), StudyInstanceUID=study, **capture)
    _, sharp = stored_study(orthanc, tmp_path / "sharp", body(3), StudyInstanceUID=study, ConvolutionKernel="Br64f")
    assert main(["pacs", "fetch", orthanc.url, study, "-o", str(tmp_path / "all")]) == 0
    assert fetched(tmp_path / "all") == {path.read_bytes() for path in [*soft, *sharp]}
    series = dcmread(other[0]).SeriesInstanceUID
    assert main(["pacs", "fetch", orthanc.url, study, series, "-o", str(tmp_path / "one")]) == 0
    assert fetched(tmp_path / "one") == {path.read_bytes() for path in other}
    only_captures, _ = stored_study(orthanc, tmp_path / "captures", body(2), **capture)
    capsys.readouterr()
    assert main(["pacs", "fetch", orthanc.url, only_captures, "-o", str(tmp_path / "none")]) == 4
    assert "holds no CT (it has: 1 OT)" in capsys.readouterr().err


def test_nothing_there_is_one_sentence(orthanc, tmp_path, capsys):
    for uids in (["1.2.3.4.5"], ["1.2.3.4.5", "1.2.3.4.6"]):
        assert main(["pacs", "fetch", orthanc.url, *uids, "-o", str(tmp_path / "none")]) == 4
        error = capsys.readouterr().err
        assert "check the UID" in error
        assert error.count("\n") == 1
    assert main(["pacs", "find", orthanc.url]) == 0
    assert "No study fits" in capsys.readouterr().err


def test_wrong_credentials_are_said_and_not_shown(orthanc, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", "wrong-w0rd")
    assert main(["pacs", "find", orthanc.url]) == 4
    error = capsys.readouterr().err
    assert "401" in error and "osteoscreen pacs login" in error
    assert "wrong-w0rd" not in error and USER not in error
    for variable in ("OSTEOSCREEN_DICOMWEB_USER", "OSTEOSCREEN_DICOMWEB_PASSWORD"):
        monkeypatch.delenv(variable)
    assert main(["pacs", "find", orthanc.url]) == 4
    assert "wants to know who you are" in capsys.readouterr().err


# ---- killed half-way


def forwarding(orthanc: Orthanc, *, few: int = 0, more: threading.Event | None = None):
    """Stands before Orthanc and passes everything on; objects after the first few only when there may be ``more``."""
    session = requests.Session()
    session.trust_env = False
    asked = itertools.count()

    def forward(request: Request) -> None:
        if more is not None and "/instances/" in request.path and next(asked) >= few:
            more.wait(60)
        headers = {k: v for k, v in request.headers.items() if k in ("Authorization", "Accept", "Content-Type")}
        headers["Connection"] = "close"  # Orthanc hangs up after a second, perhaps just when a kept one is used again
        answer = session.request(request.method, orthanc.root + request.path, headers=headers, data=request.body)
        request.answer(answer.content, answer.headers.get("Content-Type", ""), answer.status_code)

    return forward


def test_a_fetch_that_was_killed_goes_on_where_it_was(orthanc, tmp_path):
    study, files = stored_study(orthanc, tmp_path / "ct", body(40))
    back = tmp_path / "back"
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    more = threading.Event()
    with scripted(forwarding(orthanc, few=8, more=more)) as slow:
        command = [sys.executable, "-m", "OsteoScreenLib", "pacs", "fetch", slow.url, study, "-o", str(back)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(list(back.rglob("*.dcm"))) < 8:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        there = {path.name: path.read_bytes() for path in back.rglob("*.dcm")}
        assert len(there) == 8
        slow.requests.clear()
        more.set()
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
        again = {request.path.rpartition("/")[2] + ".dcm" for request in slow.requests if "/instances/" in request.path}
    assert len(again) == 40 - len(there)
    assert not again & set(there)
    assert fetched(back) == {path.read_bytes() for path in files}  # also no unfinished file lies there


# ---- results


def test_objects_are_sent_once_and_anew_when_they_changed(orthanc, tmp_path, capsys):
    folder = tmp_path / "ct"
    _, files = stored_study(orthanc, folder, body(3))
    journal = (folder / "sent.json").read_text()
    assert orthanc.url in journal and PASSWORD not in journal and USER not in journal
    orthanc.clear()
    changed = dcmread(files[0])
    changed.SOPInstanceUID = changed.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    changed.save_as(files[0])
    capsys.readouterr()
    assert main(["pacs", "send", orthanc.url, str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "IM000.dcm: stored",
        "IM001.dcm: was sent before",
        "IM002.dcm: was sent before",
    ]
    assert orthanc.stored() == {changed.SOPInstanceUID: files[0].read_bytes()}
    # Without the journal all is sent, and what the server has already is no failure.
    (folder / "sent.json").unlink()
    assert main(["pacs", "send", orthanc.url, *map(str, files)]) == 0
    assert len(orthanc.stored()) == 3


@pytest.fixture
def phantom_study(orthanc, tmp_path):
    """A CT on the server, in two reconstructions, and outlines of its bodies here: study, soft files, outlines."""
    phantom = make_phantom()
    header = {"PixelSpacing": [PIXEL_MM, PIXEL_MM], "SliceThickness": str(SLICE_MM)}
    place = {"spacing": SLICE_MM, "origin": (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2])}
    study, _ = stored_study(orthanc, tmp_path / "sharp", phantom.hu, ConvolutionKernel="Br64f", **place, **header)
    _, soft = stored_study(orthanc, tmp_path / "soft", phantom.hu, StudyInstanceUID=study, **place, **header)
    return study, soft, phantom.write_outlines(tmp_path / "outlines.seg.nrrd")


def test_a_study_is_screened_straight_from_the_server(orthanc, phantom_study, tmp_path, monkeypatch, capsys):
    study, soft, masks = phantom_study
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    series = dcmread(soft[0]).SeriesInstanceUID
    options = ["--masks", str(masks), "--force"]
    assert main(["screen", str(tmp_path / "soft"), *options, "-o", str(tmp_path / "here")]) == 0
    expected = json.loads((tmp_path / "here" / "result.json").read_text())
    address = f"dicomweb:{orthanc.url}/studies/{study}"
    for n, given in enumerate((address, f"{orthanc.url}/studies/{study}/series/{series}")):
        assert main(["screen", given, *options, "-o", str(tmp_path / f"{n}")]) == 0, capsys.readouterr().err
        text = (tmp_path / f"{n}" / "result.json").read_text()
        result = json.loads(text)
        assert result["roi"] == expected["roi"]
        assert result["input"] == {**expected["input"], "path": f"{address}/series/{series}"}
        assert PASSWORD not in text and USER not in text
    assert not list((tmp_path / "temporary").iterdir())
    kept = ["--keep-fetched", str(tmp_path / "kept"), "--series", series]
    assert main(["screen", address, *options, *kept, "-o", str(tmp_path / "2")]) == 0
    path = json.loads((tmp_path / "2" / "result.json").read_text())["input"]["path"]
    assert fetched(Path(path)) == {each.read_bytes() for each in soft}


def test_results_go_to_the_server_only_when_they_are_dicom_and_asked_for(orthanc, phantom_study, tmp_path, capsys):
    study, soft, masks = phantom_study
    out, before = tmp_path / "out", orthanc.stored()
    address = f"dicomweb:{orthanc.url}/studies/{study}/series/{dcmread(soft[0]).SeriesInstanceUID}"
    command = ["screen", address, "--masks", str(masks), "--force", "-o", str(out)]
    assert main([*command, "--send", orthanc.url]) == 2
    assert "--write dicom" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--write", "dicom"]) == 0
    assert orthanc.stored() == before
    # An object of somebody else's in the output folder is not this run's to send.
    (out / "other.dcm").write_bytes((tmp_path / "sharp" / "IM000.dcm").read_bytes())
    capsys.readouterr()
    assert main([*command, "--write", "dicom", "--send", orthanc.url]) == 0
    assert "sr.dcm: stored" in capsys.readouterr().out
    written = {p.name: p.read_bytes() for p in out.glob("*.dcm") if p.name != "other.dcm"}
    assert set(written) == {"seg.dcm", "sr.dcm", "capture-L1.dcm", "capture-L2.dcm", "report.dcm"}
    stored = orthanc.stored()
    assert {uid: stored[uid] for uid in before} == before
    assert sorted(stored[uid] for uid in set(stored) - set(before)) == sorted(written.values())
    # They are of the study of the scan, where whoever opens it finds them, and come back as they went.
    sent = [dcmread(out / name, stop_before_pixels=True) for name in written]
    assert {each.StudyInstanceUID for each in sent} == {study}
    for series in {each.SeriesInstanceUID for each in sent}:
        assert main(["pacs", "fetch", orthanc.url, study, series, "-o", str(tmp_path / "back")]) == 0
    assert fetched(tmp_path / "back") == set(written.values())


def test_results_that_were_not_all_sent_go_without_screening_again(orthanc, phantom_study, tmp_path, capsys):
    _, soft, masks = phantom_study
    out, before = tmp_path / "out", set(orthanc.stored())
    command = ["screen", str(soft[0].parent), "--masks", str(masks), "--force", "-o", str(out), "--write", "dicom"]
    forward = forwarding(orthanc)

    def break_down_once(request: Request) -> None:
        request.status(403) if len(server.requests) == 3 else forward(request)

    with scripted(break_down_once) as server:
        assert main([*command, "--send", server.url]) == 4
        error = capsys.readouterr().err
        assert "Of 5 objects 2 were sent so far" in error
        assert f"`osteoscreen pacs send {server.url} {out}`" in error
        assert (out / "result.json").is_file()
        assert len(set(orthanc.stored()) - before) == 2
        assert main(["pacs", "send", server.url, str(out)]) == 0
        assert len(server.requests) == 3 + 3
    assert {orthanc.stored()[uid] for uid in set(orthanc.stored()) - before} == {
        p.read_bytes() for p in out.glob("*.dcm")
    }
