"""What it gains that each process of a batch has several studies in hand, and that their passes are gathered.

    .venv/bin/python Testing/benchmarks/batch_overlap.py [--studies 40] [--workers 2] [--keep FOLDER]

Screens the same simulated CT from three places, each with one study in hand and with several, in turns (one, several,
several, one) so that what else the computer does weighs on both alike:

server : from a DICOMweb server on this computer that thinks `--delay` ms over each request, as a PACS a network away
    does (a study's images are asked for one after the other)
cold disk : from files that the system does not hold in its cache: it is told to forget them before each batch
warm disk : from files that it holds
gathered : from warm files, several in hand both times, with and without `--gather 16`, on the CPU

Prints JSON: studies an hour of each batch without its first and last fifth, the ratios of their means, processor
seconds a study, and the memory of all processes together. Sixteen batches; the scans take 50 MB of disk a study.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from batch_of_studies import REPOSITORY, run_batch, simulated

sys.path.append(str(REPOSITORY / "OsteoScreen" / "Testing" / "Python"))

Rows = list[dict[str, str]]


def main() -> None:
    """Run the batches and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--scans", type=int, default=4, help="that are simulated, and copied until there are enough")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--in-flight", type=int, default=3)
    parser.add_argument("--delay", type=float, default=20.0, help="of the server, ms a request")
    parser.add_argument("--only", choices=("server", "cold disk", "warm disk", "gathered"), action="append")
    parser.add_argument("--keep", type=Path, help="keep scans and results here; scans that are there are used again")
    arguments = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(prefix="osteoscreen-benchmark-") as temporary:
        folder = (arguments.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        scans = _scans(folder, arguments.scans, arguments.studies)
        told = {name: compare() for name, compare in _comparisons(folder, scans, arguments)}
    print(json.dumps({"load_before": load, "workers": arguments.workers, **told}, indent=2))


def _comparisons(
    folder: Path, scans: Rows, arguments: argparse.Namespace
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    one, several = ["--in-flight=1"], [f"--in-flight={arguments.in_flight}"]

    def compared(rows: Rows, before: Callable[[], None], first: list[str], second: list[str]) -> dict[str, Any]:
        return _compared(folder, rows, arguments.workers, before, first, second)

    def from_server() -> dict[str, Any]:
        with _server(scans, arguments.delay / 1000) as rows:
            return compared(rows, lambda: None, one, several)

    offered = {
        "server": from_server,
        "cold disk": lambda: compared(scans, lambda: _forget(scans), one, several),
        "warm disk": lambda: compared(scans, lambda: _remember(scans), one, several),
        "gathered": lambda: compared(scans, lambda: _remember(scans), several, [*several, "--gather=16"]),
    }
    yield from ((name, run) for name, run in offered.items() if name in (arguments.only or offered))


def _compared(
    folder: Path, rows: Rows, workers: int, before: Callable[[], None], first: list[str], second: list[str]
) -> dict[str, Any]:
    speeds: dict[str, list[int]] = {}
    processor: dict[str, list[float]] = {}
    memory: dict[str, list[int]] = {}
    for words in (first, second, second, first):
        before()
        found = run_batch(folder, rows, len(rows), workers, *words)
        assert set(found["states"]) == {"screened"}, found["states"]
        speeds.setdefault(" ".join(words), []).append(found["steady_studies_per_hour"])
        processor.setdefault(" ".join(words), []).append(found["cpu_s_per_study"])
        memory.setdefault(" ".join(words), []).append(found["memory_mb"])
    slower, faster = (fmean(speeds[" ".join(words)]) for words in (first, second))
    return {
        "steady_studies_per_hour": speeds,
        "ratio": round(faster / slower, 3),
        "cpu_s_per_study": processor,
        "memory_mb": memory,
    }


def _scans(folder: Path, simulations: int, count: int) -> Rows:
    """Return ``count`` rows, each of a scan of its own files."""
    made = [simulated(folder / "scans" / f"{seed:04d}", seed) for seed in range(1, simulations + 1)]
    rows = []
    for n in range(count):
        row, copy = made[n % simulations], folder / "copies" / f"{n:04d}"
        if not copy.is_dir():
            shutil.copytree(row["ct"], copy)
        rows.append({**row, "ct": str(copy)})
    if hasattr(os, "sync"):
        os.sync()  # what is not on the disk yet cannot be forgotten
    return rows


def _files(rows: Rows) -> list[Path]:
    return [path for row in rows for path in Path(row["ct"]).rglob("*") if path.is_file()]


def _forget(rows: Rows) -> None:
    """Have the system drop the files from its cache, which anybody may ask for; Linux does."""
    for path in _files(rows):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _remember(rows: Rows) -> None:
    for path in _files(rows):
        path.read_bytes()


@contextmanager
def _server(rows: Rows, delay_s: float) -> Iterator[Rows]:
    """Serve the scans by DICOMweb; gives the rows with their addresses."""
    from pydicom import dcmread
    from scripted_pacs import first, item
    from scripted_server import Request, scripted

    studies: dict[str, dict[str, Path]] = {}
    series: dict[str, str] = {}
    addressed: dict[str, str] = {}
    for row in rows:
        files = sorted(path for path in Path(row["ct"]).rglob("*") if path.is_file())
        headers = [dcmread(path, stop_before_pixels=True) for path in files] if row["l1"] not in addressed else []
        if headers:
            study = str(headers[0].StudyInstanceUID)
            series[study] = str(headers[0].SeriesInstanceUID)
            studies[study] = {str(h.SOPInstanceUID): path for h, path in zip(headers, files, strict=True)}
            addressed[row["l1"]] = study

    def answer(request: Request) -> None:
        time.sleep(delay_s)
        path, _, query = request.path.partition("?")
        parts = path.split("/")
        study = parts[parts.index("studies") + 1]
        if path.endswith("/series"):
            about = item(
                SeriesInstanceUID=series[study], Modality="CT", NumberOfSeriesRelatedInstances=len(studies[study])
            )
            request.json([about] * first(query))
        elif path.endswith("/instances"):
            request.json([item(StudyInstanceUID=study, SOPInstanceUID=uid) for uid in studies[study]] * first(query))
        else:
            request.part(studies[study][parts[-1]].read_bytes())
        server.requests.clear()  # of which there are thousands

    with scripted(answer) as server:
        yield [{**row, "ct": f"dicomweb:{server.url}/studies/{addressed[row['l1']]}"} for row in rows]


if __name__ == "__main__":
    main()
