"""A PACS that refuses what is sent: what became of each object is told, and only what was not accepted goes again."""

from __future__ import annotations

import pytest
from dicom_files import body, write_series
from pydicom import dcmread
from scripted_pacs import failed, send, sentence, stored
from scripted_server import Request

from OsteoScreenLib.errors import InputError, OsteoScreenError
from OsteoScreenLib.pacs.errors import PacsError


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
