"""The names and codes by which a segmentation says which vertebra is which."""

from __future__ import annotations

import re

#: Every vertebra that a segmentation may name, from head to foot; T13 and L6 are the transitional ones.
HEAD_TO_FOOT = (
    *(f"C{n}" for n in range(1, 8)),
    *(f"T{n}" for n in range(1, 14)),
    *(f"L{n}" for n in range(1, 7)),
    "S1",
)

#: SNOMED CT codes of whole vertebrae. Source: TotalSegmentator's totalsegmentator_snomed_mapping.csv; L1, L2, L3 and
#: T12 are the same in pydicom's dictionaries.
SCT_CODES = {
    "64864005": "T1",
    "53733008": "T2",
    "1626008": "T3",
    "73071006": "T4",
    "56401006": "T5",
    "45296009": "T6",
    "62487009": "T7",
    "11068009": "T8",
    "82687006": "T9",
    "7610001": "T10",
    "12989004": "T11",
    "23215003": "T12",
    "66794005": "L1",
    "14293000": "L2",
    "36470004": "L3",
    "11994002": "L4",
    "49668003": "L5",
    "65985001": "S1",
}

# What stands in a name beside a vertebra's and makes it another thing than the vertebra or its body.
_NOT_A_VERTEBRA = re.compile(
    r"\b(rib|ribs|disc|disk|discs|disks|ivd|intervertebral|endplate|endplates|end plate|nerve|root|cord|canal|"
    r"pedicle|pedicles|lamina|laminae|process|processes|spinous|facet|facets|arch|arcus|foramen|ligament|muscle|"
    r"artery|vein|lesion|fracture|screw|implant|cement)\b"
)
_BODY = re.compile(r"\b(body|bodies|corpus|trabecular|outline|roi)\b")
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13,
}  # fmt: skip
_REGIONS = {"cervical": "C", "thoracic": "T", "dorsal": "T", "lumbar": "L", "sacral": "S"}
_SHORT = re.compile(r"(?<![a-z0-9])([ctls])[ .]?0?(\d{1,2})(?![0-9])(?![a-z])")
_WRITTEN = re.compile(r"\b(" + "|".join(_ORDINALS) + r") (cervical|thoracic|dorsal|lumbar|sacral)\b")
_NUMBERED = re.compile(r"\b(cervical|thoracic|dorsal|lumbar|sacral) (?:vertebra |vertebrae |spine )?0?(\d{1,2})\b")


def vertebra_named(text: str) -> str | None:
    """The vertebra that a segment's, label's or file's name means ("L1"), or None.

    Understood are the spellings of TotalSegmentator (vertebrae_L1), CADS (Vertebra L1), TPTBox (L1), SNOMED CT (L1
    vertebra, First lumbar vertebra) and readers (L1 vertebral body). A name of a disc, rib, process or other part, or
    of two vertebrae (L1-L2), means no vertebra.
    """
    words = re.sub(r"[_\-/\\,;:()\[\]]+", " ", text.strip().lower())
    if _NOT_A_VERTEBRA.search(words):
        return None
    found = {f"{letter.upper()}{int(number)}" for letter, number in _SHORT.findall(words)}
    found |= {f"{_REGIONS[region]}{_ORDINALS[ordinal]}" for ordinal, region in _WRITTEN.findall(words)}
    found |= {f"{_REGIONS[region]}{int(number)}" for region, number in _NUMBERED.findall(words)}
    found &= set(HEAD_TO_FOOT)
    return found.pop() if len(found) == 1 else None


def names_body_alone(text: str) -> bool:
    """Whether the name says that the segment is the vertebral body, without the arch."""
    return bool(_BODY.search(re.sub(r"[_\-]+", " ", text.lower())))
