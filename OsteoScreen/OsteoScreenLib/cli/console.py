"""What the command line prints: messages, progress, and the log of an unexpected error."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import OsteoScreenError, system_reason
from ..printable import printable

#: Steps shorter than this are not worth a line [s].
QUIET_S = 1.0
#: Longer words in a message are shown without their middle.
LONGEST_WORD = 300
#: A longer message is cut.
LONGEST_MESSAGE = 4000


def print_error(message: str) -> None:
    """Print one line ``osteoscreen: message`` to stderr."""
    sentence = printable(" ".join(_shortened(word) for word in message.split()), LONGEST_MESSAGE)
    try:
        print(f"osteoscreen: {sentence}", file=sys.stderr, flush=True)
    except BrokenPipeError:
        _drop(sys.stderr)


def _shortened(word: str) -> str:
    """A word of a message, its middle cut where it is no word but a path or a value without end."""
    return word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD // 2]}…{word[-LONGEST_WORD // 2 :]}"


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stdout; a reader who left early is no error.

    Raises OsteoScreenError when they cannot be written (standard output is a file on a full disk).
    """
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
    except OSError as error:
        _drop(sys.stdout)
        raise OsteoScreenError(f"Nothing can be written to standard output: {system_reason(error)}.") from error


def flush_quietly(code: int) -> int:
    """Flush both streams; a reader who left early changes nothing about ``code``."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _drop(stream)
        except ValueError:
            pass  # closed by the caller
    return code


def _drop(stream: Any) -> None:
    """Send what is left in a broken stream nowhere, so that the interpreter does not complain at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class ConsoleProgress:
    """A :data:`~OsteoScreenLib.progress.Progress` on stderr.

    A bar on a terminal; elsewhere one plain line for each step that takes longer than :data:`QUIET_S`.
    """

    def __init__(self, stream: Any = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._on_terminal = bool(getattr(self._stream, "isatty", lambda: False)())
        self._step = ""
        self._began = 0.0
        self._told = False
        self._bar: Any = None

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step != self._step:
            self.close()
            self._step, self._began, self._told = step, now, False
        if self._on_terminal:
            self._draw(step, done, total, now)
        elif not self._told and now - self._began > QUIET_S:
            self._told = True
            self._print(f"{step} … ({done} of {total})" if total > 1 else f"{step} …")

    def _draw(self, step: str, done: int, total: int, now: float) -> None:
        if self._bar is None:
            if now - self._began < QUIET_S / 4:
                return
            from tqdm import tqdm

            self._bar = tqdm(total=total or None, desc=step, file=self._stream, leave=False, dynamic_ncols=True)
        self._bar.total = total or None
        self._bar.n = done
        self._bar.refresh()

    def _print(self, line: str) -> None:
        try:
            print(line, file=self._stream, flush=True)
        except (BrokenPipeError, ValueError):
            self._told = True

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._step = ""

    def __enter__(self) -> ConsoleProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_error_log(error: BaseException, words: Sequence[str]) -> Path | None:
    """Write the traceback of an unexpected error to a new file, without paths of the user's; None when that fails.

    Folder and file names often hold a patient's name, so of the command only its first word and its options' names
    are kept, and whatever looks like a path outside the program is cut from the messages.
    """
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    lines = [
        f"osteoscreen {__version__}, Python {platform.python_version()}, {platform.platform()}",
        "command: " + " ".join([*(w for w in words[:1] if not w.startswith("-")), *options]),
        "",
        *_traceback_lines(error, words),
    ]
    try:
        handle, name = tempfile.mkstemp(prefix=time.strftime("osteoscreen-%Y%m%d-%H%M%S-"), suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines) + "\n")
    except OSError:
        return None
    return Path(name)


def _traceback_lines(error: BaseException, words: Sequence[str]) -> list[str]:
    lines: list[str] = []
    chained: BaseException | None = error
    seen: set[int] = set()
    while chained is not None and id(chained) not in seen:
        seen.add(id(chained))
        block = ["Traceback (most recent call last):"]
        block += [part.rstrip("\n") for part in traceback.format_tb(chained.__traceback__)]
        block.append(f"{type(chained).__name__}: {_without_paths(str(chained), words)}")
        lines = block + ([""] + lines if lines else [])
        chained = chained.__cause__ or (None if chained.__suppress_context__ else chained.__context__)
    return lines


def _without_paths(text: str, words: Sequence[str]) -> str:
    for word in sorted((w.partition("=")[2] or w for w in words), key=len, reverse=True):
        if len(word) > 3:
            text = text.replace(word, "<argument>")
    return re.sub(r"(?:[A-Za-z]:)?[/\\][^\s'\"]*[^\s'\".,;:)]", "<path>", text)
