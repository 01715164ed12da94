"""Which reconstruction kernels are soft: what the makers' names of them mean."""

from __future__ import annotations

import re
from typing import Literal

KernelKind = Literal["soft", "sharp", "unknown"]

# Names as they stand in Convolution Kernel (0018,1210). GE: words; Siemens: a letter or two, then a sharpness whose
# tens digit is 5 or more for lung and bone (B31f, Br40d, I26f against B70f, Bl57d, Hr60); Canon (Toshiba): FC numbers,
# below 20 for the body's soft tissue, 30-39 bone, 50-59 lung, 80-89 high resolution; Philips: letters.
# Source: the makers' DICOM conformance statements and the kernels seen in public TCIA collections.
_SOFT_WORDS = {"SOFT", "STANDARD", "STND", "STD", "CHST", "SMOOTH", "BODY", "A", "B", "AA", "AB", "UA", "XCA", "XRES"}
_SHARP_WORDS = {
    "LUNG",
    "BONE",
    "BONEPLUS",
    "EDGE",
    "ULTRA",
    "SHARP",
    "HD",
    "DETAIL",
    "E",
    "D",
    "L",
    "C",
    "YC",
    "YD",
    "YE",
}
_SIEMENS = re.compile(r"^(?:[BDHIJKQSTU][A-Z]{0,2})(\d{2})[A-Z]?\d?$")
_CANON = re.compile(r"^FC(\d{1,2})")


def kernel_kind(kernel: str | None) -> KernelKind:
    """Whether a kernel's name says soft tissue or sharp (lung, bone); "unknown" where it says neither."""
    words = re.split(r"[\s/\\,;_-]+", (kernel or "").strip().upper())
    for word in words:
        if siemens := _SIEMENS.match(word):
            return "soft" if int(siemens[1]) < 50 else "sharp"
        if canon := _CANON.match(word):
            return "soft" if int(canon[1]) < 20 or 40 <= int(canon[1]) < 50 else "sharp"
    if any(word in _SHARP_WORDS or word.startswith(("LUNG", "BONE", "EDGE")) for word in words):
        return "sharp"
    return "soft" if any(word in _SOFT_WORDS for word in words) else "unknown"
