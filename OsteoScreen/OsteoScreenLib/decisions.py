"""What a reader made of a result: accepted, corrected or discarded, by whom and when. The last decision is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from .errors import UsageError
from .follow_up import refreshed
from .printable import one_line
from .results import Decision, DecisionKind, ScreeningResult

#: A name of a person in DICOM (PN) has at most 64 characters a component group (PS3.5, 6.2).
LONGEST_NAME = 64
#: A comment is a sentence or two, not a report.
LONGEST_COMMENT = 1000


def in_force(result: ScreeningResult) -> Decision | None:
    """Return the decision that holds, None where no reader has decided."""
    return result.decisions[-1] if result.decisions else None


def is_discarded(result: ScreeningResult) -> bool:
    """Return whether a reader discarded the result, and nobody took that back since."""
    decision = in_force(result)
    return decision is not None and decision.decision == "discarded"


def accept(result: ScreeningResult, by: str, at: datetime | None = None, comment: str = "") -> ScreeningResult:
    """Return the result as a reader signed it: accepted, and every level confirmed.

    ``by`` is the reader (1 to 64 characters), ``at`` when, with its offset from UTC; now, where it is None.

    Raises UsageError for a refused study, which holds nothing to accept, or where ``by`` or ``at`` cannot be.
    """
    _refuse_unscreened(result, "accept")
    return _decided(_signed(result), _decision("accepted", by, at, comment), result.decisions)


def discard(result: ScreeningResult, by: str, at: datetime | None = None, comment: str = "") -> ScreeningResult:
    """Return the result as discarded: its values stay in it, and no output shows them as if they held.

    Arguments and errors are those of `accept`.
    """
    _refuse_unscreened(result, "discard")
    return _decided(result, _decision("discarded", by, at, comment), result.decisions)


def corrected(
    new: ScreeningResult,
    old: ScreeningResult,
    by: str,
    at: datetime | None = None,
    comment: str = "",
    outlines: Sequence[str] = (),
) -> ScreeningResult:
    """Return ``new``, the same study screened again with what a reader changed, as the correction of ``old``.

    ``outlines`` are the levels whose outline the reader drew; levels that moved are found by comparing the two. Every
    level is confirmed, since the reader signed it; earlier decisions and the identity are those of ``old``, and so is
    the comparison with earlier results, unless ``new`` was compared itself.

    Raises UsageError where ``new`` is refused or of another scan, nothing was changed, or ``by`` or ``at`` cannot be.
    """
    if new.input.sha256 != old.input.sha256:
        raise UsageError("The two results are of different scans; correct a result with its own scan.")
    _refuse_unscreened(new, "sign")
    changes = [f"level {name}" for name in _moved(new, old)]
    changes += [f"outline {name}" for name in new.levels if name in outlines]
    if not changes:
        raise UsageError(
            "Nothing differs from the result as it is: the levels lie on the slices that were measured. Accept it, or "
            "give another slice or outline."
        )
    decision = _decision("corrected", by, at, comment, changes)
    kept = replace(new, identity=old.identity, follow_up=new.follow_up or old.follow_up, **_counted(new, old))
    return _decided(_signed(kept), decision, old.decisions)


def _counted(new: ScreeningResult, old: ScreeningResult) -> dict[str, Any]:
    """What counting the vertebrae found, and what counted them, which a correction leaves as they were."""
    if old.numbering is None:
        return {}
    suggested = {name for name, level in new.levels.items() if level.set_by == "suggested"}
    levels = {name: level for name, level in old.numbering.levels.items() if name in suggested}
    counted_by = [bundle for bundle in old.bundles if bundle.role == "localisation"]
    return {"numbering": replace(old.numbering, levels=levels), "bundles": [*counted_by, *new.bundles]}


def clean_name(by: str) -> str:
    """Return a reader's name on one line.  Raises UsageError where nothing is left of it, or it is too long."""
    name = one_line(by)
    if not name:
        raise UsageError("Nobody is named as the reader; say who decides.")
    if len(name) > LONGEST_NAME:
        raise UsageError(f"The reader's name is longer than {LONGEST_NAME} characters; shorten it.")
    return name


def _moved(new: ScreeningResult, old: ScreeningResult) -> list[str]:
    """The levels that are not on the slice of before, or were not there."""
    slices = {name: level.slice_index for name, level in old.levels.items()}
    return [name for name, level in new.levels.items() if slices.get(name) != level.slice_index]


def _decision(
    kind: DecisionKind, by: str, at: datetime | None, comment: str, corrections: Sequence[str] = ()
) -> Decision:
    moment = datetime.now().astimezone() if at is None else at
    if moment.utcoffset() is None:
        raise UsageError("The time of a decision lacks its offset from UTC; give it with its time zone.")
    return Decision(
        decision=kind,
        by=clean_name(by),
        at=moment.isoformat(timespec="seconds"),
        corrections=list(corrections),
        comment=one_line(comment, LONGEST_COMMENT),
    )


def _signed(result: ScreeningResult) -> ScreeningResult:
    return replace(result, levels={name: replace(level, confirmed=True) for name, level in result.levels.items()})


def _decided(result: ScreeningResult, decision: Decision, before: Sequence[Decision]) -> ScreeningResult:
    decided = replace(result, decisions=[*before, decision])
    return replace(decided, follow_up=[refreshed(change, decided) for change in decided.follow_up])


def _refuse_unscreened(result: ScreeningResult, what: str) -> None:
    if result.status != "screened":
        raise UsageError(f"The study was refused, so there is no result to {what}; correct the levels or outlines.")
