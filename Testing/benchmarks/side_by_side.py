"""A whole screening here beside the forward passes of the usual route, and our network beside the U-Net.

    .venv/bin/python Testing/benchmarks/side_by_side.py [--ct CT --l1 S --l2 S] [--passes 3] [--json]

All in one run, on one machine and one CT; without --ct a geometric phantom of 300 slices of 2 mm. Ours is the command
``screen`` as a user starts it: a new process, from reading the headers to the page. Of the usual route (see
``usual_route.py``) only the passes of its networks are counted, not reading, resampling, stitching or measuring, and of
the passes, which all cost the same, a few are made and multiplied. Every row is a process of its own; its memory is the
process's peak.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OsteoScreenLib.benchmark_child import run_child
from OsteoScreenLib.benchmark_phantom import SLICE_MM, write_phantom
from OsteoScreenLib.ct import open_ct

PHANTOM_SLICES = 300
#: Screenings of which the median is told.
SCREENINGS = 3
#: Slices outlined of which the median is told.
SLICES = 20
#: The segmentation networks beside each other, of the same first width and on the same patches.
NETWORKS = ("study_segmentation", "unet")


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and print the table, or JSON."""
    arguments = _parser().parse_args(given)
    if arguments.part:
        Path(arguments.told).write_text(json.dumps(_part(arguments)), encoding="utf-8")
        return
    if (arguments.ct is None) != (arguments.l1 is None and arguments.l2 is None):
        raise SystemExit("side_by_side.py: --ct, --l1 and --l2 go together.")
    with tempfile.TemporaryDirectory() as temporary:
        measured = _measured(arguments, Path(temporary))
    print(json.dumps(measured, indent=2) if arguments.json else table(measured))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct", help="the CT, as `screen` takes it")
    parser.add_argument("--l1", help="centre slice of its L1")
    parser.add_argument("--l2", help="centre slice of its L2")
    parser.add_argument("--passes", type=int, default=3, help="timed passes of each network of the usual route")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # what a child measures
    parser.add_argument("--told", help=argparse.SUPPRESS)  # where it says what it measured
    return parser


def _measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    ct, l1, l2 = arguments.ct, arguments.l1, arguments.l2
    if ct is None:
        heights = write_phantom(folder_of(folder, "phantom"), PHANTOM_SLICES)
        middle = heights[PHANTOM_SLICES // 2]
        ct, l1, l2 = str(folder / "phantom"), f"{middle:g}", f"{middle - 18 * SLICE_MM:g}"
    geometry = open_ct(Path(ct)).geometry
    study = ["--ct", str(Path(ct).resolve()), f"--l1={l1}", f"--l2={l2}"]
    measured: dict[str, Any] = {
        "ct": {"shape": list(geometry.shape), "spacing_mm": [round(step, 4) for step in geometry.spacing_mm]},
        "screening": _screening(ct, [f"--l1={l1}", f"--l2={l2}"], folder),
        "screening_auto": _screening(ct, ["--l1=auto", "--l2=auto"], folder),
        "screening_passes": _in_child("screening", study, folder)["told"],
        "outlining": _in_child("outlining", study, folder)["told"],
    }
    for name in NETWORKS:
        measured["outlining"][name]["peak_mib"] = _in_child(f"outlining {name}", study, folder)["peak_mib"]
    measured["usual"] = _usual(geometry, _in_child("usual", [*study, "--passes", str(arguments.passes)], folder))
    return measured


def folder_of(parent: Path, name: str) -> Path:
    """Return a new folder of that name."""
    (parent / name).mkdir()
    return parent / name


def _screening(ct: str, levels: list[str], folder: Path) -> dict[str, Any]:
    seconds, peaks = [], []
    for _ in range(SCREENINGS):
        place = Path(tempfile.mkdtemp(dir=folder))
        command = [sys.executable, "-m", "OsteoScreenLib", "screen", str(Path(ct).resolve()), "-o", str(place / "out"),
                   "--force", *levels]  # fmt: skip
        elapsed, peak = run_child(command, place, refused=True)
        seconds.append(elapsed)
        peaks.append(peak)
    return {"seconds": statistics.median(seconds), "peak_mib": max((peak for peak in peaks if peak), default=None)}


def _in_child(part: str, study: list[str], folder: Path) -> dict[str, Any]:
    place = Path(tempfile.mkdtemp(dir=folder))
    told = place / "told.json"
    command = [sys.executable, str(Path(__file__).resolve()), "--part", part, "--told", str(told), *study]
    _, peak = run_child(command, place)
    return {"told": json.loads(told.read_text(encoding="utf-8")), "peak_mib": peak}


def _part(arguments: argparse.Namespace) -> Any:
    import our_networks

    if arguments.part == "usual":
        import usual_route

        return usual_route.measure(arguments.passes)
    if arguments.part == "screening":
        return our_networks.passes_of_screening(arguments.ct, arguments.l1, arguments.l2)
    only = arguments.part.partition(" ")[2]
    return our_networks.outlining([only] if only else NETWORKS, SLICES)


def _usual(geometry: Any, child: dict[str, Any]) -> dict[str, Any]:
    from usual_route import tiles

    # Shapes are (slices, rows, columns), spacings (column, row, slice).
    count = tiles(geometry.shape, geometry.spacing_mm[::-1])
    each = child["told"]
    return {
        "tiles": count,
        "networks": each,
        "passes": count * len(each),
        "seconds": count * sum(one["seconds"] for one in each.values()),
        "flops": count * sum(one["flops"] for one in each.values()),
        "vertebrae_seconds": count * each["vertebrae"]["seconds"],
        "vertebrae_flops": count * each["vertebrae"]["flops"],
        "peak_mib": child["peak_mib"],
    }


def table(measured: dict[str, Any]) -> str:
    """Return what was measured as a Markdown table, as the README has it."""
    given, auto, passes, usual = (
        measured[name] for name in ("screening", "screening_auto", "screening_passes", "usual")
    )
    rows = [
        ("here: `screen`, L1 and L2 given, from a new process to the page", given["seconds"], passes["passes"],
         passes["flops"], given["peak_mib"]),
        ("here: `screen --l1=auto --l2=auto`, the same", auto["seconds"], None, None, auto["peak_mib"]),
        ("usual route: passes of the vertebrae's network alone", usual["vertebrae_seconds"], usual["tiles"],
         usual["vertebrae_flops"], usual["peak_mib"]),
        ("usual route: passes of all five networks", usual["seconds"], usual["passes"], usual["flops"],
         usual["peak_mib"]),
    ]  # fmt: skip
    for name, one in measured["outlining"].items():
        rows.append((f"one slice outlined by `{name}`", one["seconds"], 2, one["flops"], one["peak_mib"]))
    slices, side, _ = measured["ct"]["shape"]
    lines = [
        f"CT of {slices} slices of {side} pixels, {measured['ct']['spacing_mm']} mm",
        "",
        "| what | time | passes | FLOPs | peak memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for what, seconds, count, flops, peak in rows:
        cells = (what, _time(seconds), count or "", f"{flops:.2g}" if flops else "", f"{peak:.0f} MiB" if peak else "")
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += ["", f"All five networks against `screen`: {usual['seconds'] / given['seconds']:.0f} times the time, "
                  f"{usual['flops'] / passes['flops']:.0f} times the FLOPs."]  # fmt: skip
    return "\n".join(lines)


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    main()
