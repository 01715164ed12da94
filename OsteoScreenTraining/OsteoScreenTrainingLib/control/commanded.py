"""The process that a job's command runs in: the command line, with an ear for the job's requests."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..training.stopping import INTERRUPTED, LOOK_S, STOP, job_folder, looked_for, mark_stopped

#: Seconds that a command gets to follow a request by itself before it is interrupted, as by Ctrl-C: one that does not
#: look for requests, and one that looks between two steps, which take this long with a large network on a CPU.
_PATIENCE_S, _STEP_S = 4.0, 120.0
#: Seconds until a command that goes on all the same is interrupted again: the first interrupt may fall where it is
#: swallowed (in a destructor, for example), and a command that ends in good order takes less.
_AGAIN_S = 20.0


def main(arguments: Sequence[str]) -> int:
    """Run ``osteoscreen arguments``; return the exit code."""
    from OsteoScreenLib.cli import main as command_line

    supervisor = _own_stdin()
    threading.Thread(target=_end_with, args=(supervisor,), name="supervisor", daemon=True).start()
    job = job_folder()
    if job is not None:
        threading.Thread(target=_interrupt_on_request, args=(job,), name="requests", daemon=True).start()
    return command_line(arguments)


def _own_stdin() -> int:
    """Return the descriptor of stdin, and leave an empty one in its place; see OsteoScreenLib.worker.__main__."""
    given = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return given


def _end_with(supervisor: int) -> None:
    """End this process and those that it started when its supervisor is gone: nobody would know that it runs."""
    with contextlib.suppress(OSError):
        while os.read(supervisor, 4096):
            pass
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)  # the job's own group, see supervisor.py
    os._exit(1)


def _interrupt_on_request(job: Path) -> None:
    """Interrupt a command that does not follow a request itself, until it ends."""
    while True:
        since = time.monotonic()
        while (job / STOP).exists():
            if time.monotonic() - since > (_STEP_S if looked_for() else _PATIENCE_S):
                mark_stopped(job, INTERRUPTED)
                while True:
                    _interrupt()
                    time.sleep(_AGAIN_S)
            time.sleep(LOOK_S / 2)
        time.sleep(LOOK_S / 2)


def _interrupt() -> None:
    """Interrupt the main thread as Ctrl-C does, also where it waits for something."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()
