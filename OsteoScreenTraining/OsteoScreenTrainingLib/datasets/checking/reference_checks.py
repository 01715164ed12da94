"""Checks of the reference: BMD and its unit, its mineral, the calibration, and the HU of the slices beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from OsteoScreenLib.densitometry.bmd import bmd as bmd_of

from ..calibrations import subject_line
from ..manifest import LARGEST_OTHER_UNIT, Subject
from .evidence import Evidence
from .registry import Finding, check

BMD_COLUMNS = ("bmd_l1", "bmd_l2", "bmd_individual")
#: Trabecular BMD of adults, mg/cm3: peak means are 177 to 185 (Cheng 2021) with an SD of about 30, four of which are
#: taken; marrow fat takes the oldest below 0.
USUAL_BMD = (-20.0, 305.0)
#: g/cm3 of trabecular bone are below the first; T-scores lie between minus and plus the second.
G_PER_CM3, T_SCORE = 0.5, 6.0
#: The means of L1 and L2 may each have been rounded to whole numbers.
ROUNDING = 1.0
#: Neighbours of one person rarely differ by more (SD of L1 less L2 about 9 mg/cm3 in the simulated cohort).
LEVELS_APART = 45.0
#: What the slice's HU say through the line may differ from the reference by this: the nominal line is good to 20, the
#: reference to 10 mg/cm3 (shared notes), and this is three of both.
FROM_HU = 65.0
#: A BMD near 0 is believed where the slice's HU bear it out to this, about the error of both.
BORNE_OUT = 25.0
#: Lines published for scanners have slopes of 0.60 to 0.93 (Docs/sources.md).
PUBLISHED_SLOPE = (0.58, 0.97)


@check("bmd_unit")
def bmd_unit(evidence: Evidence) -> Iterator[Finding]:
    """BMD is in mg/cm3 (which mg/ml is too), not in g/cm3, no T-score and no HU."""
    given = [(item, name, value) for item in evidence.subjects for name, value in _values(item)]
    odd = [(item, name, value) for item, name, value in given if abs(value) < LARGEST_OTHER_UNIT]
    if given and 2 * len(odd) >= len(given) > 1:
        message = f"{len(odd)} of {len(given)} BMD lie within {LARGEST_OTHER_UNIT:g} of 0."
        yield Finding("error", message, "Give mg/cm³ (g/cm³ times 1000), and no T-scores.", column="bmd_individual")
    for subject, name, value in odd:
        what = _looks_like(value)
        expected = _from_hu(evidence, subject, name)
        if what is None or (expected is not None and abs(expected - value) < BORNE_OUT):
            continue
        message, advice = f"{name} {value:g} looks like {what}.", "Write mg/cm³ (g/cm³ times 1000), and no T-score."
        if expected is not None and expected - value > FROM_HU:
            message = f"{message[:-1]}: the slice's HU say about {expected:.0f} mg/cm³."
            yield Finding("error", message, advice, subject.subject, name)
        else:
            yield Finding("warning", message, advice, subject.subject, name)


def _looks_like(value: float) -> str | None:
    if 0.01 <= value <= G_PER_CM3:
        return "g/cm³"
    return "a T-score" if abs(value) <= T_SCORE else None


def _values(subject: Subject) -> Iterator[tuple[str, float]]:
    for name in BMD_COLUMNS:
        value = getattr(subject, name)
        if value is not None:
            yield name, value


def _from_hu(evidence: Evidence, subject: Subject, column: str) -> float | None:
    """Return the BMD that a level's HU, or those of both, give through the subject's line."""
    levels = ("L1", "L2") if column == "bmd_individual" else (column[4:].upper(),)
    seen = [evidence.measures.get((subject.subject, level)) for level in levels]
    values = [bmd_of(found.median_hu, subject_line(subject)) for found in seen if found is not None]
    return sum(values) / len(values) if len(values) == len(levels) else None


@check("bmd_range")
def bmd_range(evidence: Evidence) -> Iterator[Finding]:
    """BMD is one that people have, and known for those who have a slice."""
    low, high = USUAL_BMD
    for subject in evidence.subjects:
        for name, value in _values(subject):
            if not low <= value <= high:
                message = f"{name} {value:g} mg/cm³ lies outside of {low:g} to {high:g}."
                yield Finding("warning", message, "Check the number, its unit and the level.", subject.subject, name)
    without = [item.subject for item in evidence.subjects if item.bmd is None]
    if without:
        shown = ", ".join(without[:6]) + (", …" if len(without) > 6 else "")
        message = f"{len(without)} of {len(evidence.subjects)} subjects have no reference BMD ({shown})."
        advice = "They can train a segmentation, and no classifier."
        yield Finding("note", message, advice, column="bmd_individual")


@check("bmd_individual")
def bmd_individual(evidence: Evidence) -> Iterator[Finding]:
    """The individual's BMD is the mean of L1 and L2, and both are alike."""
    for subject in evidence.subjects:
        first, second, both = subject.bmd_l1, subject.bmd_l2, subject.bmd_individual
        name = subject.subject
        if first is None or second is None:
            if both is None and (first is not None or second is not None):
                message = "One level has a BMD, the other and the individual have none."
                yield Finding("warning", message, "Give both levels, or the individual's.", name, "bmd_individual")
            continue
        mean = (first + second) / 2
        if both is not None and abs(both - mean) > ROUNDING:
            message = f"bmd_individual {both:g} contradicts L1 and L2, whose mean is {mean:g}."
            yield Finding("error", message, "Correct one of the three, or empty it.", name, "bmd_individual")
        if abs(first - second) > LEVELS_APART:
            message = f"BMD of L1 and L2 differ by {abs(first - second):.0f} mg/cm³."
            yield Finding("warning", message, "Look for a fracture or a typing error.", name, "bmd_l2")


