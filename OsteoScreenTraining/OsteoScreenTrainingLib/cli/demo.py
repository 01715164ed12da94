"""``osteoscreen demo``: a simulated chest CT, screened like any other."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

NAME = "demo"
HELP = "Simulate a chest CT as a DICOM series, screen it, and say where the page is."

#: A subject whose anatomy is easy to see, with a density in the range of osteopenia.
SEED = 4
BMD_MG_CM3 = 95.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``demo`` to ``parser``."""
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, default=Path("osteoscreen-demo"),
        help="the folder to write to (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=SEED, help="another seed is another person (default: %(default)s)")
    parser.add_argument("--segmentation-model", metavar="NAME|DIR", help="the segmentation bundle")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")


def run(arguments: argparse.Namespace) -> int:
    """Simulate, screen, and print what was measured beside what is true; returns the exit code of the screening."""
    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..simulation.study import simulate_study

    out: Path = arguments.output
    print("Simulating a chest CT, T10 to L3 ...", flush=True)
    with ConsoleProgress() as progress:
        study = simulate_study(out, arguments.seed, bmd_mg_cm3=BMD_MG_CM3, replace=True, progress=progress)
    levels = study.truth["levels"]
    print(f"  {study.truth['slices']} slices, a DICOM series, in {study.series}")
    words = [str(study.series), "-o", str(out), *(f"--{n.lower()}={levels[n]['slice_z_mm']:g}" for n in ("L1", "L2"))]
    words += ["--device", arguments.device]
    if arguments.segmentation_model:
        words += ["--segmentation-model", arguments.segmentation_model]
    print(f"\nScreening it: osteoscreen screen {' '.join(words)}", flush=True)
    code = _screen(words)
    if code == 0:
        print("\n" + _comparison(json.loads((out / "result.json").read_text(encoding="utf-8")), levels))
    print(f"\nThe page: {(out / 'report.html').resolve()}")
    return code


def _screen(words: list[str]) -> int:
    """Run ``osteoscreen screen`` with the given words, as the command line does."""
    from OsteoScreenLib.cli import screen

    parser = argparse.ArgumentParser(prog="osteoscreen screen")
    screen.add_arguments(parser)
    return screen.run(parser.parse_args(words))


def _comparison(result: dict[str, Any], levels: dict[str, Any]) -> str:
    """Return what was measured beside what was put in: in a simulation, the truth is known."""
    measured = result["densitometry"]["bmd_mg_cm3"]
    rows = [f"  {n}: {measured[n]:.0f} mg/cm3 measured, {levels[n]['bmd_mg_cm3']:.0f} simulated" for n in ("L1", "L2")]
    return "\n".join(["BMD, against the truth of the simulation:", *rows])
