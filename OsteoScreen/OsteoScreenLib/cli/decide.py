"""``osteoscreen decide``: what a reader makes of a result: accept, correct or discard it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .console import ConsoleProgress, print_lines
from .output import refuse_overwriting, staged_output
from .screen import REPORT, RESULT, SEGMENTATION

if TYPE_CHECKING:
    from ..results import ScreeningResult
    from ..screening import Screening

NAME = "decide"
HELP = "Accept, correct or discard a result as its reader, and write the page and the other files of it again."

#: What only a correction takes, by the option's name.
_CORRECTING = ("l1", "l2", "masks", "calibration", "segmentation_model", "classification_model", "force")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``decide`` to ``parser``."""
    parser.add_argument("folder", metavar="OUT", help="the folder that `screen` wrote")
    parser.add_argument("--by", metavar="NAME", required=True, help="the reader, as the name is to stand in the result")
    parser.add_argument("--comment", metavar="TEXT", default="", help="a remark, kept with the decision")
    parser.add_argument("--ct", metavar="PATH", help="where the scan lies, if it was moved since it was screened")
    decision = parser.add_argument_group("the decision").add_mutually_exclusive_group(required=True)
    decision.add_argument("--accept", action="store_true", help="sign the result; its levels count as confirmed")
    decision.add_argument("--discard", action="store_true", help="keep the values, and say everywhere not to use them")
    decision.add_argument("--correct", action="store_true", help="screen again with another level or outline, and sign")
    correcting = parser.add_argument_group("correcting")
    correcting.add_argument("--l1", metavar="S", help="the right centre slice of L1: S in mm (RAS superior), or #INDEX")
    correcting.add_argument("--l2", metavar="S", help="the right centre slice of L2, likewise")
    correcting.add_argument("--masks", metavar="SEG", help="your outline of L1, L2 or both, on their slices")
    correcting.add_argument("--calibration", metavar="FILE", help="the calibration file that the result was made with")
    correcting.add_argument("--segmentation-model", metavar="NAME|DIR", help="instead of the bundle that took part")
    correcting.add_argument("--classification-model", metavar="NAME|DIR", help="instead of the bundle that took part")
    correcting.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    correcting.add_argument("--force", action="store_true", help="screen it also where a check refuses it")


def run(arguments: argparse.Namespace) -> int:
    """Decide on one result; returns 0.

    Raises UsageError, InputError, BundleError or StudyRefused with the reason; then nothing is changed.
    """
    from ..decisions import clean_name
    from ..reports.decided import decision_sentence

    clean_name(arguments.by)
    folder = Path(arguments.folder)
    result = _read(folder)
    _check(arguments)
    # The last file is the seal: where it lies, the others belong to it.
    page = [REPORT] if (folder / REPORT).exists() else []
    written = [*page, *([SEGMENTATION] if arguments.correct else []), RESULT]
    refuse_overwriting(folder, written, [arguments.ct, arguments.masks, arguments.calibration])
    with ConsoleProgress() as progress:
        screening = _decided(arguments, result, progress)
        with staged_output(folder, written) as staging:
            _write(screening, staging, written, progress)
    print_lines([decision_sentence(screening.result) or "", f"Page: {folder / REPORT}", screening.result.disclaimer])
    return 0


def _read(folder: Path) -> ScreeningResult:
    from ..results_io import read_result

    if not (folder / RESULT).is_file():
        raise UsageError(f"{folder} holds no {RESULT}; name the folder that `osteoscreen screen` wrote.")
    return read_result(folder / RESULT)


def _check(arguments: argparse.Namespace) -> None:
    given = [name for name in _CORRECTING if getattr(arguments, name)]
    if not arguments.correct and given:
        option = given[0].replace("_", "-")
        raise UsageError(f"--{option} belongs to --correct; leave it out, or correct the result.")
    if arguments.correct and not {"l1", "l2", "masks"} & set(given):
        raise UsageError("A correction needs what is to be corrected; give --l1, --l2 or --masks.")


def _decided(arguments: argparse.Namespace, result: ScreeningResult, progress: ConsoleProgress) -> Screening:
    """The screening as it is after the decision."""
    from .. import decisions
    from ..reopening import reopen

    segmentation = Path(arguments.folder) / SEGMENTATION
    if arguments.correct:
        screening = _corrected(arguments, reopen(result, segmentation, arguments.ct, progress), progress)
    else:
        decide = decisions.accept if arguments.accept else decisions.discard
        # Before the scan is read, so that what cannot be decided costs no waiting.
        decided = decide(result, arguments.by, comment=arguments.comment)
        screening = reopen(decided, segmentation, arguments.ct, progress)
    return screening


def _corrected(arguments: argparse.Namespace, old: Screening, progress: ConsoleProgress) -> Screening:
    from ..correcting import Correction, screen_corrected
    from ..decisions import corrected

    correction = Correction(
        l1=arguments.l1,
        l2=arguments.l2,
        masks=arguments.masks,
        calibration=arguments.calibration,
        segmentation_model=arguments.segmentation_model,
        classification_model=arguments.classification_model,
        device=arguments.device,
        force=arguments.force,
    )
    new, outlines = screen_corrected(old, correction, progress)
    new.result = corrected(new.result, old.result, arguments.by, comment=arguments.comment, outlines=outlines)
    new.trunk = old.trunk
    return new


def _write(screening: Screening, folder: Path, names: list[str], progress: ConsoleProgress) -> None:
    from ..reports import write_html
    from ..results_io import write_result
    from ..sagittal import SAGITTAL_SLICES
    from ..segmentation_io import write_segmentation

    progress("Writing the report", 0, 1)
    if REPORT in names:
        screening.add_sagittal(SAGITTAL_SLICES, progress)
        screening.add_spine_view()
        write_html(screening.result, screening.pictures, folder / REPORT)
    if SEGMENTATION in names:
        write_segmentation(screening.masks, screening.ct.geometry, folder / SEGMENTATION)
    write_result(screening.result, folder / RESULT)
