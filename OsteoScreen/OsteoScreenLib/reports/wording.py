"""The page's sentences. Modest on purpose: what was measured and by which criterion, never a diagnosis."""

from __future__ import annotations

from ..decisions import in_force, is_discarded
from ..densitometry.bmd import NORMAL_ABOVE_MG_CM3, OSTEOPOROSIS_BELOW_MG_CM3, limits_within_uncertainty
from ..results import Calibration, Check, Densitometry, Level, ScreeningResult
from . import opinion
from .decided import NOT_TO_BE_USED, decision_sentence
from .phrases import joined, mineral, number

_LOW, _HIGH = f"{OSTEOPOROSIS_BELOW_MG_CM3:.0f}", f"{NORMAL_ABOVE_MG_CM3:.0f}"
CRITERION = (
    f"QCT criterion of the ACR and the ISCD for the mean of two lumbar bodies: under {_LOW} mg/cm³ osteoporosis, "
    f"{_LOW} to {_HIGH} mg/cm³ osteopenia, over {_HIGH} mg/cm³ normal. Volumetric values are not DXA T-scores."
)
SET_BY = {
    "user": "set by the reader",
    "segmentation": "taken from a segmentation",
    "snapped": "snapped to the centre of the body",
    "suggested": "suggested by the software",
}
OUTCOMES = {"refuse": ("✕", "Refused"), "warn": ("!", "Warning"), "pass": ("✓", "Passed")}
_FORCE = (
    "A researcher who knows the limits can screen it all the same with --force; the reasons then stay on the page as a "
    "warning."
)
#: Where no level was found, there is nothing that could be screened all the same.
_GIVE_LEVELS = "Find the level on the scan, and give the slice through its middle with --l1 (and --l2)."
CALIBRATION_SOURCES = {
    "user": "the user's calibration file",
    "scanner header": "the scanner's own calibration, from the header",
    "nominal": "a nominal line, not measured on this scanner",
}


def level_set(level: Level) -> str:
    """How a level was set, and whether a reader stands behind it."""
    if level.set_by == "segmentation" and level.confirmed:
        # Whoever gave the file stands behind it; nobody has said that a reader looked at this level.
        return "taken from the segmentation that was given"
    confirmed = "confirmed by a reader" if level.confirmed else "not confirmed by a reader"
    return f"{SET_BY.get(level.set_by, level.set_by)}, {confirmed}"


def level_set_short(level: Level) -> str:
    """The same for a narrow column."""
    if level.set_by == "segmentation" and level.confirmed:
        return "segmentation, as given"
    by = {"user": "reader"}.get(level.set_by, level.set_by)
    return f"{by}, {'confirmed' if level.confirmed else 'not confirmed'}"


def named_levels(result: ScreeningResult) -> str:
    """The levels in a sentence, each that nobody confirmed marked as such."""
    return joined([_marked(result, name) for name in result.levels])


def _marked(result: ScreeningResult, name: str) -> str:
    level = result.levels.get(name)
    return name if level is None or level.confirmed else f"{name} (not confirmed)"


def status(result: ScreeningResult) -> tuple[str, str, str]:
    """What became of the study: (outcome, symbol, words)."""
    if result.status == "refused":
        return "refuse", "✕", "Refused"
    if is_discarded(result):
        return "refuse", "✕", "Discarded by a reader"
    outcome, symbol, words = _screened(result)
    decision = in_force(result)
    signed = "" if decision is None else f"; {decision.decision} by a reader"
    return outcome, symbol, words + signed


def _screened(result: ScreeningResult) -> tuple[str, str, str]:
    outcomes = [check.outcome for check in result.eligibility]
    if "refuse" in outcomes:
        return "refuse", "!", "Screened in spite of a refusal"
    warnings = outcomes.count("warn")
    if warnings:
        return "warn", "!", f"Screened, with {warnings} warning{'s' if warnings > 1 else ''}"
    return "pass", "✓", "Screened"


def title(result: ScreeningResult) -> str:
    """The heading of the page."""
    levels = named_levels(result)
    if result.status == "refused":
        return f"Study refused: {levels} not screened" if levels else "Study refused"
    if is_discarded(result):
        return f"Discarded: bone density of {levels}"
    return f"Bone density of {levels}" if levels else "Study screened"


def unconfirmed_note(result: ScreeningResult) -> str | None:
    """The sentence that stands at the top where a level is not confirmed."""
    names = [name for name, level in result.levels.items() if not level.confirmed]
    if not names:
        return None
    origins = {SET_BY.get(result.levels[name].set_by, "") for name in names}
    how = origins.pop() if len(origins) == 1 else "not set by the reader"
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{joined(names)} {verb} {how}, and no reader has confirmed the level. Every value on this page holds only "
        "if the level is right: check it on the sagittal view, then accept the result as its reader (osteoscreen "
        "decide --accept), or correct the level (--correct)."
    )


def share(probability: float) -> str:
    """A probability in per cent; no name is ever quite certain."""
    percent = 100 * probability
    return "over 99 %" if percent > 99 else "under 1 %" if percent < 1 else f"{percent:.0f} %"


