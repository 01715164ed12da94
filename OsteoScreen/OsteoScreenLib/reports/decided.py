"""What a reader made of the result, in a sentence."""

from __future__ import annotations

from datetime import datetime

from ..decisions import in_force
from ..results import Decision, ScreeningResult
from .phrases import joined

NOT_TO_BE_USED = "The values are kept for the record: do not use them."


def decision_sentence(result: ScreeningResult) -> str | None:
    """Return the decision in force as a sentence, None where no reader has decided."""
    decision = in_force(result)
    return None if decision is None else one_decision(decision)


def one_decision(decision: Decision) -> str:
    """Return a decision as a sentence: what, by whom, when."""
    what = {"accepted": "Accepted", "corrected": "Corrected", "discarded": "Discarded"}[decision.decision]
    changed = f" ({joined(decision.corrections)})" if decision.corrections else ""
    return f"{what}{changed} by {decision.by} on {moment(decision.at)}."


def moment(at: str) -> str:
    """Return a time in ISO 8601 as it is read: "2026-11-26 10:15 +01:00"."""
    return datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M ") + at[-6:]
