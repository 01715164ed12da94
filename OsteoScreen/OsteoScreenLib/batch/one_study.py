"""One study of a batch, in the process that screens: from an order to an outcome, whatever happens on the way.

It is fetched or brought near first, while other studies of the process compute, then it takes its turn
(:mod:`OsteoScreenLib.turns`), and gives it away again where it waits for a disk.
"""

from __future__ import annotations

import importlib
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BundleError, OsteoScreenError, StudyRefused
from ..memory_limits import is_out_of_memory
from ..reports.kinds import chosen_kinds
from ..request import AUTO, LEVEL_NAMES, ScreeningRequest
from ..results import ScreeningResult
from ..turns import Turn, Turns
from . import inputs
from .kinds import kind_of
from .outcome import Order, Outcome, Trouble, troubled
from .publish import OutputProblem
from .settings import BatchSettings, versions
from .study import State

#: What the first study would import otherwise, seconds of it.
_USED = (
    *("..ct.eligibility", "..ct.dicom.opening", "..densitometry", "..levels", "..results_io", "..screening"),
    *("..reports", "..reports.outputs", "..reports.table", "..sagittal", "..segmentation_io", ".doubt", ".near"),
)
#: The check that refuses a study whose levels could not be suggested.
_NOT_SUGGESTED = "level_suggestion"


def start(settings: BatchSettings) -> None:
    """Import what screening needs, on one thread, and load the networks, so that no study's time is taken for it.

    Raises ImportError for a package that is missing, BundleError for a bundle.
    """
    import SimpleITK
    import torch

    # Nobody reads them here, and what silences them for a while is not made for several threads.
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    for module in _USED:
        importlib.import_module(module, __package__)
    _load_networks(settings)


def _load_networks(settings: BatchSettings) -> None:
    from .. import loaded
    from ..chosen_bundles import classification_bundle, localisation_bundle, segmentation_bundle

    loaded.SEGMENTERS.get(segmentation_bundle(settings.segmentation_model), settings.device).warm_up()
    opinion = classification_bundle(settings.classification_model, LEVEL_NAMES)
    if opinion is not None:
        loaded.CLASSIFIERS.get(opinion, settings.device).warm_up()
    if settings.suggest:
        loaded.LOCALISERS.get(localisation_bundle(settings.localisation_model), settings.device)


def screen_order(document: Mapping[str, Any], turn: Turn | None = None) -> dict[str, Any]:
    """Screen the study of an order, write its outputs, and return the outcome; no error gets out of here.

    ``turn`` is the study's part in the turns of the process; without one it has the process for itself. The outcome's
    seconds are without those in which it stood still for others.
    """
    order = Order.from_json(document)
    turn = Turn(Turns()) if turn is None else turn
    began = time.monotonic()
    found = inputs.found_at(order.study)  # now: a share may be gone when the study is done
    try:
        outcome = _screened(order, turn)
    except Exception as error:
        outcome = _of_error(order, error)
    seconds = max(time.monotonic() - began - turn.waited_s, 0.0)
    return {**outcome.to_json(), "seconds": round(seconds, 3), "found": found}


def _screened(order: Order, turn: Turn) -> Outcome:
    finished = order.place.finished()
    if finished is not None:
        return _of_result(finished, taken_over=True)
    if versions() != order.versions:
        return troubled(Trouble.UNUSABLE, _differs("versions", order.versions, versions()))
    with inputs.scan_place(order.study) as scan:
        inputs.bring_near(order.study, whole=order.settings.suggest or AUTO in (order.study.l1, order.study.l2))
        with turn:
            return _of_result(_written(order, scan), taken_over=False)


