"""A PACS that is busy, breaks off, or lies: what is right arrives whole in the end, and the rest is one sentence."""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from dicom_files import body, write_series
from pydicom import dcmread
from pydicom.uid import generate_uid
from scripted_pacs import FAST, Pacs, failed, item, pacs_with_study, stored
from scripted_server import Request, multipart, scripted

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError
from OsteoScreenLib.pacs import fetching, transport
from OsteoScreenLib.pacs.errors import PacsError
from OsteoScreenLib.pacs.fetching import fetch_study
from OsteoScreenLib.pacs.finding import Wanted, find_series, find_studies
from OsteoScreenLib.pacs.servers import find_server
from OsteoScreenLib.pacs.storing import objects_at, send_objects
from OsteoScreenLib.pacs.transport import Connection, Patience

ENGINE = Path(__file__).resolve().parents[2]
SECRETS = ("Simulated^Secret", "SECRET-ID", "s3cret-word", "reader-name")


@pytest.fixture
def pacs(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_USER", "reader-name")
    monkeypatch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", "s3cret-word")
    monkeypatch.delenv("OSTEOSCREEN_DICOMWEB_TOKEN", raising=False)
    with pacs_with_study(tmp_path / "ct") as pacs:
        yield pacs


def fetch(pacs: Pacs, folder: Path, patience: Patience = FAST, **options):
    with pacs.connection(patience) as connection:
        return fetch_study(connection, pacs.study, folder, pacs.series, **options)


def send(pacs: Pacs, folder: Path, patience: Patience = FAST, **options):
    with pacs.connection(patience) as connection:
        return send_objects(connection, objects_at([folder]), **options)


def contents(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sentence(problem: pytest.ExceptionInfo[OsteoScreenError]) -> str:
    """What the user reads: it is one line, says whose fault it is, and nothing of the patient or the password."""
    text = str(problem.value)
    assert "\n" not in text and text.endswith(".")
    assert not [secret for secret in SECRETS if secret in text]
    return text


# ---- faults that pass


def hang_up(request: Request) -> None:
    request.reply.connection.shutdown(socket.SHUT_RDWR)
    request.reply.close_connection = True


def say_nothing(request: Request) -> None:
    time.sleep(2)
    request.reply.close_connection = True


TEMPORARY = {
    "429": lambda request: request.status(429, Retry_After="0"),
    "500": lambda request: request.status(500),
    "503": lambda request: request.status(503),
    "hang up": hang_up,
    "say nothing": say_nothing,
}
CUT = {
    "half, announced": lambda request: request.half(some_image(), announced=True),
    "half": lambda request: request.half(some_image(), announced=False),
}


def some_image() -> bytes:
    return b"\0" * 128 + b"DICM" + bytes(5000)


def patience_for(name: str) -> Patience:
    return replace(FAST, read_s=0.5) if name == "say nothing" else FAST


def once(fault, word: str):
    """A fault of the first request for each path with a word in it."""
    met: set[str] = set()

    def ask(request: Request) -> bool:
        if word not in request.path or request.path in met:
            return False
        met.add(request.path)
        fault(request)
        return True

    return ask


@pytest.mark.parametrize("name", [*TEMPORARY, *CUT])
def test_a_fetch_goes_on_after_a_fault_that_passes(pacs, tmp_path, name):
    pacs.fault = once({**TEMPORARY, **CUT}[name], "/instances/")
    assert fetch(pacs, tmp_path / "back", patience_for(name)).came == 3
    assert len(pacs.asked("/instances/")) >= 6
    assert contents(tmp_path / "back") == set(pacs.objects.values())


@pytest.mark.parametrize("name", TEMPORARY)
def test_a_search_and_sending_go_on_after_a_fault_that_passes(pacs, tmp_path, name):
    pacs.fault = once(TEMPORARY[name], "/studies")
    with pacs.connection(patience_for(name)) as connection:
        assert [study.uid for study in find_studies(connection, Wanted(), 5)[0]] == [pacs.study]
    pacs.fault = once(TEMPORARY[name], "/studies")
    assert {each.outcome for each in send(pacs, tmp_path / "ct", patience_for(name))} == {"stored"}
    assert set(pacs.received) == set(pacs.objects.values())


def test_a_fault_that_stays_ends_with_what_came(pacs, tmp_path):
    bad = list(pacs.objects)[1]

    def ask(request: Request) -> bool:
        if not request.path.endswith(bad):
            return False
        request.status(503)
        return True

    pacs.fault = ask
    with pytest.raises(PacsError) as problem:
        fetch(pacs, tmp_path / "back", threads=1)
    assert "503" in sentence(problem) and "try again later" in sentence(problem)
    assert len(pacs.asked(bad)) == FAST.attempts
    assert contents(tmp_path / "back") == {pacs.objects[next(iter(pacs.objects))]}
    pacs.fault = lambda request: False
    assert fetch(pacs, tmp_path / "back").came == 2
    assert contents(tmp_path / "back") == set(pacs.objects.values())


def test_a_server_that_says_when_to_come_back_is_obeyed_within_reason(pacs, tmp_path):
    pacs.fault = once(lambda request: request.status(429, Retry_After="1"), "/instances/")
    start = time.monotonic()
    fetch(pacs, tmp_path / "back")
    assert time.monotonic() - start >= 1
    pacs.fault = once(lambda request: request.status(503, Retry_After="3600"), "/instances")
    start = time.monotonic()
    with pytest.raises(PacsError) as problem:
        fetch(pacs, tmp_path / "other", Patience())
    assert "in 3600 s" in sentence(problem)
    assert time.monotonic() - start < 60


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


RELATED = 'multipart/related; type="application/dicom"'
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


# ---- sending to a server that refuses


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (lambda request, uid: request.json(failed(uid, 0xA700), 409), "failed", "out of resources"),
        (lambda request, uid: request.json(failed(uid, 0x0122), 409), "failed", "objects of this kind"),
        (lambda request, uid: request.json(failed(uid, 0xA9FE), 202), "failed", "does not fit"),
        (lambda request, uid: request.json(failed(uid, 0x9999), 409), "failed", "no known reason"),
        (lambda request, uid: request.json(failed(uid, 0x0111), 409), "was there already", ""),
        (lambda request, uid: request.json(failed(uid, 45070), 409), "was there already", ""),
        (lambda request, uid: request.json(stored(uid, WarningReason=0xB000), 202), "stored with a warning", "B000"),
        (lambda request, uid: request.json(stored("1.2.3")), "failed", "does not say"),
        (lambda request, uid: request.json({}), "failed", "does not say"),
    ],
)
def test_what_became_of_an_object_is_what_the_server_says(pacs, tmp_path, answer, outcome, reason):
    uid = str(dcmread(tmp_path / "ct" / "1.dcm").SOPInstanceUID)

    def ask(request: Request) -> bool:
        if uid.encode() not in request.body:
            return False
        answer(request, uid)
        return True

    pacs.fault = ask
    results = send(pacs, tmp_path / "ct")
    assert [each.outcome for each in results] == ["stored", outcome, "stored"]
    assert reason in results[1].reason
    # Only what was not accepted goes again.
    pacs.server.requests.clear()
    pacs.fault = lambda request: False
    send(pacs, tmp_path / "ct")
    assert len(pacs.server.requests) == (outcome == "failed")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda request: request.page(), "web page"),
        (lambda request: request.answer(b"<x/>", "application/dicom+xml"), "not DICOM"),
        (lambda request: request.answer(b"{", "application/dicom+json"), "does not say in DICOM JSON"),
        (lambda request: request.status(413), "413"),
        (lambda request: request.status(307, Location="http://127.0.0.1:1/elsewhere"), "redirects what is sent"),
        (lambda request: request.status(503), "503"),
    ],
)
def test_a_send_that_cannot_go_on_says_how_far_it_came(pacs, tmp_path, fault, words):
    def ask(request: Request) -> bool:
        if not pacs.received:
            return False
        fault(request)
        return True

    pacs.fault = ask
    with pytest.raises(PacsError) as problem:
        send(pacs, tmp_path / "ct")
    assert words in sentence(problem)
    assert "Of 3 objects 1 were sent so far" in sentence(problem)
    pacs.fault = lambda request: False
    assert [each.outcome for each in send(pacs, tmp_path / "ct")] == ["was sent before", "stored", "stored"]
    assert set(pacs.received) == set(pacs.objects.values())


