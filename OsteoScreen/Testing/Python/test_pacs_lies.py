"""A PACS that answers what was not asked for: nothing of it gets a name, and the user gets one sentence."""

from __future__ import annotations

import io
import logging
import socket
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from scripted_pacs import FAST, RELATED, SECRETS, Pacs, contents, fetch, item, send, sentence
from scripted_server import Request, multipart, scripted

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.pacs import fetching, transport
from OsteoScreenLib.pacs.errors import PacsError
from OsteoScreenLib.pacs.fetching import fetch_study
from OsteoScreenLib.pacs.finding import Wanted, find_series, find_studies
from OsteoScreenLib.pacs.servers import find_server
from OsteoScreenLib.pacs.transport import Connection

# ---- a fetch from a server that lies


def an_image_of(pacs: Pacs, tmp_path: Path, **changes) -> bytes:
    """The object that is asked for, but for some of its header."""
    dataset = dcmread(tmp_path / "ct" / "0.dcm")
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def without_length(request: Request, content: bytes) -> None:
    request.reply.send_response(200)
    request.reply.send_header("Content-Type", "application/dicom")
    request.reply.send_header("Connection", "close")
    request.reply.end_headers()
    request.reply.wfile.write(content)
    request.reply.close_connection = True


LIES = {
    "a page to sign in": (lambda request, right, other: request.page(), "web page"),
    "a page as a part": (lambda request, right, other: request.part(b"<html>" * 50), "no DICOM object"),
    "nothing": (lambda request, right, other: request.answer(b"", RELATED + "; boundary=x"), "broke off"),
    "no boundary": (lambda request, right, other: request.answer(b"--\r\n\r\n", RELATED), "not DICOM"),
    "no mark": (lambda request, right, other: request.answer(bytes(50_000), RELATED + "; boundary=x"), "not proper"),
    "two objects": (
        lambda request, right, other: request.answer(
            multipart(right, "x").replace(b"--x--", b"--x") + multipart(right, "x"), RELATED + "; boundary=x"
        ),
        "several objects",
    ),
    "another study": (lambda request, right, other: request.part(other), "another series or study"),
    "a picture": (lambda request, right, other: request.answer(b"\x89PNG", "image/png"), "not DICOM"),
    "a cut object": (lambda request, right, other: without_length(request, right[:-500]), "broke off"),
    "circles": (lambda request, right, other: request.status(302, Location=request.path), "in circles"),
    "a way to plain http": (
        lambda request, right, other: request.status(302, Location="http://example.invalid/x"),
        "not safe",
    ),
    "a conflict": (lambda request, right, other: request.status(409), "409"),
    "forbidden": (lambda request, right, other: request.status(403), "403"),
    "gone": (lambda request, right, other: request.status(404), "check the server's URL and the UIDs"),
    "endless": (lambda request, right, other: request.part(bytes(3 << 20)), "more than 1 MiB"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_not_the_object_asked_for_never_gets_its_name(pacs, tmp_path, monkeypatch, name):
    monkeypatch.setattr(fetching, "_MOST_OBJECT_BYTES", 1 << 20)
    lie, words = LIES[name]
    first = next(iter(pacs.objects))
    right, other = pacs.objects[first], an_image_of(pacs, tmp_path, StudyInstanceUID=generate_uid())

    def ask(request: Request) -> bool:
        if request.path.endswith(first):
            lie(request, right, other)
            return True
        return False

    pacs.fault = ask
    with pytest.raises(PacsError) as problem:
        fetch(pacs, tmp_path / "back")
    assert words in sentence(problem)
    assert contents(tmp_path / "back") <= set(pacs.objects.values()) - {right}


def test_an_object_that_is_no_part_is_taken_where_it_is_whole(pacs, tmp_path):
    def ask(request: Request) -> bool:
        if "/instances/" not in request.path:
            return False
        without_length(request, pacs.objects[request.path.rpartition("/")[2]])
        return True

    pacs.fault = ask
    fetch(pacs, tmp_path / "back")
    assert contents(tmp_path / "back") == set(pacs.objects.values())


@pytest.mark.parametrize("uid", ["../../outside", "1.2/../../3", "", "1." + "2" * 70, "1.2\n3", None])
def test_a_uid_that_is_a_path_ends_the_fetch(pacs, tmp_path, uid):
    def ask(request: Request) -> bool:
        if not request.path.partition("?")[0].endswith("/instances"):
            return False
        request.json([item(SOPInstanceUID=uid)])
        return True

    pacs.fault = ask
    with pytest.raises(PacsError) as problem:
        fetch(pacs, tmp_path / "inner" / "back")
    assert "not a UID" in sentence(problem)
    assert not (tmp_path / "inner").exists()
    with pytest.raises(UsageError), pacs.connection() as connection:
        fetch_study(connection, str(uid), tmp_path / "inner" / "back")
    assert not (tmp_path / "inner").exists()


# ---- a search of a server that lies


def answers(content):
    def ask(request: Request) -> bool:
        if callable(content):
            content(request)
        else:
            request.json(content)
        return True

    return ask


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda request: request.page(), "web page"),
        (lambda request: request.answer(b"[{", "application/dicom+json"), "not proper"),
        (lambda request: request.answer(b"[" * 100_000, "application/dicom+json"), "not proper"),
        (lambda request: request.answer(b" " * (3 << 20), "application/dicom+json"), "more than 1 MiB"),
        (lambda request: request.answer(b"\xff\xfe", "application/json"), "not proper"),
        ("no", "not DICOM JSON"),
        ({"error": "no"}, "not a UID"),
        ([1, 2], "not DICOM JSON"),
        ([item(StudyInstanceUID={"x": 1})], "not a UID"),
        ([{"0020000D": [7]}], "not a UID"),
        (lambda request: request.status(409), "409"),
        (lambda request: request.status(400), "400"),
    ],
)
def test_a_search_that_is_answered_with_nonsense_is_one_sentence(pacs, monkeypatch, content, words):
    monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 1 << 20)
    pacs.fault = answers(content)
    with pacs.connection() as connection, pytest.raises(PacsError) as problem:
        find_studies(connection, Wanted(patient_id="SECRET-ID"), 5)
    assert words in sentence(problem)


