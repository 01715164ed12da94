"""The child process that a worker screens in, seen from the worker: started, asked, timed and ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import OsteoScreenLib

from ..errors import OsteoScreenError
from .inputs import sweep_fetched

#: How long a child may take to import PyTorch and load the networks [s]; a cold disk or a busy machine is slow.
START_S = 600.0
#: A child is replaced after so many studies, whatever it holds: libraries in C leak a little.
MOST_STUDIES = 1000
#: And when it holds so much more than after its first study [MB]. What the largest scan needs stays with the process's
#: allocator and is used again; more than this is no longer that.
MOST_GROWTH_MB = 1024.0
#: How long a killed process may take to end [s]; one that hangs in a dead share's read ends when the share does.
_END_S = 10.0

_ENGINE = Path(OsteoScreenLib.__file__).resolve().parents[1]
#: One thread each: what the cores are shared by are the workers.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
#: Under which number its first line is waited for, which has none.
_HELLO = 0


class ChildEnded(Exception):
    """The child ended while it was asked; the text says how.

    Attributes:
        was_killed: it was ended from here, for something else than what was asked.
        had_others: it was asked other things too, so that nobody knows what it ended of.
    """

    def __init__(self, how: str, *, was_killed: bool, had_others: bool) -> None:
        super().__init__(how)
        self.was_killed, self.had_others = was_killed, had_others


class ChildSilent(Exception):
    """The child did not answer in time."""


class ChildUnusable(OsteoScreenError):
    """No child can be started."""


class _Asked:
    """What came back of one message; None is the child's end."""

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def hear(self, answer: dict[str, Any] | None) -> None:
        self._heard.put(answer)

    def wait(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the answer, None where the child ended. Raises ChildSilent when the child has worked for so long on
        it; the time in which it says to stand still is not counted."""
        left, runs = timeout_s, True
        while True:
            since = time.monotonic()
            try:
                answer = self._heard.get(timeout=max(left, 0.0) if runs else None)
            except queue.Empty:
                raise ChildSilent("it did not answer in time") from None
            if answer is None or "stands_still" not in answer:
                return answer
            if runs:
                left -= time.monotonic() - since
            runs = not answer["stands_still"]


class Child:
    """A process of :mod:`.child`, which several threads may ask; it ends when this one does, however this one ends."""

    def __init__(self) -> None:
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
        paths = [str(_ENGINE), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "OsteoScreenLib.batch.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What libraries say of a scan may name the patient, and what matters of it is in the outcome.
            stderr=subprocess.DEVNULL,
            env=environment,
            # Ctrl-C is for the driver, which ends its workers in order.
            start_new_session=True,
        )
        self._numbers = itertools.count(_HELLO + 1)
        self._hello = _Asked()
        self._asked = {_HELLO: self._hello}
        self._asking, self._writing = threading.Lock(), threading.Lock()
        self._ended_with: int | None = None
        self._was_killed = False
        self.studies = 0
        self._first_mb: float | None = None
        self._mb = 0.0
        threading.Thread(target=self._listen, name="child", daemon=True).start()

    @property
    def is_worn(self) -> bool:
        """Whether it should be replaced before the next study."""
        grown = self._mb - (self._mb if self._first_mb is None else self._first_mb)
        return self.studies >= MOST_STUDIES or grown > MOST_GROWTH_MB

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended."""
        return self._ended_with is not None

    def start(self, settings: Mapping[str, Any], gather: int | None) -> None:
        """Wait until it can screen with these settings; it runs passes of ``gather`` slices of several studies, by
        default as many as its device is good for. Raises ChildUnusable when it does not get there."""
        try:
            self._answer(self._hello, START_S)
            with self._asking:
                self._asked.pop(_HELLO, None)
            self._ask({"do": "start", "settings": dict(settings), "gather": gather}, START_S)
        except (ChildEnded, ChildSilent) as error:
            raise ChildUnusable(
                f"The process that screens could not be started ({error}); is OsteoScreen installed as a whole on the "
                "worker?"
            ) from error

    def screen(self, order: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the outcome of an order.  Raises ChildEnded, or ChildSilent when the child has worked on it for longer
        than ``timeout_s``."""
        done = self._ask({"do": "screen", "order": dict(order)}, timeout_s)
        with self._asking:
            self.studies += 1
            self._mb = float(done["rss_mb"])
            self._first_mb = self._first_mb or self._mb
        return done

    def kill(self) -> None:
        """End it at once, and what it may have started; what it had fetched goes with it."""
        with self._asking:
            self._was_killed = self._was_killed or not self.has_ended
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_S)
        sweep_fetched(self._process.pid)

    def _ask(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        asked, number = _Asked(), next(self._numbers)
        with self._asking:
            if self.has_ended:
                asked.hear(None)
            self._asked[number] = asked
        encoded = json.dumps({"id": number, **message}).encode("ascii") + b"\n"
        assert self._process.stdin is not None
        try:
            # One that cannot be written to has ended, or is ending, which the listener tells.
            with self._writing, contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(encoded)
                self._process.stdin.flush()
            return dict(self._answer(asked, timeout_s)["done"])
        finally:
            with self._asking:
                self._asked.pop(number, None)

    def _answer(self, asked: _Asked, timeout_s: float) -> dict[str, Any]:
        answer = asked.wait(timeout_s)
        if answer is None:
            others = (self._ended_with or 0) > 1
            raise ChildEnded(self._how_it_ended(), was_killed=self._was_killed, had_others=others)
        return answer

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError), self._process.stdout as lines:
            for line in lines:
                answer = json.loads(line)
                with self._asking:
                    asked = self._asked.get(answer.get("id", _HELLO))
                if asked is not None:
                    asked.hear(answer)
        with self._asking:
            self._ended_with = len(self._asked)
            for asked in self._asked.values():
                asked.hear(None)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            return "it stopped talking"
        if code >= 0:
            return f"it ended with the code {code}"
        with contextlib.suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
        return f"it was ended by the signal {-code}"
