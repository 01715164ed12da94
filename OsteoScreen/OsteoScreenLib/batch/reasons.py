"""Why a study was not screened, in words that name no file: folders are often named after patients."""

from __future__ import annotations

from pathlib import PurePath

from ..printable import printable
from .study import BatchStudy, StudyRow

_STAND_FOR = (("ct", "the CT"), ("levels_from", "the segmentation"), ("masks", "the outlines"))
#: Shorter names of folders and files are words of sentences too.
_SHORTEST = 3


def reason_of(row: StudyRow) -> str:
    """Return a row's reason without the paths of its study, nor the names of their last parts."""
    return without_places(row.reason, row.study)


def without_places(sentence: str, study: BatchStudy) -> str:
    """Return a sentence with words in the place of the study's paths, and of the names of their folders and files."""
    for part, words in _STAND_FOR:
        path = getattr(study, part)
        if path is None:
            continue
        sentence = sentence.replace(path, words)
        place = PurePath(path)
        for name in dict.fromkeys((place.name, place.stem, *reversed(place.parent.parts))):
            if len(name) >= _SHORTEST and _is_a_name(name):
                sentence = sentence.replace(name, words if name == place.name else "…")
    return printable(sentence)


def _is_a_name(name: str) -> bool:
    """Whether it is more than a plain word, which may stand in the sentence by itself."""
    return not (name.isalpha() and name.islower())
