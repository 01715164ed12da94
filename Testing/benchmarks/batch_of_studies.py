"""How fast a batch of simulated studies goes, how well a second worker helps, and whether memory and pace stay.

    .venv/bin/python Testing/benchmarks/batch_of_studies.py [--studies 1000] [--scans 20] [--keep FOLDER]

Simulates ``--scans`` chest CT as DICOM (about 50 MB each) and lists each of them again and again until there are
``--studies`` studies, so that disks of any size will do; all but the first reading of a scan then comes from the
system's cache. The shipped bundles screen them with the levels that were simulated. Three batches: all studies with two
workers, a tenth of them with one, and a tenth with two. Prints JSON:

studies_per_hour : from the first study's beginning to the last one's end, by workers and studies
efficiency_of_2 : what two workers get done in the time of one, over two, a tenth of the studies each
steady_studies_per_hour : the same between the ends of the first and the last fifth of the studies
seconds_per_study : mean time that one study took its process, over the whole batch, and over its first tenth
growth_mb : of the memory of each screening process, from the second tenth of its time to its last
memory_mb : the most that all processes of the batch held together
cpu_s_per_study : of all screening processes together, between the ends of the first and the last fifth of the studies
cores_used : by each screening process in the mean over its life, of the one that it should compute on
bookkeeping : what one driver can keep up with: `--rows` made-up studies are listed, begun and ended in store and log,
    as the driver does it but without workers; milliseconds a study, and bytes of store and log

`batch_overlap.py` compares one study in hand with several.

What else runs on the computer is in the figures: `load_before` is the number of processes that wanted a core at the
start, which should be near 0.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "OsteoScreen"), str(REPOSITORY / "OsteoScreenTraining")]

_CHILD = "OsteoScreenLib.batch.child"
#: How often memory is looked at [s].
_LOOK_S = 1.0


def main() -> None:
    """Run the three batches and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--scans", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--keep", type=Path, help="keep scans and results here; scans that are there are used again")
    arguments = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(prefix="osteoscreen-benchmark-") as temporary:
        folder = (arguments.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        scans = [simulated(folder / "scans" / f"{seed:04d}", seed) for seed in range(1, arguments.scans + 1)]
        few = max(arguments.studies // 10, 2)
        batches = {
            f"{count} studies, {workers} workers": run_batch(folder, scans, count, workers)
            for count, workers in ((few, 1), (few, 2), (arguments.studies, 2))
        }
        bookkeeping = _bookkeeping(folder, arguments.rows)
    one, two, whole = batches.values()
    print(
        json.dumps(
            {
                "computer": f"{platform.machine()}, {os.cpu_count()} cores, load_before {load}",
                "batches": batches,
                "efficiency_of_2": round(two["studies_per_hour"] / one["studies_per_hour"] / 2, 3),
                "seconds_per_study_whole_over_tenth": round(whole["seconds_per_study"] / two["seconds_per_study"], 3),
                "bookkeeping": bookkeeping,
            },
            indent=2,
        )
    )


def simulated(folder: Path, seed: int) -> dict[str, str]:
    """Return the row of one simulated scan, which is made where it is not there."""
    from OsteoScreenTrainingLib.simulation.study import simulate_study

    listed = folder.with_suffix(".json")
    if not listed.is_file():
        print(f"simulating scan {seed}", file=sys.stderr)
        study = simulate_study(folder, seed, replace=True)
        truth = study.truth["levels"]
        levels = {name.lower(): f"{truth[name]['slice_z_mm']:.2f}" for name in ("L1", "L2")}
        listed.write_text(json.dumps({"ct": str(study.series), **levels}))
    row: dict[str, str] = json.loads(listed.read_text())
    return row


def run_batch(folder: Path, scans: list[dict[str, str]], count: int, workers: int, *more: str) -> dict[str, Any]:
    """Screen ``count`` studies, the scans again and again, with ``more`` options; returns what it took."""
    out = folder / f"out-{count}-{workers}-{time.time_ns()}"
    manifest = folder / f"manifest-{count}.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", *scans[0]])
        writer.writeheader()
        writer.writerows({"id": f"study-{n:07d}", **scans[n % len(scans)]} for n in range(count))
    words = ["batch", str(manifest), "-o", str(out), f"--workers={workers}", "--device=cpu", *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}
    driver = subprocess.Popen([sys.executable, "-m", "OsteoScreenLib", *words], env=environment, stdout=sys.stderr)
    seen = _watched(driver)
    if driver.returncode:
        raise SystemExit(f"the batch ended with {driver.returncode}")
    processor = seen.pop("processor")
    return {**_told(out), "cpu_s_per_study": _cpu_s_per_study(out, processor), **seen}


