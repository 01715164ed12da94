"""Jobs: real processes that are started, watched, stopped and killed; their training is in test_control_training.py."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from OsteoScreenLib.errors import OsteoScreenError, UsageError
from OsteoScreenTrainingLib.control import jobs
from OsteoScreenTrainingLib.control.jobs import JobState, kill_job, read_job, request_stop, start_job
from OsteoScreenTrainingLib.training import job_files

#: Runs for minutes, and looks for no request itself.
LONG = ["simulate", "slices", "--count", "20000", "-o"]


@pytest.fixture
def start(paths):
    """Return what starts a job; what still runs afterwards is ended."""
    folders = []

    def begin(arguments, folder):
        folders.append(folder)
        start_job([str(word) for word in arguments], folder, python=[sys.executable], search_path=paths)

    yield begin
    for folder in folders:
        if read_job(folder).state == "running":
            kill_job(folder)
            await_state(folder, "paused", "crashed")


@pytest.fixture
def idle(tmp_path):
    """Return a command that waits for a file's content without computing anything, and what waits until it does."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    pipe, held = tmp_path / "config.json", []
    os.mkfifo(pipe)

    def await_reading(seconds=600.0) -> None:
        deadline = time.monotonic() + seconds
        while not held:
            assert time.monotonic() < deadline, "nobody reads"
            time.sleep(0.02)
            with contextlib.suppress(OSError):  # nobody reads yet
                held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    command = ["train", "segmentation", "-o", tmp_path / "run", "--config", pipe, "--print-config"]
    yield command, await_reading
    for descriptor in held:
        os.close(descriptor)


def await_state(folder, *states, seconds=600.0) -> JobState:
    deadline = time.monotonic() + seconds
    while (found := read_job(folder)).state not in states:
        assert time.monotonic() < deadline, found
        assert found.state == "running", found
        time.sleep(0.05)
    return found


