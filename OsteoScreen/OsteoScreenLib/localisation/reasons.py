"""In words: what the names of the vertebrae rest on, and what keeps them from being certain."""

from __future__ import annotations

from collections.abc import Sequence

from .spine import LocalisedVertebra, Naming

#: A vertebra bears ribs, or none, where the network is this sure.
SURE = 0.75


def reasons(
    vertebrae: Sequence[LocalisedVertebra], namings: Sequence[Naming], sacrum_mm: float | None
) -> tuple[str, ...]:
    """Return the reasons as sentences; ``sacrum_mm`` is RAS S of the sacrum's upper end, None where none is seen."""
    if not vertebrae:
        return ()
    said = [_ribs(vertebrae), _first_rib(vertebrae)]
    said.append(
        f"The sacrum begins at S = {sacrum_mm:.0f} mm." if sacrum_mm is not None
        else "The sacrum is not in the field of view."
    )  # fmt: skip
    said += [_cut(vertebrae), _counts(vertebrae), _other(namings)]
    return tuple(sentence for sentence in said if sentence)


def bears_ribs(vertebra: LocalisedVertebra) -> bool:
    """Whether it surely bears a rib on one side at least."""
    return max(vertebra.ribs) >= SURE


def bears_none(vertebra: LocalisedVertebra) -> bool:
    """Whether it surely bears no rib."""
    return max(vertebra.ribs) <= 1 - SURE


def _ribs(vertebrae: Sequence[LocalisedVertebra]) -> str:
    ribbed = [v for v in vertebrae if bears_ribs(v)]
    if not ribbed:
        return "No rib-bearing vertebra is seen."
    last = ribbed[-1]
    below = vertebrae[vertebrae.index(last) + 1 :]
    surely = "surely " if any(not bears_none(v) for v in below) else ""
    words = f"The lowest {surely}rib-bearing vertebra is {last.name} at S = {last.centre[2]:.0f} mm"
    sides = [side for side, share in zip(("left", "right"), last.ribs, strict=True) if share >= SURE]
    words += f", with a rib on the {sides[0]} alone" if len(sides) == 1 else ""
    if not below:
        return words + ", the lowest one seen: there may be more below."
    return words + f"; {_below(below)}."


def _below(below: Sequence[LocalisedVertebra]) -> str:
    """Return what is seen below the lowest vertebra that surely bears ribs."""
    unsure = [v.name for v in below if not bears_none(v)]
    free = len(below) - len(unsure)
    said = f"below it {_number(free)} without ribs {'is' if free == 1 else 'are'} seen" if free else ""
    doubt = f"whether {' and '.join(unsure)} below it {'bears' if len(unsure) == 1 else 'bear'} any is not clear"
    return ", and ".join(filter(None, (said, doubt if unsure else "")))


def _first_rib(vertebrae: Sequence[LocalisedVertebra]) -> str:
    ribbed = [n for n, v in enumerate(vertebrae) if bears_ribs(v)]
    if not ribbed or ribbed[0] == 0 or not bears_none(vertebrae[ribbed[0] - 1]):
        return ""
    first = vertebrae[ribbed[0]]
    return f"The uppermost rib-bearing vertebra is {first.name} at S = {first.centre[2]:.0f} mm."


def _cut(vertebrae: Sequence[LocalisedVertebra]) -> str:
    cut = [v.name for v in (vertebrae[0], vertebrae[-1]) if not v.whole]
    return f"The scan ends within {' and '.join(dict.fromkeys(cut))}." if cut else ""


def _counts(vertebrae: Sequence[LocalisedVertebra]) -> str:
    names = [v.name for v in vertebrae]
    unusual = []
    if "T13" in names:
        unusual.append("thirteen rib-bearing vertebrae")
    if "L6" in names:
        unusual.append("six lumbar vertebrae")
    if "S1" in names and "L4" in names and "L5" not in names:
        unusual.append("four lumbar vertebrae")
    return f"The naming takes it that there are {' and '.join(unusual)}, which is unusual." if unusual else ""


def _other(namings: Sequence[Naming]) -> str:
    others = [naming for naming in namings[1:] if naming.probability >= 0.02]
    if not others:
        return ""
    words = [
        f"one vertebra further {'up' if naming.shift < 0 else 'down'} has {100 * naming.probability:.0f} %"
        for naming in others
    ]
    return f"The naming {' and '.join(words)}."


def _number(count: int) -> str:
    words = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
    return words.get(count, str(count))