def test_a_file_that_changes_while_it_is_sent_is_not_stored(pacs, tmp_path):
    victim = tmp_path / "ct" / "2.dcm"
    original = victim.read_bytes()
    for changed in (original + b"x", original[:-1] + b"x", original[:-9]):

        def change(step: str, done: int, total: int, changed: bytes = changed) -> None:
            if done == 2:
                victim.write_bytes(changed)

        with pytest.raises(InputError) as problem:
            send(pacs, tmp_path / "ct", progress=change)
        assert "changed while it was sent" in sentence(problem)
        victim.write_bytes(original)
    assert len(pacs.received) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"no DICOM" * 100), "no DICOM file"),
        (lambda path: write_series(path.parent, body(1), name=lambda k: path.name, StudyInstanceUID=""), "valid UIDs"),
        (lambda path: (path.parent / "sent.json").write_text("[1]"), "damaged"),
    ],
)
def test_nothing_is_sent_where_something_is_wrong(pacs, tmp_path, make, words):
    make(tmp_path / "ct" / "z.dcm")
    with pytest.raises(OsteoScreenError) as problem:
        send(pacs, tmp_path / "ct")
    assert words in sentence(problem)
    assert not pacs.server.requests


# ---- stopping


class Enough(Exception):
    """The user's."""


