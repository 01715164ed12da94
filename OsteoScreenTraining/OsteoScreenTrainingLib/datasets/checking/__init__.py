"""What is wrong with a data set, found before training finds it.

A check is a function that takes the :class:`~.evidence.Evidence` and yields findings; writing one with the decorator
:func:`~.registry.check` is all that adding one takes. The modules here hold the checks, each of one part of the data.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from OsteoScreenLib.progress import Progress, silent
from OsteoScreenLib.results import BONE_STATUSES

from ..folder import bone_status
from ..inclusion import include
from ..manifest import Subject
from . import manifest_checks, outline_checks, reference_checks, source_checks, split_checks  # noqa: F401 (register)
from .evidence import Evidence, gather
from .registry import CHECKS, SEVERITIES, Finding, named

__all__ = ["CheckReport", "Finding", "check_data_set"]

SCHEMA = "osteoscreen-check/1"


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What was found; ``findings`` are the worst first, then in the order of the manifest.

    ``included`` is the number of subjects whom the study's criteria leave, None where there are no slices yet;
    ``classes`` counts subjects by split and part ("all" for the whole) and bone status.
    """

    findings: Sequence[Finding]
    evidence: Evidence
    included: int | None
    classes: dict[str, dict[str, int]]

    def count(self, severity: str) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "schema": SCHEMA,
            "data_set": str(self.evidence.folder),
            "date": self.evidence.today.isoformat(),
            "subjects": len(self.evidence.subjects),
            "included": self.included,
            "slices": len(self.evidence.measures),
            **{f"{severity}s": self.count(severity) for severity in SEVERITIES},
            "classes": self.classes,
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_data_set(
    folder: Path, progress: Progress = silent, today: datetime.date | None = None, workers: int = 1
) -> CheckReport:
    """Look for all that is wrong with a data set, built or not.

    CT are opened, by their headers and two slices each, only of subjects whose slices have not been built from them as
    they are now; ``workers`` processes share that. ``today`` is what dates are compared with.

    Raises:
        InputError: the manifest cannot be read at all.
    """
    evidence = gather(folder, today or datetime.date.today(), workers, progress)
    findings = [named(name, finding) for name, check in CHECKS.items() for finding in check(evidence)]
    order = {subject.subject: place for place, subject in enumerate(evidence.subjects)}
    findings.sort(key=lambda item: (SEVERITIES.index(item.severity), order.get(item.subject or "", -1)))
    included = None if evidence.data is None else include(evidence.data).included
    return CheckReport(findings, evidence, None if included is None else len(included), _classes(evidence, included))


def _classes(evidence: Evidence, included: Sequence[Subject] | None) -> dict[str, dict[str, int]]:
    table = {"all": _counts(evidence.subjects if included is None else included)}
    by_name = {subject.subject: subject for subject in evidence.subjects}
    for name, split in evidence.splits.items():
        for part, members in split.parts.items():
            table[f"{name}: {part}"] = _counts([by_name[member] for member in members if member in by_name])
    return table


def _counts(subjects: Sequence[Subject]) -> dict[str, int]:
    found = Counter(BONE_STATUSES[bone_status(subject)] for subject in subjects if subject.bmd is not None)
    return {status: found[status] for status in BONE_STATUSES}
