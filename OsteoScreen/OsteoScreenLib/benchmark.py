"""How fast one study is screened, against the least that it could take.

The floor is what no screening can do without: decoding two slices (by pydicom alone, where the CT is DICOM) and the
forward passes that their segmentation makes, run on tensors that are ready. Both are measured in the same run as the
screening, in turns, so that a busy machine slows all alike; every time is a median.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import __version__
from .benchmark_child import highest, screen_in_child
from .benchmark_phantom import SLICE_MM, write_phantom
from .benchmark_suggesting import measure_suggesting
from .ct import CT, open_ct
from .device import choose_device
from .errors import OsteoScreenError
from .models import Bundle
from .progress import Progress, silent
from .screening import ScreeningRequest, screen
from .segmentation import Segmenter

#: Slices of the phantoms; the first is that of a chest CT, the second shows what grows with their number.
PHANTOM_SLICES = (150, 500)
#: Slices that go through the network together.
BATCHES = (1, 2, 4, 8, 16)
#: How often each is measured; of the cold ones the system's caches are warm from the second on.
WARM_ROUNDS = 7
COLD_ROUNDS = 3
HEADER_ROUNDS = 3
#: Long enough for a median of several batches on a slow machine.
THROUGHPUT_S = 2.0


@dataclass(frozen=True)
class Subject:
    """The CT that is screened, and where its two levels are (as ``screen`` takes them)."""

    path: Path
    l1: str
    l2: str
    phantom: bool = False


def run_benchmark(
    subject: Subject | None,
    bundle: Bundle,
    device: str = "auto",
    progress: Progress = silent,
    *,
    localisation: Bundle | None = None,
) -> dict[str, Any]:
    """Measure, and return what ``benchmark --json`` prints; times in seconds, memory in MiB.

    Parameters
    ----------
    subject : the CT to screen; None for the phantom.
    bundle : the segmentation bundle.
    device : where the study is screened; the throughput is measured on every device there is.
    localisation : the bundle that suggests levels; without one, that is not measured.

    Raises OsteoScreenError where the network finds no vertebra on the CT, and what ``screen`` raises.
    """
    with tempfile.TemporaryDirectory(prefix="osteoscreen-benchmark-") as temporary:
        phantoms = [_phantom(Path(temporary), slices, progress) for slices in PHANTOM_SLICES]
        subject = subject or phantoms[0]
        return {
            "software": _software(device),
            "bundle": {"name": bundle.name, "version": bundle.version},
            "study": _study(subject, bundle, device, progress),
            "cold": _cold(subject, bundle, device, Path(temporary), progress),
            "suggesting": localisation and measure_suggesting(localisation, device, Path(temporary), progress),
            "headers": _headers(phantoms, bundle, device, progress),
            "throughput": _throughput(bundle, progress),
        }


def _software(device: str) -> dict[str, Any]:
    return {
        "osteoscreen": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(choose_device(device)),
    }


def _phantom(folder: Path, slices: int, progress: Progress) -> Subject:
    place = folder / f"phantom-{slices}"
    place.mkdir()
    heights = write_phantom(place, slices, progress)
    middle = heights[slices // 2]
    return Subject(place, f"{middle:g}", f"{middle - 18 * SLICE_MM:g}", phantom=True)


def _request(subject: Subject, bundle: Bundle, device: str) -> ScreeningRequest:
    # Forced, because what is measured is the time, and a phantom is rightly refused or warned about.
    return ScreeningRequest(
        ct=subject.path, l1=subject.l1, l2=subject.l2, segmentation_model=bundle.path, device=device, force=True
    )


def _study(subject: Subject, bundle: Bundle, device: str, progress: Progress) -> dict[str, Any]:
    """Floor and warm screening of one study, in turns."""
    request = _request(subject, bundle, device)
    first = screen(request)
    decoded = first.ct.decoded_slices
    if len(first.result.roi) != 2:
        what = "phantom; name a CT with --ct, --l1 and --l2" if subject.phantom else "CT; choose other levels"
        raise OsteoScreenError(f"The segmentation network finds no vertebra on the benchmark's {what}.")
    indices = [first.result.levels[name].slice_index for name in ("L1", "L2")]
    decode = _decoder(subject.path, first.ct, indices)
    segmenter = Segmenter(bundle, device)
    forward, passes = _forward(segmenter, first.ct, indices)
    times: dict[str, list[float]] = {name: [] for name in ("decode", "forward", "open", "segment", "total")}
    for turn in range(WARM_ROUNDS):
        progress("Screening warm", turn, WARM_ROUNDS)
        times["decode"].append(_seconds(decode))
        times["forward"].append(_seconds(forward))
        times["open"].append(_seconds(partial(open_ct, subject.path)))
        began = time.perf_counter()
        result = screen(request).result
        times["total"].append(time.perf_counter() - began)
        times["segment"].append(result.timing_s["segment"])
    median = {name: statistics.median(values) for name, values in times.items()}
    floor = median["decode"] + median["forward"]
    return {
        "ct": "phantom" if subject.phantom else "given",
        "slices": first.ct.geometry.shape[0],
        "forward_passes": passes,
        "floor_s": {"decode": median["decode"], "forward": median["forward"], "total": floor},
        "warm_s": {"read_headers": median["open"], "segment": median["segment"], "total": median["total"]},
        "total_over_floor": median["total"] / floor,
        "total_less_headers_over_floor": (median["total"] - median["open"]) / floor,
        "decoded_slices": decoded,
    }


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _decoder(path: Path, ct: CT, indices: Sequence[int]) -> Callable[[], Any]:
    """Return what decodes the given slices and nothing else."""
    files = _slice_files(path, [ct.geometry.slice_z(k) for k in indices]) if ct.kind == "dicom" else []
    if len(files) != len(indices):
        # A volume file, or one DICOM file with all slices: there, our reader is the only one at hand.
        def reread() -> list[np.ndarray]:
            fresh = open_ct(path)
            return [fresh.slice(k) for k in indices]

        return reread
    import pydicom

    def decode() -> list[np.ndarray]:
        headers = [pydicom.dcmread(file) for file in files]
        return [
            header.pixel_array.astype(np.float32) * np.float32(header.get("RescaleSlope", 1))
            + np.float32(header.get("RescaleIntercept", 0))
            for header in headers
        ]

    return decode


def _slice_files(folder: Path, heights: Sequence[float]) -> list[Path]:
    """Return the single-frame DICOM files at the given heights (RAS S = DICOM z, mm); fewer where some have none."""
    import pydicom

    if not folder.is_dir():
        return []
    places: dict[float, Path] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = pydicom.dcmread(file, specific_tags=["ImagePositionPatient"], stop_before_pixels=True)
            places[round(float(header.ImagePositionPatient[2]), 2)] = file
        except (pydicom.errors.InvalidDicomError, AttributeError, TypeError, ValueError, OSError):
            continue
    return [places[round(z, 2)] for z in heights if round(z, 2) in places]


def _forward(segmenter: Segmenter, ct: CT, indices: Sequence[int]) -> tuple[Callable[[], Any], list[list[int]]]:
    """Return what runs the forward passes alone, and their input shapes, as segmenting the slices really makes them."""
    inputs: list[torch.Tensor] = []
    hook = segmenter.network.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    column, row, _ = ct.geometry.spacing_mm
    try:
        for k in indices:
            segmenter.segment(ct.slice(k), (row, column))
    finally:
        hook.remove()

    def forward() -> None:
        with torch.inference_mode():
            for given in inputs:
                segmenter.network(given)
            _wait(segmenter.device)

    forward()
    return forward, [list(given.shape) for given in inputs]


def _wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _cold(subject: Subject, bundle: Bundle, device: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """A new process per study, as the command line is used: imports, reading, screening, page."""
    words = [f"--l1={subject.l1}", f"--l2={subject.l2}", "--force"]
    words += ["--segmentation-model", str(bundle.path.resolve())]
    seconds, peaks = [], []
    for turn in range(COLD_ROUNDS):
        progress("Screening cold", turn, COLD_ROUNDS)
        elapsed, peak = screen_in_child(subject.path, folder / f"cold-{turn}", *words, device=device)
        seconds.append(elapsed)
        peaks.append(peak)
    return {"total_s": statistics.median(seconds), "peak_memory_mib": highest(peaks)}


def _headers(phantoms: Sequence[Subject], bundle: Bundle, device: str, progress: Progress) -> list[dict[str, Any]]:
    """What grows with the number of slices: reading headers, and nothing else."""
    rows = []
    for number, phantom in enumerate(phantoms):
        progress("Reading headers", number, len(phantoms))
        opened, screened = [], []
        for _ in range(HEADER_ROUNDS):
            opened.append(_seconds(partial(open_ct, phantom.path)))
            screened.append(_seconds(partial(screen, _request(phantom, bundle, device))))
        read, total = statistics.median(opened), statistics.median(screened)
        rows.append(
            {"slices": PHANTOM_SLICES[number], "read_headers_s": read, "total_s": total, "rest_s": total - read}
        )
    return rows


def _throughput(bundle: Bundle, progress: Progress) -> list[dict[str, Any]]:
    """Slices per second through the forward passes, by device and batch: one locate and two outline views a slice."""
    rows = []
    for device in [name for name in ("cpu", "cuda", "mps") if _is_there(name)]:
        segmenter = Segmenter(bundle, device)
        sides = [int(bundle.preprocessing[name]["size"]) for name in ("locate", "outline")]
        for batch in BATCHES:
            progress(f"Counting slices per second on {device}", BATCHES.index(batch), len(BATCHES))
            inputs = [_blank(segmenter, batch, sides[0]), _blank(segmenter, 2 * batch, sides[1])]
            rows.append(
                {
                    "device": device,
                    "dtype": str(segmenter.dtype).removeprefix("torch."),
                    "batch": batch,
                    "slices_per_s": batch / _median_seconds(segmenter, inputs),
                }
            )
    return rows


def _is_there(device: str) -> bool:
    try:
        choose_device(device)
    except OsteoScreenError:
        return False
    return True


def _blank(segmenter: Segmenter, batch: int, side: int) -> torch.Tensor:
    blank = torch.zeros(batch, 1, side, side, device=segmenter.device, dtype=segmenter.dtype)
    return blank.contiguous(memory_format=segmenter.memory_format)


def _median_seconds(segmenter: Segmenter, inputs: Sequence[torch.Tensor]) -> float:
    times: list[float] = []
    with torch.inference_mode():
        began = time.perf_counter()
        while len(times) < 4 or time.perf_counter() - began < THROUGHPUT_S:
            started = time.perf_counter()
            for given in inputs:
                segmenter.network(given)
            _wait(segmenter.device)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])  # the first pays for the allocation