def _watched(driver: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Look at the driver's processes until it ends: peak of memory, each child's growth, cores, processor."""
    most = 0.0
    seen: dict[int, list[float]] = {}
    used: dict[int, float] = {}
    processor: list[tuple[float, float]] = []
    while driver.poll() is None:
        total, spent = 0.0, 0.0
        for process in _processes(driver.pid):
            try:
                held = process.memory_info().rss / 1e6
                total += held
                if _CHILD in process.cmdline():
                    seen.setdefault(process.pid, []).append(held)
                    seconds = _processor_s(process)
                    used[process.pid] = seconds / max(time.time() - process.create_time(), 1e-3)
                    spent += seconds
            except psutil.Error:
                continue
        most = max(most, total)
        processor.append((time.time(), spent))
        time.sleep(_LOOK_S)
    return {
        "memory_mb": round(most),
        "growth_mb": [_growth(held) for held in seen.values() if len(held) >= 20],
        "cores_used": [round(cores, 2) for cores in used.values()],
        "processor": processor,
    }


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cpu_s_per_study(out: Path, processor: list[tuple[float, float]]) -> float:
    lines = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]
    ends = [datetime.fromisoformat(line["at"]).timestamp() for line in lines if line["event"] == "study ended"]
    first = len(ends) // 5
    times, seconds = ([pair[n] for pair in processor] for n in (0, 1))
    spent = np.interp([ends[first], ends[-1 - first]], times, seconds)
    return round(float(spent[1] - spent[0]) / (len(ends) - 1 - 2 * first), 3)


def _processes(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _growth(held: list[float]) -> float:
    """From the median of the second tenth, when everything is loaded, to that of the last one [MB]."""
    tenth = max(len(held) // 10, 1)
    return round(statistics.median(held[-tenth:]) - statistics.median(held[tenth : 2 * tenth]), 1)


def _told(out: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]
    begun = [line["up"] for line in lines if line["event"] == "study begun"]
    ends = [line for line in lines if line["event"] == "study ended"]
    # Without those in which a process of at most two loaded the networks.
    warm = [line["seconds"] for line in ends[2:] or ends]
    first_end = ends[0]["up"]
    hours = max(ends[-1]["up"] - first_end, 1e-6) / 3600
    return {
        "states": {state: sum(line["state"] == state for line in ends) for state in {line["state"] for line in ends}},
        "seconds_until_first": round(first_end - begun[0], 2),
        "steady_studies_per_hour": _steady([line["up"] for line in ends]),
        "studies_per_hour": round((len(ends) - 1) / hours),
        "seconds_per_study": round(statistics.fmean(warm), 3),
        "seconds_per_study_first_tenth": round(statistics.fmean(warm[: max(len(warm) // 10, 1)]), 3),
        "disk_mb_per_study": round(_size(out) / len(ends) / 1e6, 3),
    }


def _steady(ends: list[float]) -> int | None:
    """Studies an hour without the first and the last fifth, when processes start, or run out of studies."""
    fifth = len(ends) // 5
    middle = ends[fifth : len(ends) - fifth]
    return round((len(middle) - 1) / (middle[-1] - middle[0]) * 3600) if len(middle) > 5 else None


def _bookkeeping(folder: Path, count: int) -> dict[str, Any]:
    from OsteoScreenLib.batch.audit import AuditLog
    from OsteoScreenLib.batch.store import Store
    from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow
    from OsteoScreenLib.reports.table import COLUMNS

    out = folder / f"rows-{time.time_ns()}"
    out.mkdir()
    measures: dict[str, Any] = dict.fromkeys(COLUMNS, 123.4567)
    studies = [BatchStudy(f"study-{n:08d}", f"/archive/{n % 1000:03d}/{n:08d}", l1="auto") for n in range(count)]
    audit = AuditLog(out)
    with Store.open(out) as store:
        set_id = store.begin_set({}, {}, [])
        began = time.perf_counter()
        store.add(set_id, studies)
        listed = time.perf_counter()
        for study in studies:
            store.mark_running(set_id, [study.id])
            audit.note("study begun", set=set_id, study=study.id, alone=False)
            store.finish(set_id, StudyRow(study, State.SCREENED, 1, seconds=1.0, measures=measures, doubt=0.5))
            audit.note("study ended", set=set_id, study=study.id, state="screened", seconds=1.0)
        ended = time.perf_counter()
    audit.close()
    return {
        "rows": count,
        "list_ms": round(1000 * (listed - began) / count, 3),
        "begin_and_end_ms": round(1000 * (ended - listed) / count, 3),
        "bytes": round(_size(out) / count),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
