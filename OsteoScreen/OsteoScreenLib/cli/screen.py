"""``osteoscreen screen``: one study, end to end."""

from __future__ import annotations

import argparse

NAME = "screen"
HELP = "Outline and measure L1 and L2 of one CT, and write result.json, report.html and the outlines."

_LEVEL = "S in mm (RAS superior, as in --l1=-812.5), or #INDEX (0 is the first slice as SimpleITK reads the scan)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``screen`` to ``parser``."""
    parser.add_argument("ct", metavar="CT", help="a DICOM folder, a DICOM file of the series, NRRD, MetaImage or NIfTI")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the folder to write to")
    levels = parser.add_argument_group("where L1 and L2 are")
    levels.add_argument("--l1", metavar="S", help=f"centre slice of L1: {_LEVEL}")
    levels.add_argument("--l2", metavar="S", help="centre slice of L2, likewise; without it, L1 alone is measured")
    levels.add_argument(
        "--levels-from", metavar="SEG", help="take the levels from a vertebra segmentation (a file, or a folder of them)"
    )
    levels.add_argument("--snap", action="store_true", help="move the given slices to the middle of their vertebrae")
    measuring = parser.add_argument_group("measuring")
    measuring.add_argument("--masks", metavar="SEG", help="measure these outlines instead of the network's")
    measuring.add_argument("--segmentation-model", metavar="NAME|DIR", help="the segmentation bundle")
    measuring.add_argument("--classification-model", metavar="NAME|DIR", help="the classification bundle")
    measuring.add_argument("--calibration", metavar="FILE", help="your scanner's calibration from HU to BMD (JSON)")
    measuring.add_argument("--age", metavar="Y", type=float, help="the patient's age in years, where the scan lacks it")
    measuring.add_argument("--sex", choices=("F", "M"), help="the patient's sex, where the scan lacks it")
    running = parser.add_argument_group("running")
    running.add_argument("--series", metavar="UID", help="the series to read, where the folder holds several")
    running.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    running.add_argument("--force", action="store_true", help="screen a study that would be refused; keeps the reasons")
    running.add_argument("--json", action="store_true", help="print result.json to stdout instead of the summary")


def run(arguments: argparse.Namespace) -> int:
    """Screen one study; returns 0 when it was screened, 3 when it was refused."""
    raise NotImplementedError(arguments.ct)
