"""What suggested levels cost: the whole scan is read and looked at, where given levels need two slices of it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from .benchmark_child import highest, screen_in_child
from .benchmark_phantom import write_phantom
from .models import Bundle
from .progress import Progress, silent

#: Slices of a long chest CT: 80 cm of phantom, more than any chest, so that what is measured is on the safe side.
SLICES = 400
ROUNDS = 3


def measure_suggesting(bundle: Bundle, device: str, folder: Path, progress: Progress = silent) -> dict[str, Any]:
    """Return what ``screen --l1 auto --l2 auto`` takes in a process of its own, medians, in seconds and MiB.

    The phantom has no ribs, so that no level is suggested and nothing is outlined: what is measured is reading the
    scan and looking for its spine.

    Raises OsteoScreenError where the process fails.
    """
    place = folder / f"phantom-suggest-{SLICES}"
    place.mkdir()
    write_phantom(place, SLICES, progress)
    rows, peaks = [], []
    for turn in range(ROUNDS):
        progress("Suggesting levels", turn, ROUNDS)
        out = folder / f"suggested-{turn}"
        elapsed, peak = screen_in_child(
            place, out, "--l1=auto", "--l2=auto", "--localisation-model", str(bundle.path.resolve()), device=device,
            refused=True,
        )  # fmt: skip
        timing = json.loads((out / "result.json").read_text(encoding="utf-8"))["timing_s"]
        rows.append({"read": timing["read"], "suggest": timing["suggest"], "process": elapsed})
        peaks.append(peak)
    return {
        "slices": SLICES,
        "bundle": {"name": bundle.name, "version": bundle.version},
        **{f"{name}_s": statistics.median(row[name] for row in rows) for name in ("read", "suggest", "process")},
        "peak_memory_mib": highest(peaks),
    }
