"""``osteoscreen dataset export-slices`` and ``import-qupath``: outlines drawn on pictures of the slices."""

from __future__ import annotations

import argparse
from pathlib import Path

#: Exit code where some of what was given could not be imported.
EXIT_LEFT_OUT = 1


def add_subcommands(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands; see :mod:`.dataset`."""
    export = kinds.add_parser(
        "export-slices",
        help="write the centre slices as pictures to draw on, in QuPath or elsewhere",
        description="Write the centre slices as lossless pictures to draw on, pixel for pixel, each with a sidecar "
        "that takes what is drawn back onto the CT. Draw on the pictures as they are.",
    )
    export.add_argument("ct", metavar="CT", help="a DICOM folder or file, or a NRRD, MetaImage or NIfTI file")
    export.add_argument("--l1", metavar="S", help="centre slice of L1: RAS S in mm, --l1=-812.5, or '#index'")
    export.add_argument("--l2", metavar="S", help="centre slice of L2")
    export.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder of the pictures")
    export.add_argument(
        "--subject", metavar="NAME",
        help="what the subject is called, never a patient's name or number (default: made of the CT's hash)",
    )  # fmt: skip
    export.add_argument("--series", metavar="UID", help="another series than the thinnest soft-kernel axial one")
    export.add_argument(
        "--window", metavar=("LOW", "HIGH"), nargs=2, type=float,
        help="HU that are black and white (default: -450 1050, a bone window)",
    )  # fmt: skip
    export.add_argument("--format", choices=("png", "tiff"), default="png", help="of the pictures (default: png)")
    export.set_defaults(do=_export)
    drawn = kinds.add_parser(
        "import-qupath",
        help="turn QuPath's GeoJSON into outlines on the CT, and fill in subjects.csv",
        description="Turn the GeoJSON that QuPath exports into outlines on the CT (DATASET/masks), and fill in "
        "subjects.csv. Each GeoJSON is named after its picture, and each annotation has the class L1 or L2. A pixel is "
        "inside where the outline covers half of it or more. The exit code is 1 where something was left out.",
    )
    drawn.add_argument("geojson", metavar="GEOJSON", type=Path, nargs="+", help="files, or folders of them")
    drawn.add_argument(
        "--slices", metavar="OUT", type=Path, required=True, help="the folder that export-slices wrote to"
    )
    drawn.add_argument("-o", "--output", metavar="DATASET", type=Path, required=True, help="the data set, new or not")
    drawn.set_defaults(do=_import)


def _export(arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.cli.console import ConsoleProgress
    from OsteoScreenLib.ct import open_ct
    from OsteoScreenLib.errors import UsageError
    from OsteoScreenLib.levels import parse_level

    from ..datasets.slice_images import BONE_WINDOW_HU, export_slices

    given = {name: text for name, text in (("L1", arguments.l1), ("L2", arguments.l2)) if text is not None}
    if not given:
        raise UsageError("Give --l1, --l2 or both: the centre slices to export.")
    with ConsoleProgress() as progress:
        ct = open_ct(arguments.ct, series=arguments.series, progress=progress)
        levels = {name: parse_level(text, ct, name) for name, text in given.items()}
        written = export_slices(
            ct, levels, arguments.output, arguments.subject, tuple(arguments.window or BONE_WINDOW_HU), arguments.format
        )
    for image in written:
        print(f"{image.level}, slice #{image.slice_index} (S {image.z_mm:.1f} mm): {arguments.output / image.image}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    import importlib.util

    from OsteoScreenLib.cli.console import ConsoleProgress, print_lines
    from OsteoScreenLib.errors import UsageError

    if importlib.util.find_spec("shapely") is None:
        raise UsageError("Outlines from QuPath need the Python package shapely; install it: pip install shapely.")
    from ..datasets.drawn_outlines import import_qupath

    with ConsoleProgress() as progress:
        done = import_qupath(arguments.geojson, arguments.slices, arguments.output, progress)
    lines = [f"{name}: {' and '.join(levels)}" for name, levels in done.subjects.items()]
    lines += [f"note: {note}" for note in done.notes]
    lines += [f"left out: {name}: {reason}" for name, reason in done.left_out.items()]
    print_lines([*lines, f"{len(done.subjects)} subjects in {arguments.output / 'subjects.csv'}"])
    return EXIT_LEFT_OUT if done.left_out else 0
