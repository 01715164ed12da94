"""Screening in a process of its own, as the command line is used, and measuring its time and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from .errors import OsteoScreenError, StudyRefused

#: Runs a command and writes its peak memory, as getrusage gives it, to a file.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def screen_in_child(
    scan: Path, out: Path, *words: str, device: str, refused: bool = False
) -> tuple[float, float | None]:
    """Screen ``scan`` into ``out``, with further ``words``; logs are kept beside ``out``. See `run_child`."""
    command = [sys.executable, "-m", "OsteoScreenLib", "screen", str(scan.resolve()), "-o", str(out), *words]
    return run_child([*command, "--device", device], out.parent, refused=refused)


def highest(peaks: Iterable[float | None]) -> float | None:
    """Return the highest of the peaks of memory that could be had, None where none could."""
    return max((peak for peak in peaks if peak is not None), default=None)


def run_child(command: list[str], folder: Path, *, refused: bool = False) -> tuple[float, float | None]:
    """Run a command; returns its wall time in seconds and its peak memory in MiB (None where it cannot be had).

    Raises OsteoScreenError where it fails; that it refused the study is no failure where ``refused`` is expected.
    """
    log, usage = folder / "cold.log", folder / "cold.usage"
    # On Linux a child's peak starts at the memory of whoever started it: a small process starts it for us.
    measured = command if sys.platform == "win32" else [sys.executable, "-c", _MEASURED, str(usage), *command]
    began = time.perf_counter()
    with open(log, "wb") as output:
        code = subprocess.call(measured, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    elapsed = time.perf_counter() - began
    if code not in ((0, StudyRefused.exit_code) if refused else (0,)):
        said = log.read_text(errors="replace").strip().splitlines()
        raise OsteoScreenError(f"Screening in a process of its own failed: {said[-1] if said else 'it said nothing'}")
    if sys.platform == "win32":
        return elapsed, None
    # KiB on Linux, bytes on macOS (getrusage(2) of each).
    return elapsed, float(usage.read_text()) / (1 << 20 if sys.platform == "darwin" else 1 << 10)
