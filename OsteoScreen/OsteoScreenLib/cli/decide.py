"""``osteoscreen decide``: what a reader makes of a result: accept, correct or discard it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OsteoScreenError, UsageError
from ..reports.kinds import REPORT, RESULT, SEGMENTATION, dicom_kinds, kinds_in, own_files
from .console import ConsoleProgress, print_lines
from .replacing import alone_in, replacing
from .writing import print_unwritten, write_all, written_lines

if TYPE_CHECKING:
    from ..results import ScreeningResult
    from ..screening import Screening

NAME = "decide"
HELP = "Accept, correct or discard a result as its reader, and write the page and the other files of it again."

#: What only a correction takes, by the option's name.
_CORRECTING = ("l1", "l2", "masks", "calibration", "segmentation_model", "classification_model", "earlier", "force")
_SENT_BEFORE = "DICOM objects that were sent before stay on the server as they were; send the new ones too."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``decide`` to ``parser``."""
    parser.add_argument("folder", metavar="OUT", help="the folder that `screen` wrote")
    parser.add_argument("--by", metavar="NAME", required=True, help="the reader, as the name is to stand in the result")
    parser.add_argument("--comment", metavar="TEXT", default="", help="a comment, kept with the decision")
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
    correcting.add_argument(
        "--earlier",
        metavar="FILE",
        action="append",
        default=[],
        help="compare with this earlier result, instead of those that the result was compared with; may be repeated",
    )
    correcting.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    correcting.add_argument("--force", action="store_true", help="screen it also where a check refuses it")


def run(arguments: argparse.Namespace) -> int:
    """Decide on one result; returns 0.

    Everything that lies beside the result is written again, after all inputs were read, so that these may be files of
    the folder; what the study can no longer give is removed, and said.

    Raises UsageError, InputError, BundleError, StudyRefused or OsteoScreenError with the reason; then nothing is
    changed.
    """
    from ..decisions import clean_name, in_force
    from ..reports.decided import decision_sentence

    clean_name(arguments.by)
    _check(arguments)
    folder = Path(arguments.folder)
    # os.path's says no where the folder may not be entered, pathlib's raises.
    if not os.path.isfile(folder / RESULT):
        raise UsageError(f"{folder} holds no {RESULT} to be read; name the folder that `osteoscreen screen` wrote.")
    with alone_in(folder), ConsoleProgress() as progress:
        stored = (folder / RESULT).read_bytes()
        before = _read(folder)
        kinds = kinds_in(folder)
        screening = _decided(arguments, before, progress)
        with replacing(folder, own_files()) as staging:
            unwritten = write_all(screening, staging, kinds, progress)
            _refuse_another_result(folder, stored)
    lines = [decision_sentence(screening.result) or ""]
    if in_force(before):
        lines.append(f"Before: {decision_sentence(before)}")
    if dicom_kinds().intersection(kinds):
        lines.append(_SENT_BEFORE)
    print_lines([*lines, f"Page: {folder / REPORT}", *written_lines(kinds, unwritten), screening.result.disclaimer])
    print_unwritten(unwritten)
    return 0


def _read(folder: Path) -> ScreeningResult:
    from ..results_io import read_result

    result = read_result(folder / RESULT)
    # It is looked for again.
    result.eligibility = [check for check in result.eligibility if check.check != "sagittal_view"]
    return result


def _refuse_another_result(folder: Path, stored: bytes) -> None:
    """Raise OsteoScreenError where the result is not what the reader saw: whoever changed it did not ask for the lock.

    Whoever changes it in the moment after this is not noticed.
    """
    if not (folder / RESULT).is_file() or (folder / RESULT).read_bytes() != stored:
        raise OsteoScreenError(
            "The result was changed meanwhile, so the decision was not written; look at the result as it is now, then "
            "decide again."
        )


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
        old = reopen(result, segmentation, arguments.ct, progress, changing=_changing(arguments))
        screening = _corrected(arguments, old, progress)
    else:
        decide = decisions.accept if arguments.accept else decisions.discard
        # Before the scan is read, so that what cannot be decided costs no waiting.
        decided = decide(result, arguments.by, comment=arguments.comment)
        screening = reopen(decided, segmentation, arguments.ct, progress)
    return screening


def _changing(arguments: argparse.Namespace) -> set[str]:
    """The levels that the correction gives a slice or an outline of."""
    from ..levels import read_vertebrae
    from ..request import LEVEL_NAMES

    drawn = set() if arguments.masks is None else set(read_vertebrae(arguments.masks, LEVEL_NAMES))
    return drawn | {name for name in LEVEL_NAMES if getattr(arguments, name.lower()) is not None}


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
        earlier=arguments.earlier,
    )
    new, outlines = screen_corrected(old, correction, progress)
    new.result = corrected(new.result, old.result, arguments.by, comment=arguments.comment, outlines=outlines)
    new.trunk = old.trunk
    return new
