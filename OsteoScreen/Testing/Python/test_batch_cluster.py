"""A batch on a cluster that others started: real scheduler and worker processes, and what becomes of their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from batch_archive import PATIENCE_S, complaints, finished_ids, results, rows, waited
from orthanc_process import free_port

from OsteoScreenLib.batch.study import State

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")]


@contextmanager
def dask(archive, *words: str) -> Iterator[subprocess.Popen]:
    """A scheduler or a worker, as a cluster's own scripts start them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        env=archive.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def cluster(archive, port: int) -> Iterator[subprocess.Popen]:
    """A scheduler with one worker; gives the scheduler."""
    address = ["--host=127.0.0.1", f"--port={port}"]
    with dask(archive, "scheduler", *address, "--no-dashboard") as scheduler:
        waited(lambda: _answers(port))
        with dask(archive, "worker", f"tcp://127.0.0.1:{port}", "--nthreads=1", "--no-dashboard"):
            yield scheduler


#: How long a scheduler may be away.
AWAY = "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"


def test_a_scheduler_that_stays_away_is_a_sentence_and_one_that_comes_back_costs_no_study(
    archive, undisturbed, tmp_path, monkeypatch
):
    out, port = tmp_path / "out", free_port()
    words = f"--scheduler=tcp://127.0.0.1:{port}"
    held = archive.holding(tmp_path / "held", "case-004", "case-005")
    monkeypatch.setenv(AWAY, "8s")
    with cluster(held, port) as scheduler, held.started(out, words) as driver:
        waited(lambda: finished_ids(out) or driver.poll() is not None)
        os.kill(scheduler.pid, signal.SIGKILL)
        _, complained = driver.communicate(timeout=PATIENCE_S)
    gone = (
        f"osteoscreen: The scheduler at tcp://127.0.0.1:{port} is gone; start it again, and the same command goes on.\n"
    )
    assert (driver.returncode, complaints(complained)) == (1, gone)
    assert not {row.state for row in rows(out).values()} - {State.WAITING, State.SCREENED}
    monkeypatch.setenv(AWAY, "1s")
    absent = archive.run(out, words)
    assert absent.returncode == 1
    assert "does not answer; start it (`dask scheduler`)" in absent.stderr
    monkeypatch.setenv(AWAY, "60s")
    held.let_go("case-004")
    with ExitStack() as stack:
        with cluster(held, port) as scheduler:
            driver = stack.enter_context(held.started(out, words))
            waited(lambda: "case-004" in finished_ids(out) or driver.poll() is not None)
            os.kill(scheduler.pid, signal.SIGKILL)
        held.let_go("case-005")
        with cluster(held, port):
            _, complained = driver.communicate(timeout=PATIENCE_S)
    assert (driver.returncode, complaints(complained)) == (0, "")
    assert results(out) == undisturbed


def test_a_worker_of_another_version_takes_no_part(archive, tmp_path):
    """What it finds would be mixed with what the others find."""
    older = tmp_path / "older"
    older.mkdir()
    (older / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'OsteoScreenLib.batch.child' in sys.orig_argv:\n"
        "    from importlib import metadata\n"
        "    newest = metadata.version\n"
        "    metadata.version = lambda name: '1.0' if name == 'torch' else newest(name)\n"
    )
    done = replace(archive, prelude=[older]).run(Path(tmp_path / "out"), "--workers=1")
    assert done.returncode == 1
    assert "A worker's versions (osteoscreen" in done.stderr and "torch 1.0" in done.stderr
    assert {row.state for row in rows(tmp_path / "out").values()} == {State.WAITING}


SLOW_TO_END = """
import os
from OsteoScreenLib.batch import cluster
if __name__ == "__main__":
    cluster._GOODBYE_S = cluster._END_S = 0.0001
    started = cluster.Cluster.start_local(1)
    print(started.threads)
    started.close()
    print("closed", flush=True)
    os._exit(0)  # here Dask waits 10 s more, and kills then
"""


def test_workers_that_are_slow_to_end_are_no_failure(archive, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW_TO_END)
    command = [sys.executable, str(tmp_path / "slow.py")]
    done = subprocess.run(command, env=archive.environment(), capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (0, "1\nclosed\n"), done.stderr


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
