"""The worker's process: see :mod:`OsteoScreenLib.worker` for what it reads and writes."""

from __future__ import annotations

import json
import logging
import os
import platform
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from . import PROTOCOL

Reply = Callable[[dict[str, Any]], None]


def main() -> None:
    """Answer messages until stdin ends; this never returns."""
    serve(PROTOCOL, _load)


def _load() -> Callable[[Any, Reply], None]:
    from .operations import handle

    return handle


def serve(
    protocol: str, load: Callable[[], Callable[[Any, Reply], None]], at_end: Callable[[], None] = lambda: None
) -> None:
    """Say hello by ``protocol``, then give each JSON line of stdin, and what writes its answers to stdout, to what
    ``load`` imports; this never returns, and ends the process when stdin ends, after ``at_end``."""
    given, channel = _own_streams()
    _write(channel, {"hello": protocol, "python": platform.python_version(), "pid": os.getpid()})
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Before anything waits for stdin: on Windows a library may look at it while it loads, and would wait as well.
    handle = load()
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(given, lines, at_end), name="stdin", daemon=True).start()
    while True:
        handle(_parsed(lines.get()), lambda answer: _write(channel, answer))


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return stdin and stdout for the protocol alone; what anybody else writes to stdout goes to stderr.

    The descriptors themselves change places, for libraries in C print too. stdin becomes empty for them: on Windows,
    numpy's OpenBLAS looks at it while it loads, and would hang until the pending read ends (numpy issue 24290).
    """
    given = os.fdopen(os.dup(0), "rb")
    channel = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return given, channel


def _read(given: BinaryIO, lines: queue.SimpleQueue[bytes], at_end: Callable[[], None]) -> None:
    """Hand on lines until stdin ends, and then end the process, whatever it is computing: nobody waits for it."""
    try:
        for line in given:
            if line.strip():
                lines.put(line)
    finally:
        try:
            at_end()
        finally:
            os._exit(0)


def _parsed(line: bytes) -> Any:
    """The line's JSON value; None, which is no message, where it has none."""
    try:
        return json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _write(channel: BinaryIO, answer: dict[str, Any]) -> None:
    try:
        channel.write(json.dumps(answer, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n")
        channel.flush()
    except OSError:
        os._exit(1)  # whoever asked is gone


if __name__ == "__main__":
    main()
