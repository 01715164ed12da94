"""A PACS that is busy or breaks off, and a transfer that is stopped: all arrives whole in the end."""

from __future__ import annotations

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
from scripted_pacs import FAST, RELATED, contents, fetch, send, sentence
from scripted_server import Request

from OsteoScreenLib.pacs.errors import PacsError
from OsteoScreenLib.pacs.fetching import fetch_study
from OsteoScreenLib.pacs.finding import Wanted, find_studies
from OsteoScreenLib.pacs.transport import Patience

ENGINE = Path(__file__).resolve().parents[2]
PATIENCE_S = 120


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
    ended = threading.Event()

    def second_waits(request: Request) -> bool:
        if pacs.received:
            ended.wait(PATIENCE_S)
        return False

    pacs.fault = second_waits
    command = [sys.executable, "-m", "OsteoScreenLib", "pacs", "send", pacs.url, str(tmp_path / "ct")]
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE_S
    while len(pacs.server.requests) < 2:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(getattr(signal, how))
    _, error = process.communicate(timeout=PATIENCE_S)
    ended.set()
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
        stopper = threading.Thread(target=lambda: started.wait(PATIENCE_S) and connection.stop())
        stopper.start()
        with pytest.raises(PacsError) as problem:
            fetch_study(connection, pacs.study, tmp_path / "back", pacs.series)
        stopper.join()
        assert "was stopped" in sentence(problem)
        assert not contents(tmp_path / "back")
        with pytest.raises(PacsError):
            find_studies(connection, Wanted(), 5)
