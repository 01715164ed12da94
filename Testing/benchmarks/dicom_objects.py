"""What the DICOM objects of a screening cost: seconds and bytes of each, and whether dciodvfy finds errors in them.

    .venv/bin/python Testing/benchmarks/dicom_objects.py [CT -- L1 [L2]]

Without arguments, of a geometric phantom of 150 slices of 512 x 512 pixels. ``first`` is the first call in a process,
with what it imports; ``warm`` the median of the following ones; ``cpu`` the processor's time of a warm one, which does
not depend on what else the machine does. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from OsteoScreenLib.benchmark_phantom import SLICE_MM, write_phantom
from OsteoScreenLib.reports.dicom import write_dicom_objects
from OsteoScreenLib.reports.pdf import render_pdf
from OsteoScreenLib.screening import Screening, ScreeningRequest, screen

SLICES, REPEATS = 150, 5
#: What each row of the table asks for.
ASKED: dict[str, dict[str, Any]] = {
    "all four kinds": {},
    "seg": {"kinds": ["seg"]},
    "seg with its probability map": {"kinds": ["seg"], "fractional": True},
    "sr": {"kinds": ["sr"]},
    "capture": {"kinds": ["capture"]},
    "pdf": {"kinds": ["pdf"]},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?")
    parser.add_argument("levels", nargs="*", metavar="L")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        screening = _screening(Path(temporary) / "ct", arguments.ct, arguments.levels)
        print(json.dumps(_measured(screening, Path(temporary) / "objects"), indent=2))


def _screening(folder: Path, ct: str | None, levels: list[str]) -> Screening:
    if ct is None:
        folder.mkdir()
        middle = write_phantom(folder, SLICES)[SLICES // 2]
        levels = [f"{middle:g}", f"{middle - 18 * SLICE_MM:g}"]
    l1, l2 = (*levels, None)[:2]
    return screen(ScreeningRequest(ct or folder, l1=l1, l2=l2, force=True))


def _measured(screening: Screening, folder: Path) -> dict[str, Any]:
    pdf = render_pdf(screening.result, screening.pictures)
    found: dict[str, Any] = {
        name: _times(partial(write_dicom_objects, screening, folder, pdf=pdf, **asked)) for name, asked in ASKED.items()
    }
    found["bytes"] = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    found["errors by dciodvfy"] = _errors(folder)
    return found


def _times(write: Callable[[], Any]) -> dict[str, float]:
    walls, cpus = [], []
    for _ in range(1 + REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        write()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "first": round(walls[0], 3),
        "warm": round(statistics.median(walls[1:]), 3),
        "cpu": round(statistics.median(cpus[1:]), 3),
    }


def _errors(folder: Path) -> int | None:
    """How many lines of dciodvfy are errors; None where it is not installed."""
    checker = shutil.which("dciodvfy")
    if checker is None:
        return None
    said = [
        subprocess.run([checker, "-new", str(path)], capture_output=True, text=True, errors="replace")
        for path in folder.iterdir()
    ]
    return sum(line.startswith("Error") for one in said for line in (one.stdout + one.stderr).splitlines())


if __name__ == "__main__":
    main()
