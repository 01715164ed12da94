"""Which other names a careful reader may give the vertebrae of a column that is not the usual one, and why."""

from __future__ import annotations

from .levels import LUMBAR, THORACIC

#: The usual order, far enough both ways to shift in.
ORDER = ("C7", *THORACIC[:12], *LUMBAR)
#: Below this length against the usual, a last rib is easily overlooked.
SHORT_RIB = 0.4


class Ambiguities:
    """Collects alternative names, vertebra by vertebra, and the reasons for them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.thoracic = [name for name in names if name in ORDER[2:13]]
        self.lumbar = [name for name in names if name[0] == "L"]
        self._found: dict[str, list[str]] = {}
        self.notes: list[str] = []

    def add(self, name: str, other: str) -> None:
        """Let ``name`` be read as ``other`` too."""
        if other != name and other not in self._found.setdefault(name, []):
            self._found[name].append(other)

    def shift(self, names: list[str], by: int) -> None:
        """Let each of ``names``, T13 not among them, be read as the one ``by`` places further down."""
        for name in names:
            place = ORDER.index(name) + by
            if 0 <= place < len(ORDER):
                self.add(name, ORDER[place])

    def as_dict(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(others) for name, others in self._found.items()}


def ambiguities(
    names: tuple[str, ...], ribs: dict[str, dict[str, float]], sacralised: bool, lumbarised: bool
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return name -> its alternatives, and the reasons in words.

    names : of the vertebrae from C1 to S1, counted from above
    ribs : name -> side -> length against the usual rib of that place
    """
    found = Ambiguities(names)
    both = [*found.thoracic, *found.lumbar]
    if "T12" not in ribs:
        found.shift(both, 1)
        found.notes.append("T12 bears no ribs: where C1 to T1 are not seen, it is read as L1 and T11 as T12")
    elif max(ribs["T12"].values()) < SHORT_RIB and "T13" not in names:
        found.shift(both, 1)
        found.notes.append("both 12th ribs are hypoplastic: overlooked, T12 is read as L1 and T11 as T12")
    if "T13" in names:
        found.add("T13", "L1")
        found.shift(found.lumbar, 1)
        found.add("T13", "T12")
        found.shift(found.thoracic, -1)
        found.notes.append("T13 bears ribs: counted to twelve from above it is L1, by the last rib it is T12")
    if "L1" in ribs:
        found.shift(both, -1)
        found.notes.append("L1 bears short ribs: by the last rib it is T12")
    last = found.lumbar[-1]
    missing = 5 - len(found.lumbar)
    if missing:
        found.shift(found.lumbar, missing)
        found.notes.append(f"{len(found.lumbar)} lumbar bodies: counted from the sacrum, {last} is L5")
    if sacralised:
        found.add(last, "S1")
        found.notes.append(f"{last} is partly part of the sacrum: it may be read as S1")
    if lumbarised:
        found.add("S1", f"L{len(found.lumbar) + 1}")
        found.notes.append(f"S1 is partly free of the sacrum: it may be read as L{len(found.lumbar) + 1}")
    return found.as_dict(), tuple(found.notes)