def numbering(result: ScreeningResult) -> list[str]:
    """What the suggested levels rest on, in sentences; none where no level was to be suggested."""
    found = result.numbering
    if found is None:
        return []
    if found.abstains is not None:
        return [f"No level is suggested. {found.abstains}"]
    levels = [
        f"{name} {share(level.probability)}, leaning by {number(level.tilt_deg, 0)}° from the slices' normal"
        for name, level in found.levels.items()
    ]
    told = [f"Suggested levels, each with the probability that it has the right name: {'; '.join(levels)}."]
    if not levels:
        by_reader = "None of the levels is a suggested one: a reader set them."
        told = [by_reader if result.levels else "No level is certain enough to be suggested."]
    return [*told, *found.reasons, "The probabilities were calibrated on simulated scans; count for yourself."]


def summary(result: ScreeningResult) -> list[str]:
    """The result in a few sentences."""
    if result.status == "refused":
        return _refused(result)
    if is_discarded(result):
        return [f"{decision_sentence(result)} {NOT_TO_BE_USED}"]
    sentences = []
    if result.roi:
        means = [f"{_marked(result, name)} {number(roi.mean_hu, 0)} HU" for name, roi in result.roi.items()]
        inset = number(next(iter(result.roi.values())).inset_mm, 0)
        sentences.append(
            f"Mean attenuation of the trabecular compartment, {inset} mm inside its outline: {joined(means)}."
        )
    if result.densitometry is not None:
        sentences += _density(result.densitometry)
    sentences.append(opinion.sentence(result))
    sentences.append(_checks(result.eligibility))
    return sentences


def category_sentence(densitometry: Densitometry, levels: list[str]) -> str:
    """The category as a range that a value lies in."""
    where = {
        "osteoporosis": f"under {_LOW} mg/cm³, the range that the QCT criterion names osteoporosis",
        "osteopenia": f"between {_LOW} and {_HIGH} mg/cm³, the range that the QCT criterion names osteopenia",
        "normal": f"over {_HIGH} mg/cm³, the range that the QCT criterion names normal",
    }[densitometry.category]
    of = f"The mean BMD of {joined(levels)}" if len(levels) > 1 else f"The BMD of {joined(levels) or 'the individual'}"
    return f"{of} lies {where}."


def borderline(densitometry: Densitometry) -> str | None:
    """A sentence where the uncertainty reaches across a limit of the criterion."""
    crossed = limits_within_uncertainty(densitometry)
    if not crossed:
        return None
    reach = densitometry.calibration.uncertainty_mg_cm3
    limits = joined([f"{limit:.0f}" for limit in crossed])
    return (
        f"With its uncertainty of ± {number(reach, 0)} mg/cm³ the value reaches across the limit at {limits} mg/cm³: "
        "the category is uncertain too."
    )


def calibration_line(calibration: Calibration, kvp_factor: float) -> str:
    """The formula from HU to BMD as it was applied."""
    sign = "+" if calibration.intercept >= 0 else "−"
    hu = "HU" if kvp_factor == 1.0 else f"({number(kvp_factor, 3)} × HU)"
    return (
        f"BMD = {number(calibration.slope, 4)} × {hu} {sign} {number(abs(calibration.intercept), 2)} mg/cm³ "
        f"{mineral(calibration.mineral)}"
    )


def _refused(result: ScreeningResult) -> list[str]:
    reasons = [check for check in result.eligibility if check.outcome == "refuse"]
    count = "one reason" if len(reasons) == 1 else f"{len(reasons)} reasons"
    told = f"This study was not screened, for {count}:" if reasons else "This study was not screened."
    sentences = [told]
    if result.roi:
        sentences.append("What was measured before is shown so that the reason can be seen; do not use the values.")
    else:
        sentences.append("Nothing was measured, so this page says nothing about the bone.")
    sentences.append(_GIVE_LEVELS if any(check.check == "level_suggestion" for check in reasons) else _FORCE)
    return sentences


def _density(densitometry: Densitometry) -> list[str]:
    levels = [name for name in densitometry.bmd_mg_cm3 if name != "individual"]
    sentences = [category_sentence(densitometry, levels)]
    note = borderline(densitometry)
    if note:
        sentences.append(note)
    if len(levels) == 1:
        sentences.append(f"Only {levels[0]} was measured, while the criterion is made for the mean of two bodies.")
    if densitometry.calibration.source == "nominal":
        sentences.append("The calibration is nominal, not measured on this scanner: take the BMD as approximate.")
    return sentences


def _checks(checks: list[Check]) -> str:
    refusals = sum(check.outcome == "refuse" for check in checks)
    warnings = sum(check.outcome == "warn" for check in checks)
    if refusals:
        return (
            f"The study was screened although {refusals} eligibility check{'s' if refusals > 1 else ''} refused it: "
            "its values are outside what the method was made for."
        )
    if warnings:
        return f"{warnings} eligibility check{'s' if warnings > 1 else ''} gave a warning, listed below."
    return "All eligibility checks passed." if checks else "No eligibility check was made."
