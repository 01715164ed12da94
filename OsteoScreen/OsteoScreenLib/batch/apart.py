"""The child process that a worker screens in, seen from the worker: started, asked, timed, ended and replaced."""

from __future__ import annotations

import contextlib
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
from .outcome import Order, Outcome, Trouble, troubled

#: How long a child may take to import PyTorch and load the networks [s]; a cold disk or a busy machine is slow.
START_S = 600.0
#: A child is replaced after so many studies, whatever it holds: libraries in C leak a little.
MOST_STUDIES = 1000
#: And when it holds so much more than after its first study [MB]. What the largest scan needs stays with the process's
#: allocator and is used again; more than this is no longer that.
MOST_GROWTH_MB = 1024.0
#: How often a child that ends while it starts is started again.
_STARTS = 3
#: How long a killed process may take to end [s]; one that hangs in a dead share's read ends when the share does.
_END_S = 10.0

_ENGINE = Path(OsteoScreenLib.__file__).resolve().parents[1]
#: One thread each: what the cores are shared by are the workers.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


class ChildEnded(Exception):
    """The child ended while it was asked; the text says how."""


class ChildSilent(Exception):
    """The child did not answer in time."""


class ChildUnusable(OsteoScreenError):
    """No child can be started."""


class Child:
    """A process of :mod:`.child`; it ends when this one does, however this one ends."""

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
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="child", daemon=True).start()
        self._asked = 0
        self.studies = 0
        self._first_mb: float | None = None
        self._mb = 0.0

    @property
    def is_worn(self) -> bool:
        """Whether it should be replaced before the next study."""
        grown = self._mb - (self._mb if self._first_mb is None else self._first_mb)
        return self.studies >= MOST_STUDIES or grown > MOST_GROWTH_MB

    def start(self, settings: Mapping[str, Any]) -> None:
        """Wait until it can screen with these settings.  Raises ChildUnusable when it does not get there."""
        try:
            self._line(time.monotonic() + START_S)
            self._ask({"do": "start", "settings": dict(settings)}, START_S)
        except (ChildEnded, ChildSilent) as error:
            raise ChildUnusable(
                f"The process that screens could not be started ({error}); is OsteoScreen installed as a whole on the "
                "worker?"
            ) from error

    def screen(self, order: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the outcome of an order.  Raises ChildEnded or ChildSilent."""
        done = self._ask({"do": "screen", "order": dict(order)}, timeout_s)
        self.studies += 1
        self._mb = float(done["rss_mb"])
        self._first_mb = self._first_mb or self._mb
        return done

    def kill(self) -> None:
        """End it at once, and what it may have started."""
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_S)

    def _ask(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        self._asked += 1
        encoded = json.dumps({"id": self._asked, **message}).encode("ascii") + b"\n"
        until = time.monotonic() + timeout_s
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encoded)
            self._process.stdin.flush()
        except OSError:
            raise ChildEnded(self._how_it_ended()) from None
        while True:
            answer = json.loads(self._line(until))
            if answer.get("id") == self._asked:
                return dict(answer["done"])

    def _line(self, until: float) -> bytes:
        try:
            line = self._lines.get(timeout=max(until - time.monotonic(), 0.0))
        except queue.Empty:
            raise ChildSilent("it did not answer in time") from None
        if line is None:
            raise ChildEnded(self._how_it_ended())
        return line

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

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


class Screener:
    """Screens one order after the other in a child that is started when it is needed, and again when it is lost."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def screen(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outcome of an order, whatever becomes of the child."""
        order = Order.from_json(document)
        try:
            child = self._ready(document["settings"])
        except (ChildUnusable, OSError) as error:
            self.close()
            return troubled(Trouble.UNUSABLE, str(error)).to_json()
        began = time.monotonic()
        try:
            return Outcome.from_json(child.screen(document, order.timeout_s)).to_json()
        except ChildEnded as error:
            return self._lost(Trouble.KILLED, f"Its process did not survive it: {error}.", began)
        except ChildSilent:
            return self._lost(Trouble.TIMEOUT, f"It took longer than {order.timeout_s:g} s.", began)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _ready(self, settings: Mapping[str, Any]) -> Child:
        if self._child is not None and self._child.is_worn:
            self.close()
        for attempt in range(1, _STARTS + 1):
            if self._child is not None:
                break
            self._child = Child()
            try:
                self._child.start(settings)
            except ChildUnusable:
                self.close()
                # Whoever looks for memory may have ended this one too, and no study is at fault yet.
                if attempt == _STARTS:
                    raise
        assert self._child is not None
        return self._child

    def _lost(self, trouble: Trouble, reason: str, began: float) -> dict[str, Any]:
        self.close()
        return troubled(trouble, reason, round(time.monotonic() - began, 3)).to_json()
