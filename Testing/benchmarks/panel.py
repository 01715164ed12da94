"""How long the panel takes from Screen to the result, and how long its window does not answer meanwhile.

    .venv/bin/python Testing/benchmarks/panel.py [SLICES ...]

In the host of Testing/slicer_host, on the geometric phantom of 512 x 512 pixels; the networks run in the worker
process, as in Slicer. Times are seconds: ``click`` is the button's own handler, ``longest_gap`` the longest time
without an answer to an event, ``first`` and ``warm`` go from the click to the result on the panel.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

TESTING = Path(__file__).resolve().parents[1]
REPEATS = 5


def main(slices: list[int]) -> None:
    """Print the times for phantoms of each number of slices as JSON."""
    sys.path[:0] = [str(TESTING), str(TESTING.parent / "OsteoScreen" / "Testing" / "Slicer")]
    import slicer_host

    slicer_host.start()
    slicer_host.load_module(str(TESTING.parent / "OsteoScreen" / "OsteoScreen.py"))
    widget = slicer_host.enter("OsteoScreen")
    print(json.dumps({f"{count} slices": _times(widget, count) for count in slices}, indent=2))
    slicer_host.unload("OsteoScreen")


def _times(widget: Any, count: int) -> dict[str, float]:
    import numpy as np
    import slicer
    from OsteoScreenTestCase import L1_SLICE, L2_SLICE, addPhantom

    from OsteoScreenSlicerLib.Levels import StudyLevels

    slicer.mrmlScene.Clear(0)
    volume = addPhantom("phantom")
    voxels = slicer.util.arrayFromVolume(volume)
    slicer.util.updateVolumeFromArray(volume, np.concatenate([voxels] * -(-count // len(voxels)))[:count])
    began = time.perf_counter()
    widget.parameterNode.inputVolume = volume
    widget.updatePanel()
    choosing = time.perf_counter() - began
    levels = StudyLevels(volume)
    levels.setSlice("L1", L1_SLICE)
    levels.setSlice("L2", L2_SLICE)
    widget.logic.workerProcess.stop()
    widget.updatePanel()
    runs = [_run(widget) for _ in range(1 + REPEATS)]
    return {
        "choose the CT": round(choosing, 3),
        "click, first": round(runs[0][0], 3),
        "click, warm": round(statistics.median(run[0] for run in runs[1:]), 3),
        "longest_gap": round(max(run[1] for run in runs), 3),
        "first": round(runs[0][2], 3),
        "warm": round(statistics.median(run[2] for run in runs[1:]), 3),
    }


def _run(widget: Any) -> tuple[float, float, float]:
    """Press Screen once; returns the click's time, the longest gap between two events, and the time to the result."""
    import slicer

    began = last = time.perf_counter()
    widget.ui.screenButton.click()
    click = time.perf_counter() - began
    gap = 0.0
    while widget.run.running:
        slicer.app.processEvents()
        now = time.perf_counter()
        gap, last = max(gap, now - last), now
        time.sleep(0.002)
    return click, gap, time.perf_counter() - began


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [135, 400])
