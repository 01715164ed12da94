"""The same statistic in each subgroup of the subjects, and why some have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from OsteoScreenLib.errors import UsageError

T = TypeVar("T")

#: What subjects without a label are counted as.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Subgroup(Generic[T]):
    """A subgroup of ``n`` subjects with its statistic, or with the reason in words why it has none."""

    name: str
    n: int
    value: T | None
    skipped: str | None = None


def by_subgroup(function: Callable[[np.ndarray], T], groups: Any, truth: Any, least: int = 20) -> list[Subgroup[T]]:
    """Apply a function to the subjects of each subgroup, in the order of the subgroups' names.

    Args:
        function: takes the numbers of the subjects, (m,) int, and returns the statistic.
        groups: (n,) labels; None, NaN and empty ones form the subgroup "unknown".
        truth: (n,) the classes or outcome.
        least: subgroups with fewer subjects are skipped, as are those with one class only; the reason is recorded.

    Raises:
        UsageError: the arrays differ in length, or there are no subjects.
    """
    names, true = np.array([_name(label) for label in np.asarray(groups, object)]), np.asarray(truth)
    if names.ndim != 1 or not len(names) or true.shape[:1] != names.shape:
        raise UsageError(f"There are {len(names)} subgroup labels for {true.shape[0] if true.ndim else 0} subjects.")
    return [_apply(function, str(name), np.nonzero(names == name)[0], true, least) for name in np.unique(names)]


def _name(label: Any) -> str:
    missing = label is None or label == "" or label != label
    return UNKNOWN if missing else str(label)


def _apply(
    function: Callable[[np.ndarray], T], name: str, rows: np.ndarray, truth: np.ndarray, least: int
) -> Subgroup[T]:
    if len(rows) < least:
        return Subgroup(name, len(rows), None, f"has {len(rows)} subjects, fewer than {least}")
    if len(np.unique(truth[rows])) < 2:
        return Subgroup(name, len(rows), None, f"has one class only ({truth[rows[0]]})")
    return Subgroup(name, len(rows), function(rows))