def test_a_transfer_can_be_cancelled_and_goes_on_where_it_was(pacs, tmp_path):
    def slowly(request: Request) -> bool:
        time.sleep(0.15 if "/instances/" in request.path else 0)
        return False

    def enough(step: str, done: int, total: int) -> None:
        if done >= 1:
            raise Enough

    pacs.fault = slowly
    for transfer, where in ((fetch, tmp_path / "back"), (send, tmp_path / "ct")):
        with pytest.raises(Enough):
            transfer(pacs, where, progress=enough, **({"threads": 1} if transfer is fetch else {}))
    assert len(pacs.received) == 1
    assert not list((tmp_path / "back").rglob(".fetching-*"))
    came = len(contents(tmp_path / "back"))
    fetched = fetch(pacs, tmp_path / "back")
    assert (fetched.were_there, fetched.came) == (came, 3 - came)
    assert [each.outcome for each in send(pacs, tmp_path / "ct")] == ["was sent before", "stored", "stored"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_a_send_that_was_ended_from_outside_goes_on_where_it_was(pacs, tmp_path, how):
    def second_waits(request: Request) -> bool:
        if pacs.received:
            time.sleep(3)
        return False

    pacs.fault = second_waits
    command = [sys.executable, "-m", "OsteoScreenLib", "pacs", "send", pacs.url, str(tmp_path / "ct")]
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while len(pacs.server.requests) < 2:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(getattr(signal, how))
    _, error = process.communicate(timeout=20)
    if how == "SIGINT":
        assert process.returncode == 130
        assert error.splitlines()[-1].endswith("what was sent stays, and the same command goes on from there.")
    pacs.fault = lambda request: False
    accepted = [each.outcome for each in send(pacs, tmp_path / "ct")]
    assert accepted[0] == "was sent before" and accepted[-1] == "stored"
    assert set(pacs.received) == set(pacs.objects.values())


def test_another_thread_can_stop_a_transfer(pacs, tmp_path):
    started = threading.Event()

    def trickle(request: Request) -> bool:
        if "/instances/" not in request.path:
            return False
        request.reply.send_response(200)
        request.reply.send_header("Content-Type", RELATED + "; boundary=x")
        request.reply.end_headers()
        request.reply.wfile.write(b"--x\r\n\r\n")
        started.set()
        while True:
            request.reply.wfile.write(bytes(1000))
            time.sleep(0.01)

    pacs.fault = trickle
    with pacs.connection() as connection:
        stopper = threading.Thread(target=lambda: started.wait(5) and connection.stop())
        stopper.start()
        with pytest.raises(PacsError) as problem:
            fetch_study(connection, pacs.study, tmp_path / "back", pacs.series)
        stopper.join()
        assert "was stopped" in sentence(problem)
        assert not contents(tmp_path / "back")
        with pytest.raises(PacsError):
            find_studies(connection, Wanted(), 5)


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
