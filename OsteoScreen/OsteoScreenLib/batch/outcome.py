"""What passes between the driver and those who screen: orders out, outcomes back, both plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .publish import Seal, StudyPlace
from .settings import BatchSettings
from .store import asked_hash
from .study import BatchStudy, State


class Trouble(str, Enum):
    """Why a try came to nothing that is final.

    The first three may be the study's fault, and are tried once more, alone. The others never are.
    """

    KILLED = "killed"
    TIMEOUT = "timeout"
    MEMORY = "out of memory"
    UNREACHABLE = "unreachable"
    MISSING = "missing"
    GONE = "inputs gone"
    OUTPUT = "outputs cannot be written"
    UNUSABLE = "worker unusable"

    @property
    def may_be_the_studys(self) -> bool:
        """Whether the study is tried once more, alone, and then set aside as failed."""
        return self in (Trouble.KILLED, Trouble.TIMEOUT, Trouble.MEMORY, Trouble.UNREACHABLE)

    @property
    def stops_the_batch(self) -> bool:
        """Whether any other study would come to the same end just now."""
        return self in (Trouble.GONE, Trouble.OUTPUT, Trouble.UNUSABLE)


@dataclass(frozen=True)
class Order:
    """One study to screen: how, into which set of which output folder, and by when.

    bundles, versions : those of the set; a worker that has others must not take part
    in_flight, gather : as in :class:`.settings.Pace`
    witnesses : scans that were there before, to tell a missing one from a share that is gone
    """

    study: BatchStudy
    settings: BatchSettings
    out: str
    set_id: str
    set_hash: str
    versions: dict[str, str]
    bundles: list[dict[str, str]]
    timeout_s: float
    in_flight: int = 1
    gather: int | None = None
    witnesses: list[str] = field(default_factory=list)

    @property
    def place(self) -> StudyPlace:
        """Where its outputs go."""
        return StudyPlace(Path(self.out), self.set_id, self.study.id, Seal(self.set_hash, asked_hash(self.study)))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Order:
        """Return the order that `to_json` made."""
        parts = {
            "study": BatchStudy(**document["study"]),
            "settings": BatchSettings.from_json(document["settings"]),
        }
        return cls(**{**document, **parts})


@dataclass(frozen=True)
class Outcome:
    """What came of an order: a final ``state``, or the ``trouble`` that kept it from one.

    kind, reason, seconds, measures, doubt : as in :class:`StudyRow`
    taken_over : it had been screened before, and was not again
    found : the device that the scan lies on and the scan's path, where it was there
    """

    state: State | None = None
    trouble: Trouble | None = None
    kind: str = ""
    reason: str = ""
    seconds: float | None = None
    measures: dict[str, Any] = field(default_factory=dict)
    doubt: float | None = None
    taken_over: bool = False
    found: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Outcome:
        """Return the outcome that `to_json` made; keys of a child's own are left aside."""
        values = {key: document[key] for key in cls.__dataclass_fields__ if key in document}
        values["state"] = None if values["state"] is None else State(values["state"])
        values["trouble"] = None if values["trouble"] is None else Trouble(values["trouble"])
        values["found"] = None if values["found"] is None else tuple(values["found"])
        return cls(**values)


def troubled(trouble: Trouble, reason: str, seconds: float | None = None) -> Outcome:
    """Return an outcome that is not final."""
    return Outcome(trouble=trouble, kind=trouble.value, reason=reason, seconds=seconds)