def _written(order: Order, scan: inputs.ScanPlace) -> ScreeningResult:
    from ..reports.outputs import write_screening
    from ..sagittal import SAGITTAL_SLICES
    from ..screening import screen

    screening = screen(_request(order, scan.path))
    _check_bundles(order, screening.result)
    scan.name_source(screening.result)
    unseen = screening.add_sagittal(SAGITTAL_SLICES)
    if unseen is not None and (inputs.missing_input(order.study) or inputs.is_lost(unseen)):
        raise unseen  # it is the share that is gone, not a slice that is damaged: the study has its view later
    screening.add_spine_view()
    with order.place.writing() as folder:
        write_screening(screening, folder, chosen_kinds(order.settings.write))
    return screening.result


def _request(order: Order, ct: str) -> ScreeningRequest:
    study, settings = order.study, order.settings
    suggested = AUTO if settings.suggest and not study.has_levels else None
    return ScreeningRequest(
        ct=ct,
        l1=study.l1 or suggested,
        l2=study.l2 or suggested,
        levels_from=study.levels_from,
        snap=settings.snap,
        masks=study.masks,
        segmentation_model=settings.segmentation_model,
        classification_model=settings.classification_model,
        localisation_model=settings.localisation_model,
        calibration=settings.calibration,
        age_years=study.age_years,
        sex=study.sex,  # type: ignore[arg-type]  # the manifest takes F and M alone
        device=settings.device,
        force=settings.force,
        series=study.series,
    )


def _check_bundles(order: Order, result: ScreeningResult) -> None:
    known = {(bundle["role"], bundle["sha256"]) for bundle in order.bundles}
    strange = [bundle for bundle in result.bundles if (bundle.role, bundle.sha256) not in known]
    if strange:
        raise BundleError(
            f"The {strange[0].role} bundle {strange[0].name} of the worker is not the one that this batch was begun "
            "with; give all workers the same bundles."
        )


def _of_result(result: ScreeningResult, *, taken_over: bool) -> Outcome:
    from ..reports.table import row_of
    from .doubt import doubt_of

    measures = {key: value for key, value in row_of(result).items() if value is not None}
    refusals = [check for check in result.eligibility if check.outcome == "refuse"]
    state, kind, reason = State.SCREENED, "", ""
    if result.status != "screened":
        state = State.NEEDS_LEVELS if {check.check for check in refusals} == {_NOT_SUGGESTED} else State.REFUSED
        kind = ", ".join(dict.fromkeys(check.check for check in refusals))
        reason = " ".join(check.message for check in refusals)
    return Outcome(state, None, kind, reason, None, measures, doubt_of(result), taken_over)


def _of_error(order: Order, error: Exception) -> Outcome:
    if isinstance(error, OutputProblem):
        return troubled(Trouble.OUTPUT, str(error))
    if isinstance(error, (BundleError, ImportError)):
        return troubled(Trouble.UNUSABLE, _sentence(error))
    if is_out_of_memory(error):
        return troubled(Trouble.MEMORY, "The memory did not suffice for it.")
    if inputs.missing_input(order.study):
        if inputs.are_there(order.witnesses):
            return troubled(Trouble.MISSING, "What it is to be read from is not there.")
        return troubled(Trouble.GONE, "Scans that were there before are not there any more: is their share mounted?")
    if inputs.is_lost(error):
        away = inputs.is_server_away(order.study)
        return troubled(Trouble.GONE if away else Trouble.UNREACHABLE, _sentence(error))
    if isinstance(error, StudyRefused):
        return Outcome(State.REFUSED, None, kind_of(error), str(error))
    return Outcome(State.FAILED, None, kind_of(error), _sentence(error))


def _sentence(error: Exception) -> str:
    """Return an error in words; of one that nobody expected only where it was, for its text may name a patient."""
    if isinstance(error, OsteoScreenError):
        return str(error)
    if isinstance(error, ImportError):
        return f"The worker lacks the package {error.name or 'that screening needs'}; install it there."
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"Something unexpected went wrong ({type(error).__name__}{where})."


def _differs(what: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    return (
        f"A worker's {what} ({_listed(theirs)}) are not those that this batch was begun with ({_listed(ours)}); "
        "install the same on all workers."
    )


def _listed(told: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in told.items())
