"""The process that stands over a job's command: it starts it, keeps its output, beats, and writes down how it ended.

:func:`.jobs.start_job` starts it; it needs the standard library alone, so that it starts at once and outlives whatever
happens to the command.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..training.job_files import (
    BEAT_S,
    EXIT_TAKEN,
    KILL,
    LOG,
    ROOM,
    SCHEMA,
    beat,
    boot_identity,
    host,
    last_lines,
    now,
    take_lock,
    write_job,
)
from ..training.stopping import FOLLOWED, INTERRUPTED, JOB_VARIABLE, STOP, STOPPED

_BOOT = (
    "import base64, json, sys; given = json.loads(base64.b64decode(sys.argv[1])); sys.path[:0] = given['path']; "
    "from OsteoScreenTrainingLib.control.commanded import main; sys.exit(main(given['arguments']))"
)
#: Seconds between two looks at the command and at requests.
_LOOK_S = 0.2
#: Output that is kept in memory, where a full disk cannot reach it.
_KEPT_BYTES = 16384
_ROOM_BYTES = 65536
#: Seconds to try to write down how the job ended, and to wait for the last of the output.
_WRITE_S, _DRAIN_S = 60.0, 5.0
#: Exit code of a command that was interrupted (see OsteoScreenLib.cli), and of shells for a signal.
_INTERRUPTED, _SIGNALLED = 130, {134: 6, 137: 9, 139: 11, 143: 15}
#: From here on, exit codes of Windows are the system's (access violations, no memory).
_NTSTATUS = 0xC0000000
_PREFIX = "osteoscreen: "


def main(given: dict[str, Any]) -> int:
    """Run one job to its end.

    Args:
        given: ``folder``, ``arguments``, ``path`` (to put before the search path) and ``token`` (of this start).
    """
    folder = Path(given["folder"])
    lock = take_lock(folder)
    if lock is None:
        return EXIT_TAKEN
    with lock:
        _Supervision(folder, given).run()
    return 0


class _Supervision:
    def __init__(self, folder: Path, given: dict[str, Any]):
        self.folder, self.given = folder, given
        self.output = b""
        self.killed = False
        self.document = {
            "schema": SCHEMA,
            "token": given["token"],
            "command": given["arguments"],
            "state": "running",
            "started": now(),
            "ended": None,
            "exit_code": None,
            "message": "",
            "log_from": self._log_size(),
            "pid": os.getpid(),
            "command_pid": None,
            "host": host(),
            "boot": boot_identity(),
        }

    def run(self) -> None:
        for name in (STOP, STOPPED, KILL):
            self._remove(name)
        with contextlib.suppress(OSError):
            (self.folder / ROOM).write_bytes(bytes(_ROOM_BYTES))
        beat(self.folder)
        self._pass_signals_on()
        try:
            process = self._start()
        except OSError as error:
            self._end("failed", None, f"The command could not be started: {error.strerror or error}.")
            return
        self.document["command_pid"] = process.pid
        write_job(self.folder, self.document)
        pump = threading.Thread(target=self._keep_output, args=(process.stdout,), name="output", daemon=True)
        pump.start()
        code = self._wait(process)
        pump.join(_DRAIN_S)
        self._end(*self._ending(code))

    # -- the command

    def _start(self) -> subprocess.Popen[bytes]:
        words = {"arguments": self.given["arguments"], "path": self.given["path"]}
        encoded = base64.b64encode(json.dumps(words).encode()).decode("ascii")
        environment = os.environ | {JOB_VARIABLE: str(self.folder), "PYTHONIOENCODING": "utf-8:backslashreplace"}
        more: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            more = {"creationflags": subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
        # stdin is never written to: its end tells the command that its supervisor is gone.
        return subprocess.Popen(
            [sys.executable, "-u", "-c", _BOOT, encoded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            **more,
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        beaten = 0.0
        while process.poll() is None:
            if time.monotonic() - beaten >= BEAT_S:
                beat(self.folder)
                beaten = time.monotonic()
            if not self.killed and (self.folder / KILL).exists():
                self.killed = True
                _kill(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
        # Its own processes, where it left some, hold the data and the device.
        _kill(process)
        return process.returncode

    def _keep_output(self, stream: Any) -> None:
        while piece := os.read(stream.fileno(), 65536):
            self.output = (self.output + piece)[-_KEPT_BYTES:]
            with contextlib.suppress(OSError), open(self.folder / LOG, "ab") as log:
                log.write(piece)

    def _pass_signals_on(self) -> None:
        """Turn what asks this process to end (a computer that shuts down) into a request to the command."""

        def stop(*_: Any) -> None:
            with contextlib.suppress(OSError), open(self.folder / STOP, "ab"):
                pass

        for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    # -- the end

    def _ending(self, code: int) -> tuple[str, int, str]:
        """Return (state, exit code, message) of a command that has ended."""
        lines = last_lines(self.output).splitlines()
        said = next((line[len(_PREFIX) :] for line in reversed(lines) if line.startswith(_PREFIX)), "")
        stopped = self._stopped()
        if self.killed:
            return "paused", code, "Ended at once, as was asked for; what came after the last checkpoint is lost."
        if code == 0 and stopped != FOLLOWED:
            return "finished", code, ""
        if code == 0 or (code == _INTERRUPTED and stopped == INTERRUPTED):
            return "paused", code, "Stopped in good order, as was asked for."
        number = -code if code < 0 else _SIGNALLED.get(code)
        if number is not None:
            return "crashed", code, _killed_by(number)
        if code >= _NTSTATUS:
            return "crashed", code, f"Windows ended the process (0x{code:08X}), most often for want of memory."
        last = f": {lines[-1]}" if lines else "."
        return "failed", code, said or f"The command ended with exit code {code}{last}"

    def _stopped(self) -> str:
        try:
            # Empty is what a full disk leaves of it.
            return (self.folder / STOPPED).read_text(encoding="ascii") or FOLLOWED
        except (OSError, ValueError):
            return ""

    def _end(self, state: str, code: int | None, message: str) -> None:
        self.document |= {"state": state, "ended": now(), "exit_code": code, "message": message}
        self._remove(ROOM)
        deadline = time.monotonic() + _WRITE_S
        while True:
            beat(self.folder)
            try:
                write_job(self.folder, self.document)
                break
            except OSError:
                if time.monotonic() > deadline or not self.folder.is_dir():
                    break
                time.sleep(BEAT_S)
        for name in (STOP, STOPPED, KILL):
            self._remove(name)

    def _log_size(self) -> int:
        with contextlib.suppress(OSError):
            return (self.folder / LOG).stat().st_size
        return 0

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the command and the processes that it started."""
    if os.name == "nt":
        if process.poll() is None:
            subprocess.run(
                ["taskkill", "/T", "/F", "/PID", str(process.pid)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _killed_by(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return "The process was killed (SIGKILL), most often because the computer's memory ran out."
    return f"The process ended by {name}, without a word of its own; output.log may say more."
