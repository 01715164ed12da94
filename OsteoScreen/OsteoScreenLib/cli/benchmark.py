"""``osteoscreen benchmark``: how fast this computer screens a study, against the least that it could take."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import BundleError, UsageError
from .console import ConsoleProgress, print_lines

NAME = "benchmark"
HELP = "Measure how fast this computer screens a study, and how much memory it takes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``benchmark`` to ``parser``."""
    parser.add_argument("--ct", metavar="CT", help="screen this CT (with --l1 and --l2) instead of a phantom")
    parser.add_argument("--l1", metavar="S", help="centre slice of its L1, as `screen` takes it")
    parser.add_argument("--l2", metavar="S", help="centre slice of its L2")
    parser.add_argument("--segmentation-model", metavar="NAME|DIR", help="the segmentation bundle")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns 0."""
    given = (arguments.ct, arguments.l1, arguments.l2)
    if any(given) and not all(given):
        raise UsageError("--ct, --l1 and --l2 go together: give all three, or none for the phantom.")
    from ..benchmark import Subject, run_benchmark
    from ..models import default_bundle, load_bundle

    name = arguments.segmentation_model
    bundle = load_bundle(name, "segmentation") if name else default_bundle("segmentation")
    if bundle is None:
        raise BundleError("No segmentation bundle is installed; name one with --segmentation-model.")
    subject = Subject(Path(arguments.ct), arguments.l1, arguments.l2) if arguments.ct else None
    with ConsoleProgress() as progress:
        localisation = default_bundle("localisation")
        measured = run_benchmark(subject, bundle, arguments.device, progress, localisation=localisation)
    print_lines([json.dumps(measured, indent=2) if arguments.json else _table(measured)])
    return 0


def _table(measured: dict[str, Any]) -> str:
    software, study, cold = measured["software"], measured["study"], measured["cold"]
    floor, warm = study["floor_s"], study["warm_s"]
    lines = [
        f"OsteoScreen {software['osteoscreen']}, torch {software['torch']}, {software['device']}, "
        f"{software['cores']} cores, {software['system']}",
        f"One study of {study['slices']} slices ({study['ct']}), L1 and L2 given, medians:",
        f"  floor: decode two slices {_ms(floor['decode'])} + {len(study['forward_passes'])} forward passes "
        f"{_ms(floor['forward'])} = {_ms(floor['total'])}",
        f"  warm:  headers {_ms(warm['read_headers'])}, segment {_ms(warm['segment'])}, all {_ms(warm['total'])}: "
        f"{study['total_over_floor']:.2f} x floor, {study['total_less_headers_over_floor']:.2f} x without headers",
        f"  cold:  {cold['total_s']:.2f} s in a new process, peak memory {_mib(cold)}",
        f"  slices decoded: {study['decoded_slices']}",
        *_suggesting(measured["suggesting"]),
        "What grows with the number of slices:",
        *(
            f"  {row['slices']:4d} slices: headers {_ms(row['read_headers_s'])}, the rest {_ms(row['rest_s'])}"
            for row in measured["headers"]
        ),
        "Slices per second through the network:",
        *(
            f"  {row['device']} {row['dtype']}, batch {row['batch']:2d}: {row['slices_per_s']:.1f}"
            for row in measured["throughput"]
        ),
    ]
    return "\n".join(lines)


def _suggesting(measured: dict[str, Any] | None) -> list[str]:
    if measured is None:
        return []
    return [
        f"Levels suggested on {measured['slices']} slices, nothing outlined: headers {_ms(measured['read_s'])}, "
        f"reading the scan and looking for the spine {_ms(measured['suggest_s'])}; {measured['process_s']:.2f} s in a "
        f"new process, peak memory {_mib(measured)}"
    ]


def _mib(measured: dict[str, Any]) -> str:
    return "unknown" if measured["peak_memory_mib"] is None else f"{measured['peak_memory_mib']:.0f} MiB"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
