"""What is said of the network's class: an opinion beside a measurement, and where to look when the two part."""

from __future__ import annotations

from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3, limits_within_uncertainty
from ..results import BoneStatus, Classification, Densitometry, ScreeningResult
from .phrases import bmd_number, check_name, joined, number

MODELS = {"model1": "Model 1 (L1 and L2)", "model2": "Model 2 (L1 alone)"}
#: Two classes whose probabilities lie closer than this are said to be undecided: a convention of the page.
UNDECIDED_WITHIN = 0.15
#: The checks of the scan that may part a network from a measurement: what changes HU, and what takes HU to BMD.
_SCAN_CHECKS = ("contrast", "aorta", "kvp", "kernel", "noise", "calibration")


def sentence(result: ScreeningResult) -> str:
    """The class, its probabilities, and whether it agrees with the measured BMD; or why there is none."""
    found = result.classification
    if found is None or found.category is None:
        reason = found.reason if found is not None and found.reason else "No classification bundle took part."
        return f"There is no class from a network. {reason}"
    shares = ", ".join(f"{name} {number(share, 2)}" for name, share in (found.probabilities or {}).items())
    told = f"The network's class is {found.category}, by {model(found)}{': ' if shares else ''}{shares}."
    return f"{told} {agreement(result)}"


def model(found: Classification) -> str:
    """Which of the study's models it was."""
    return MODELS.get(found.model or "", "a network")


def agreement(result: ScreeningResult) -> str:
    """Whether the network and the measured BMD say the same."""
    if result.agreement is None or result.densitometry is None:
        return "It could not be compared with a category from BMD."
    if result.agreement:
        return "It agrees with the BMD."
    bmd = bmd_number(result.densitometry.bmd_mg_cm3["individual"])
    return f"It does not agree with the BMD of {bmd} mg/cm³, whose category is {result.densitometry.category}."


def notes(result: ScreeningResult) -> list[str]:
    """What limits the class: that the network is undecided, and that it saw L1 alone."""
    found = result.classification
    if found is None or found.category is None:
        return []
    ranked = sorted((found.probabilities or {}).items(), key=lambda item: -item[1])
    said = []
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < UNDECIDED_WITHIN:
        (first, most), (second, next_most) = ranked[:2]
        said.append(
            f"The network is undecided between {first} ({number(most, 2)}) and {second} ({number(next_most, 2)})."
        )
    if found.model == "model2":
        measured = result.densitometry is not None and "L2" in result.densitometry.bmd_mg_cm3
        said.append("The network saw L1 alone" + (", while the BMD is the mean of L1 and L2." if measured else "."))
    return said


def places_to_look(result: ScreeningResult) -> list[str]:
    """Where to look when network and BMD part, the likeliest first; empty where they do not."""
    category = result.classification.category if result.classification is not None else None
    if result.agreement is not False or result.densitometry is None or category is None:
        return []
    return [_limit(result.densitometry, category), _outlines(result), _level(result), *_scan(result)]


def _limit(measured: Densitometry, category: BoneStatus) -> str:
    """Whether the uncertainty of the BMD reaches across the limit to what the network says."""
    upper = "normal" in (category, measured.category) and category != "osteoporosis"
    limit = NORMAL_ABOVE_MG_CM3 if upper else OSTEOPOROSIS_BELOW_MG_CM3
    reach = f"its uncertainty of ± {number(measured.calibration.uncertainty_mg_cm3, 0)} mg/cm³"
    if limit in limits_within_uncertainty(measured):
        return f"The BMD: it lies within {reach} of the limit at {limit:.0f}, so its own category is uncertain."
    return (
        f"The BMD: it lies further than {reach} from the limit at {limit:.0f}, so that alone does not explain the "
        "difference."
    )


def _outlines(result: ScreeningResult) -> str:
    doubtful = [
        f"{name} ({number(roi.confidence, 2)})"
        for name, roi in result.roi.items()
        if any(check.check == f"confidence_{name}" and check.outcome != "pass" for check in result.eligibility)
    ]
    low = f"the confidence is low for {joined(doubtful)}; " if doubtful else ""
    return f"The outlines: {low}is one drawn over cortex, or over a vein?"


def _level(result: ScreeningResult) -> str:
    open_ones = [name for name, level in result.levels.items() if not level.confirmed]
    unconfirmed = f"no reader has confirmed {joined(open_ones)}; " if open_ones else ""
    one = len(result.levels) == 1
    return (
        f"The level: {unconfirmed}{'is the slice' if one else 'are the slices'} really in the middle of "
        f"{joined(list(result.levels))}?"
    )


def _scan(result: ScreeningResult) -> list[str]:
    found = [check for check in result.eligibility if check.outcome != "pass" and check.check.startswith(_SCAN_CHECKS)]
    names = [check_name(check.check) for check in found]
    told = joined([name[:1].lower() + name[1:] for name in dict.fromkeys(names)])
    return [f"The scan: see what the eligibility checks say on {told}."] if told else []
