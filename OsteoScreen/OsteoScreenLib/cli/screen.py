"""``osteoscreen screen``: one study, end to end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OsteoScreenError, StudyRefused
from ..printable import printable
from ..reports.kinds import REPORT, chosen_kinds, own_files
from .console import ConsoleProgress, print_error, print_lines
from .output import refuse_overwriting, staged_output
from .pacs_screening import add_arguments as add_pacs_arguments
from .pacs_screening import ct_place, dicom_objects, send_output
from .writing import add_writing_arguments, print_unwritten, write_all, written_lines

if TYPE_CHECKING:
    from ..screening import Screening

NAME = "screen"
HELP = "Outline and measure L1 and L2 of one CT, and write result.json, report.html and the outlines."

_CT = (
    "a DICOM folder, a DICOM file of the series, NRRD, MetaImage or NIfTI; or a study on a server: "
    "dicomweb:SERVER/studies/UID[/series/UID]"
)
_LEVEL = (
    "S in mm (RAS superior, as in --l1=-812.5), #INDEX (0 is the first slice as SimpleITK reads the scan), or auto to "
    "have it suggested, which reads the whole scan"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``screen`` to ``parser``."""
    parser.add_argument("ct", metavar="CT", help=_CT)
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the folder to write to")
    levels = parser.add_argument_group("where L1 and L2 are")
    levels.add_argument("--l1", metavar="S", help=f"centre slice of L1: {_LEVEL}")
    levels.add_argument("--l2", metavar="S", help="centre slice of L2, likewise; without it, L1 alone is measured")
    levels.add_argument(
        "--levels-from", metavar="SEG", help="take the levels from a vertebra segmentation (a file, or a folder)"
    )
    levels.add_argument("--snap", action="store_true", help="move the given slices to the middle of their vertebrae")
    measuring = parser.add_argument_group("measuring")
    measuring.add_argument("--masks", metavar="SEG", help="measure these outlines instead of the network's")
    measuring.add_argument("--segmentation-model", metavar="NAME|DIR", help="the segmentation bundle")
    measuring.add_argument(
        "--classification-model",
        metavar="NAME|DIR",
        help="the classification bundle; without it, Model 1 for L1 and L2, or Model 2 for L1 alone",
    )
    measuring.add_argument(
        "--localisation-model", metavar="NAME|DIR", help="the localisation bundle, for levels that are auto"
    )
    measuring.add_argument("--calibration", metavar="FILE", help="your scanner's calibration from HU to BMD (JSON)")
    measuring.add_argument(
        "--earlier",
        metavar="FILE",
        action="append",
        default=[],
        help="compare the BMD with this earlier result of the same patient (result.json, or DICOM SR); may be repeated",
    )
    measuring.add_argument("--age", metavar="Y", type=float, help="the patient's age in years, where the scan lacks it")
    measuring.add_argument("--sex", choices=("F", "M"), help="the patient's sex, where the scan lacks it")
    add_writing_arguments(parser)
    running = parser.add_argument_group("running")
    running.add_argument("--series", metavar="UID", help="the series to read, where the folder holds several")
    running.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    running.add_argument("--force", action="store_true", help="screen a study that would be refused; keeps the reasons")
    running.add_argument("--json", action="store_true", help="print result.json to stdout instead of the summary")
    add_pacs_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Screen one study; returns 0 when it was screened, 3 when it was refused, and 1 when it was screened but not all
    was written that was asked for."""
    kinds = chosen_kinds(arguments.write)
    inputs = [arguments.ct, arguments.levels_from, arguments.masks, arguments.calibration, *arguments.earlier]
    refuse_overwriting(arguments.output, own_files(), inputs)
    with (
        staged_output(arguments.output, own_files()) as folder,
        ConsoleProgress() as progress,
        ct_place(arguments, progress) as place,
    ):
        screening = _screen(arguments, place.path, progress)
        place.name_source(screening.result)
        unwritten = write_all(screening, folder, kinds, progress)
        objects = dicom_objects(folder)
    result = screening.result
    if arguments.json:
        from ..results_io import to_dict

        # In ASCII, so that it stays JSON on any console.
        print_lines([json.dumps(to_dict(result), indent=2, allow_nan=False)])
    else:
        print_lines(_summary(screening, Path(arguments.output), written_lines(kinds, unwritten)))
    print_unwritten(unwritten)
    if result.status == "screened":
        # What could not be written cannot be sent, and why has been said.
        if arguments.send is not None and objects:
            send_output(arguments, objects)
        return OsteoScreenError.exit_code if unwritten else 0
    reasons = " ".join(check.message for check in result.eligibility if check.outcome == "refuse")
    print_error(f"The study was refused: {reasons}{'' if arguments.send is None else ' Nothing was sent.'}")
    return StudyRefused.exit_code


def _screen(arguments: argparse.Namespace, ct: str, progress: ConsoleProgress) -> Screening:
    from ..screening import ScreeningRequest, screen

    request = ScreeningRequest(
        ct=ct,
        l1=arguments.l1,
        l2=arguments.l2,
        levels_from=arguments.levels_from,
        snap=arguments.snap,
        masks=arguments.masks,
        segmentation_model=arguments.segmentation_model,
        classification_model=arguments.classification_model,
        localisation_model=arguments.localisation_model,
        calibration=arguments.calibration,
        age_years=arguments.age,
        sex=arguments.sex,
        device=arguments.device,
        force=arguments.force,
        series=arguments.series,
        earlier=arguments.earlier,
        earlier_dates=arguments.with_identity,
    )
    screening = screen(request, progress)
    if arguments.with_identity:
        from ..reports.identity import add_identity

        add_identity(screening)
    return screening


def _summary(screening: Screening, output: Path, written: list[str]) -> list[str]:
    """What was found, in lines for a reader."""
    from ..reports import change, opinion, phrases, wording

    result = screening.result
    lines = []
    for name, level in result.levels.items():
        line = f"{name}  slice #{level.slice_index}, S {level.z_mm:.1f} mm ({wording.level_set(level)})"
        if name in result.roi:
            line += f": {result.roi[name].mean_hu:.0f} HU"
        if name in result.roi and result.densitometry is not None:
            line += f", {result.densitometry.bmd_mg_cm3[name]:.0f} mg/cm3 {result.densitometry.calibration.mineral}"
        lines.append(line)
    lines += [*wording.summary(result), *opinion.notes(result)] if result.status == "screened" else []
    lines += change.follow_up_sentences(result)
    if places := opinion.places_to_look(result):
        lines += ["Where to look, in this order:", *(f"  {n}. {place}" for n, place in enumerate(places, 1))]
    lines += [f"{check.outcome}: {phrases.check_name(check.check)}: {check.message}" for check in screening.warnings]
    lines += ["", f"Page: {output / REPORT}", *written, result.disclaimer]
    return [printable(line) for line in lines]