def test_studies_of_others_are_left_out_where_a_server_does_not_search(pacs):
    studies = [
        item(StudyInstanceUID="1.1", PatientID="secret-id ", StudyDate="20240615", ModalitiesInStudy=["CT", "SR"]),
        item(StudyInstanceUID="1.2", PatientID="SECRET-ID2", StudyDate="20240615", ModalitiesInStudy=["CT"]),
        item(StudyInstanceUID="1.3", PatientID="SECRET-ID", StudyDate="20230615", ModalitiesInStudy=["CT"]),
        item(StudyInstanceUID="1.4", PatientID="SECRET-ID", StudyDate="20240615", ModalitiesInStudy=["MR"]),
        item(StudyInstanceUID="1.5"),  # it says nothing of itself
    ]
    pacs.fault = answers(lambda request: request.json(studies))  # and there are no pages
    with pacs.connection() as connection:
        for dates, expected in (
            ("20240615", ["1.1", "1.5"]),
            ("20240101-20241231", ["1.1", "1.5"]),
            ("20240101-", ["1.1", "1.5"]),
            ("-20240630", ["1.1", "1.3", "1.5"]),
        ):
            wanted = Wanted(patient_id="SECRET-ID", study_date=dates, modality="CT")
            found, more = find_studies(connection, wanted, 5)
            assert [study.uid for study in found] == expected and not more
        assert len(find_studies(connection, Wanted(patient_id="SECRET*"), 5)[0]) == 5
        found, more = find_studies(connection, Wanted(patient_id="SECRET*"), 4)
        assert len(found) == 4 and more


def test_a_search_without_end_ends(pacs):
    def ask(request: Request) -> bool:
        request.json([item(SeriesInstanceUID=generate_uid(), PatientID="other") for _ in range(500)])
        return True

    pacs.fault = ask
    with pacs.connection() as connection, pytest.raises(PacsError) as problem:
        find_series(connection, pacs.study)
    assert "more than 2000 series" in sentence(problem)


def test_no_log_holds_who_was_looked_for(pacs, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG), pacs.connection() as connection:
        find_studies(connection, Wanted(patient_id="SECRET-ID", accession="ACC-77"), 5)
        fetch(pacs, tmp_path / "back")
        send(pacs, tmp_path / "ct")
    assert "SECRET-ID" in pacs.server.requests[0].path
    assert not [word for word in (*SECRETS, "ACC-77", "Basic ") if word in caplog.text]


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/dicom-web"
        with pytest.raises(PacsError) as problem, Connection(find_server(url), FAST) as connection:
            find_studies(connection, Wanted(), 5)
    assert "cannot be reached" in sentence(problem)
    with scripted(lambda request: request.page()) as site:
        assert main(["pacs", "find", site.url, "--patient-id", "SECRET-ID"]) == 4
    output = capsys.readouterr()
    assert not output.out
    assert "web page" in output.err and output.err.count("\n") == 1 and "SECRET" not in output.err