@check("mineral")
def mineral(evidence: Evidence) -> Iterator[Finding]:
    """Whoever has a BMD has its mineral, one for all, and how it was measured."""
    measured = [subject for subject in evidence.subjects if subject.bmd is not None]
    for subject in measured:
        if subject.mineral is None and (subject.subject, "mineral") not in evidence.damaged_cells:
            message = "The mineral of the BMD is missing."
            yield Finding("warning", message, "Write CaHA or K2HPO4: the two differ by up to a fifth.", subject.subject,
                          "mineral")  # fmt: skip
    counts = Counter(subject.mineral for subject in measured if subject.mineral)
    if len(counts) > 1:
        words = " and ".join(f"{count} in {name}" for name, count in counts.most_common())
        advice = "Convert one to the other before training: the classes' limits are of one mineral."
        yield Finding("warning", f"The BMD are of two minerals: {words}.", advice, column="mineral")
    unnamed = sum(subject.method is None for subject in measured)
    if unnamed:
        message = f"How the BMD was measured is not said for {unnamed} of {len(measured)} subjects."
        yield Finding("note", message, "Write it in the column method; a bundle's card repeats it.", column="method")


@check("calibration")
def calibration(evidence: Evidence) -> Iterator[Finding]:
    """A calibration's slope can be true, and every scan of a scanner has one or none has."""
    low, high = PUBLISHED_SLOPE
    lined: dict[str, list[bool]] = {}
    for subject in evidence.subjects:
        slope = subject.calibration_slope
        if slope is not None and not low <= slope <= high:
            message = f"A calibration slope of {slope:g} mg/cm³ per HU is unlike any published (0.60 to 0.93)."
            yield Finding("warning", message, "Check the line.", subject.subject, "calibration_slope")
        if subject.scanner:
            lined.setdefault(subject.scanner, []).append(slope is not None)
    for scanner, known in lined.items():
        if any(known) and not all(known):
            message = f"{known.count(False)} of {len(known)} scans of the scanner {scanner} have no calibration."
            advice = "Fill it in: without one, the nominal line is used, and the HU are standardised differently."
            yield Finding("warning", message, advice, column="calibration_slope")


@check("bmd_from_hu")
def bmd_from_hu(evidence: Evidence) -> Iterator[Finding]:
    """The slice's HU and the reference BMD tell of the same bone."""
    for subject in evidence.subjects:
        for name, value in _values(subject):
            expected = None if name == "bmd_individual" else _from_hu(evidence, subject, name)
            if expected is None or abs(value) < LARGEST_OTHER_UNIT or abs(expected - value) <= FROM_HU:
                continue
            message = f"{name} is {value:.0f} mg/cm³, and the slice's HU say about {expected:.0f}."
            advice = "Look at level, outline and unit; and whether CT and BMD are the same person's."
            yield Finding("warning", message, advice, subject.subject, name)