def await_file(path: Path, seconds=600.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def await_death(pid: int, seconds=600.0) -> None:
    deadline = time.monotonic() + seconds
    while _lives(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def pids(folder: Path) -> tuple[int, int]:
    """Return the process numbers of a job's supervisor and of its command."""
    deadline = time.monotonic() + 600
    while (document := job_files.load_job(folder))["command_pid"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return document["pid"], document["command_pid"]


def test_a_command_runs_to_its_end_and_what_it_said_is_kept(start, tmp_path):
    folder = tmp_path / "deep" / "job"
    assert read_job(folder) == JobState("none")
    start(["models", "list"], folder)
    assert read_job(folder).command == ("models", "list")
    found = await_state(folder, "finished")
    assert found.exit_code == 0 and found.message == "Finished."
    assert "vertebral-body-dcnn" in found.log_tail
    assert found.started and found.ended and found.started <= found.ended
    assert sorted(path.name for path in folder.iterdir()) == ["heartbeat", "job.json", "job.lock", "output.log"]
    assert all(job_files.is_job_file(path.name) for path in folder.iterdir()) and not job_files.is_job_file("log.csv")

    start(["models", "show", "nothing-of-that-name"], folder)
    found = await_state(folder, "failed")
    assert found.exit_code == 5
    assert found.message.startswith("There is no model bundle called 'nothing-of-that-name'")
    assert "vertebral-body-dcnn  " not in found.log_tail.split("osteoscreen:")[0]
    assert "vertebral-body-dcnn" in (folder / "output.log").read_text()


def test_one_folder_has_one_job(start, tmp_path):
    start([*LONG, tmp_path / "slices"], tmp_path / "job")
    with pytest.raises(UsageError, match=r"running in .* already"):
        start([*LONG, tmp_path / "other"], tmp_path / "job")
    kill_job(tmp_path / "job")
    found = await_state(tmp_path / "job", "paused")
    assert "Ended at once" in found.message and "Start it again" in found.message


def test_of_many_starts_at_once_one_wins(paths, tmp_path):
    """Whoever looks at job.json before the other has written it is held off by the lock."""
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from OsteoScreenTrainingLib.control.jobs import start_job\n"
        "from OsteoScreenLib.errors import UsageError\n"
        "arguments = ['simulate', 'slices', '--count', '20000', '-o', sys.argv[1] + '/slices']\n"
        "try: start_job(arguments, sys.argv[1], python=[sys.executable], search_path=sys.argv[2:])\n"
        "except UsageError: sys.exit(3)\n"
    )
    folder = tmp_path / "job"
    started = [subprocess.Popen([sys.executable, "-c", script, str(folder), *paths]) for _ in range(6)]
    try:
        assert sorted(process.wait(600) for process in started) == [0, 3, 3, 3, 3, 3]
        # Who started it has ended, and it goes on.
        await_file(folder / "slices")
        assert read_job(folder).state == "running"
    finally:
        kill_job(folder)
        await_state(folder, "paused", "crashed")


def test_a_command_that_does_not_look_is_interrupted(start, tmp_path):
    folder = tmp_path / "job"
    start([*LONG, tmp_path / "slices"], folder)
    await_file(tmp_path / "slices")
    request_stop(folder)
    found = read_job(folder)
    assert found.stopping and found.message == "Stopping …"
    found = await_state(folder, "paused")
    assert found.exit_code == 130 and "in good order" in found.message and not found.stopping
    assert not (folder / "stop").exists() and not (folder / "stopped").exists()
    request_stop(folder)  # of a job that has ended
    assert not (folder / "stop").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_command_whose_starter_ignores_interrupts_is_interrupted_too(start, idle, tmp_path):
    folder, (command, await_reading) = tmp_path / "job", idle
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background
    try:
        start(command, folder)
    finally:
        signal.signal(signal.SIGINT, before)
    await_reading()
    request_stop(folder)
    assert await_state(folder, "paused").exit_code == 130


#: Swallows the first interrupt, and waits without waking: a lock that nobody gives back.
SWALLOWING = """
import pathlib, signal, sys, threading
from OsteoScreenTrainingLib.control import commanded
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
commanded._PATIENCE_S, commanded._AGAIN_S = 0.1, 0.5
job = pathlib.Path(sys.argv[1])
(job / "stop").touch()
threading.Thread(target=commanded._interrupt_on_request, args=(job,), daemon=True).start()
for swallowed in range(2):
    try:
        threading.Semaphore(0).acquire()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_a_command_that_swallows_an_interrupt_is_interrupted_again(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWING, str(tmp_path)], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.stdout.split() == ["interrupted"] * 2, done.stderr
    assert (tmp_path / "stopped").is_file()


def test_a_killed_command_is_a_crash_with_its_cause(start, tmp_path):
    folder = tmp_path / "job"
    start([*LONG, tmp_path / "slices"], folder)
    await_file(tmp_path / "slices")
    os.kill(pids(folder)[1], signal.SIGKILL)
    found = await_state(folder, "crashed")
    assert found.exit_code == -9
    assert "killed (SIGKILL)" in found.message and "memory" in found.message


def test_a_killed_supervisor_takes_its_command_along(start, tmp_path, monkeypatch):
    folder = tmp_path / "job"
    start([*LONG, tmp_path / "slices"], folder)
    await_file(tmp_path / "slices")
    supervisor, command = pids(folder)
    assert read_job(folder).state == "running"
    os.kill(supervisor, signal.SIGKILL)
    await_death(command)
    monkeypatch.setattr(jobs, "_SILENT_S", 1.0)
    found = await_state(folder, "crashed")
    monkeypatch.undo()
    assert "without a word" in found.message and found.exit_code is None
    start(["models", "list"], folder)
    await_state(folder, "finished")


def test_a_terminated_supervisor_hands_it_on(start, idle, tmp_path):
    folder, (command, await_reading) = tmp_path / "job", idle
    start(command, folder)
    await_reading()
    os.kill(pids(folder)[0], signal.SIGTERM)
    assert await_state(folder, "paused").exit_code == 130


def test_what_cannot_start_says_why(tmp_path, paths):
    with pytest.raises(OsteoScreenError, match="could not be started: no such file"):
        start_job(["models"], tmp_path / "a", python=[str(tmp_path / "no-python")], search_path=paths)
    with pytest.raises(OsteoScreenError, match=r"could not be started: .*No module named 'OsteoScreenTrainingLib'"):
        start_job(["models"], tmp_path / "b", python=[sys.executable, "-I", "-S"])
    (tmp_path / "file").write_text("")
    with pytest.raises(OsteoScreenError, match="could not be started"):
        start_job(["models"], tmp_path / "file", python=[sys.executable], search_path=paths)
    assert read_job(tmp_path / "a").state == "none"


# -- reading what others wrote


def _write(folder: Path, **values) -> None:
    folder.mkdir(exist_ok=True)
    document = {"schema": "osteoscreen-job/1", "token": "t", "command": ["train"], "state": "running"}
    document |= {"host": job_files.host(), "boot": job_files.boot_identity(), "log_from": 0} | values
    (folder / "job.json").write_text(json.dumps(document))


def _beat(folder: Path, ago_s: float) -> None:
    (folder / "heartbeat").touch()
    moment = time.time() - ago_s
    os.utime(folder / "heartbeat", (moment, moment))


def test_a_job_of_yesterday_is_dead_at_the_first_look(tmp_path):
    _write(tmp_path, command=["train", "segmentation", "-o", str(tmp_path)])
    _beat(tmp_path, 86400)
    found = read_job(tmp_path)
    assert found.state == "crashed" and found.message.endswith("Start it again.")
    (tmp_path / "checkpoints" / "step-00000120").mkdir(parents=True)
    assert read_job(tmp_path).message.endswith("It goes on from its checkpoint of step 120 with --resume.")


def test_a_restarted_computer_is_told(tmp_path):
    _write(tmp_path, boot="another")
    _beat(tmp_path, 1)
    if job_files.boot_identity():
        assert "restarted" in read_job(tmp_path).message


def test_another_computers_clock_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_SILENT_S", 0.5)
    monkeypatch.setattr(jobs, "_LOOK_S", 0.1)
    _write(tmp_path, host="elsewhere", boot="another")
    for ago in (7200, 7199, -7200, 3):
        _beat(tmp_path, ago)
        assert read_job(tmp_path).state == "running"
        time.sleep(0.2)
    deadline = time.monotonic() + 600
    while read_job(tmp_path).state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert read_job(tmp_path).state == "crashed"
    _beat(tmp_path, 2)  # it was only away for a while
    assert read_job(tmp_path).state == "running"


def test_a_computer_that_slept_is_no_crash(tmp_path, monkeypatch):
    """The clocks have run on, and the first look comes before the first beat."""
    _write(tmp_path)
    _beat(tmp_path, 0)
    assert read_job(tmp_path).state == "running"
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 28800)
    _beat(tmp_path, 28800)
    assert read_job(tmp_path).state == "running"
    _beat(tmp_path, 0)
    assert read_job(tmp_path).state == "running"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": "osteoscreen-job/1"', b"\xff\xfe", b'{"schema": 2}']
)
def test_a_damaged_file_is_told(tmp_path, content):
    (tmp_path / "job.json").write_bytes(content)
    found = read_job(tmp_path)
    assert found.state == "crashed" and "damaged" in found.message


def test_values_of_another_version_do_no_harm(tmp_path):
    _write(tmp_path, state="dancing", command=None, log_from="x")
    (tmp_path / "output.log").write_bytes(b"\xffa\r10%\r20%\rb \n\n" + b"line\n" * 100)
    found = read_job(tmp_path)
    assert found.state == "crashed" and "dancing" in found.message
    assert found.log_tail.splitlines() == ["line"] * 40
    (tmp_path / "output.log").write_bytes(b"one\n 10%\r 20%\r\n")
    assert read_job(tmp_path).log_tail == "one\n 20%"


def test_reading_is_quick(tmp_path):
    _write(tmp_path)
    _beat(tmp_path, 0)
    (tmp_path / "output.log").write_bytes(b"a line of output\n" * 1_000_000)
    start = time.process_time()  # what others do on this machine says nothing
    for _ in range(50):
        read_job(tmp_path)
    assert (time.process_time() - start) / 50 < 0.01
