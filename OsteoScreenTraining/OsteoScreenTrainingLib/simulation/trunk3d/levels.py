"""The vertebrae's names and sizes, and the values of the label map.

Sizes are Panjabi's cadavers' (cervical 1991, thoracic 1991, lumbar 1992: upper endplate width and depth, posterior
height), recalled and consistent with Docs/sources.md where it gives them; a person scales them.
"""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """A vertebral body's endplate width and depth, its height, and the height of the disc under it, mm."""

    width: float
    depth: float
    height: float
    disc: float


CERVICAL = tuple(f"C{n}" for n in range(1, 8))
THORACIC = tuple(f"T{n}" for n in range(1, 14))
LUMBAR = tuple(f"L{n}" for n in range(1, 7))

#: C1 has no body: its place is the dens's; widths there are of the dens. Disc heights: judged from the usual 5 mm in
#: the neck, 4-6 mm in the thorax and 8-11 mm in the lumbar spine.
SIZES = {
    "C1": Size(13, 12, 12, 2), "C2": Size(17.5, 15.5, 18, 5), "C3": Size(15.8, 15, 11.6, 5),
    "C4": Size(17.2, 15.3, 11.4, 5), "C5": Size(17.5, 15.2, 11.4, 5.3), "C6": Size(18.5, 16.4, 11, 5.5),
    "C7": Size(21.8, 18.1, 12.8, 5), "T1": Size(24.5, 18.5, 14.1, 4.5), "T2": Size(24.9, 19.6, 15.6, 4),
    "T3": Size(24.6, 22.7, 15.7, 3.8), "T4": Size(24.5, 23.3, 16.2, 3.8), "T5": Size(24.9, 24.3, 16.2, 4),
    "T6": Size(26.2, 26, 17.4, 4.4), "T7": Size(27.8, 27.4, 18.2, 4.7), "T8": Size(29.5, 27.9, 18.7, 5),
    "T9": Size(30.6, 29.3, 19.3, 5.3), "T10": Size(31.9, 30.5, 20.2, 5.8), "T11": Size(34.9, 31.9, 21.3, 6.3),
    "T12": Size(39, 32.8, 22.7, 7), "T13": Size(40, 33.4, 23.2, 7.5), "L1": Size(41.2, 34.1, 23.8, 8),
    "L2": Size(42.6, 34.6, 24.3, 9), "L3": Size(44.1, 35.2, 23.8, 10), "L4": Size(46.6, 35.5, 24.1, 10.8),
    "L5": Size(47.3, 34.7, 22.9, 10), "L6": Size(48, 34.2, 22.9, 9), "S1": Size(49, 32, 28, 2),
}  # fmt: skip

#: Values of the label map. Bodies are numbered as the VerSe data set numbers vertebrae (S1's body is the sacrum's).
BODY_LABELS = (
    {name: n for n, name in enumerate(CERVICAL, 1)}
    | {name: n for n, name in enumerate(THORACIC[:12], 8)}
    | {name: n for n, name in enumerate(LUMBAR, 20)}
    | {"S1": 26, "T13": 28}
)
SACRUM_LABEL, DISC_LABEL = 29, 30
#: A rib's label is this plus its number; a lumbar rib counts as the 14th.
RIB_LABELS = {"right": 40, "left": 60}
LUMBAR_RIB = 14
#: The label of a vertebra's posterior elements is this plus its body's.
POSTERIOR_LABEL = 100


def label_names() -> dict[int, str]:
    """Return what every value of the label map stands for, 0 (nothing named) left out."""
    names = {value: f"{name} body" for name, value in BODY_LABELS.items()}
    names |= {SACRUM_LABEL: "sacrum", DISC_LABEL: "disc"}
    for side, first in RIB_LABELS.items():
        names |= {first + n: f"rib {n} {side}" for n in range(1, 14)} | {first + LUMBAR_RIB: f"lumbar rib {side}"}
    names |= {POSTERIOR_LABEL + value: f"{name} posterior elements" for name, value in BODY_LABELS.items()}
    return dict(sorted(names.items()))
