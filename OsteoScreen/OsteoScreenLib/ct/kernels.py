"""What the makers' names of reconstruction kernels mean for HU: soft, medium, lung, bone, or edge-enhancing."""

from __future__ import annotations

import re
from typing import Literal

KernelKind = Literal["soft", "sharp", "unknown"]
KernelClass = Literal["soft", "medium", "lung", "bone", "edge", "unknown"]

# Siemens: letter(s), then the sharpness (operating manual of the SOMATOM Sensation: B10-B41 for body tissue, B50-B80
# for sharper tasks, S80/S90 special; from 2012 on Br40, Bl57, Hr60 with the same scale, l for lung).
_SIEMENS = re.compile(r"^(?P<family>[BHIJKQSTUD])(?P<kind>[A-Z]{0,2})(?P<sharpness>\d{2})[A-Z]?\d?$")
_SIEMENS_SOFT, _SIEMENS_MEDIUM, _SIEMENS_EDGE = 45, 55, 80
# Canon (Toshiba): FC01-FC19 body, FC20-FC29 and FC40-FC49 and FC60-FC69 brain, FC30-FC39 bone, FC50-FC59 lung,
# FC70 and above high resolution. Recalled from the maker's tables, to be read as such.
_CANON = re.compile(r"^F[CL](\d{2})")
# GE and Philips name kernels by words and letters. Recalled from the makers' tables, to be read as such.
_WORDS: dict[str, KernelClass] = {
    "SOFT": "soft", "STANDARD": "soft", "STND": "soft", "STD": "soft", "SMOOTH": "soft", "BODY": "soft",
    "CHEST": "soft", "CHST": "soft", "A": "soft", "B": "soft", "SA": "soft", "SB": "soft", "UA": "soft", "UB": "soft",
    "IMR1": "soft", "ROUTINE": "soft", "XCA": "soft", "XCB": "soft", "CA": "soft", "CB": "soft", "IPAB": "soft",
    "DETAIL": "medium", "C": "medium", "CC": "medium", "EB": "medium", "EC": "medium", "SHARP": "medium",
    "LUNG": "lung", "L": "lung", "YB": "lung", "YL": "lung",
    "BONE": "bone", "D": "bone", "YA": "bone", "YC": "bone", "YD": "bone", "YE": "bone", "E": "bone",
    "BONEPLUS": "edge", "EDGE": "edge", "ULTRA": "edge",
}  # fmt: skip


def kernel_class(kernel: str | None, manufacturer: str | None = None) -> KernelClass:
    """What a Convolution Kernel (0018,1210) is, by its name; "unknown" where the name says nothing sure.

    ``manufacturer`` decides nothing where the name is clear; single letters are read as Philips writes them unless
    another maker is named.
    """
    words = [word for word in re.split(r"[^A-Z0-9]+", (kernel or "").upper()) if word]
    for word in words:
        if siemens := _SIEMENS.match(word):
            return _siemens(siemens)
        if canon := _CANON.match(word):
            return _canon(int(canon[1]))
    another = bool(manufacturer) and "PHILIPS" not in str(manufacturer).upper()
    kinds = [_WORDS[word] for word in words if word in _WORDS and not (another and len(word) == 1)]
    order: tuple[KernelClass, ...] = ("edge", "bone", "lung", "medium", "soft")
    return next((kind for kind in order if kind in kinds), "unknown")


def kernel_kind(kernel: str | None, manufacturer: str | None = None) -> KernelKind:
    """Whether a kernel is the body's soft one, sharper than that, or not known; see :func:`kernel_class`."""
    kind = kernel_class(kernel, manufacturer)
    if kind in ("soft", "unknown"):
        return "soft" if kind == "soft" else "unknown"
    return "sharp"


def _siemens(match: re.Match[str]) -> KernelClass:
    sharpness = int(match["sharpness"])
    if match["kind"].startswith("L"):
        return "lung"
    if sharpness <= _SIEMENS_SOFT:
        return "soft"
    if sharpness < _SIEMENS_MEDIUM:
        return "medium"
    return "bone" if sharpness < _SIEMENS_EDGE else "edge"


def _canon(number: int) -> KernelClass:
    tens = number // 10
    table: dict[int, KernelClass] = {0: "soft", 1: "soft", 2: "soft", 3: "bone", 4: "soft", 5: "lung", 6: "soft"}
    return table.get(tens, "edge")
