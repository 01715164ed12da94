"""The importers of public collections by name: adding one is adding one function with a decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..cases import FoundCases


@dataclass(frozen=True)
class Importer:
    """How the scans of a collection are found.

    find : takes the collection's folder, and what its options gave by their names, and returns its scans
    words : what comes out, for a user
    options : its own options by name: what ``argparse`` takes beside the flag, which is the name with dashes
    """

    find: Callable[..., FoundCases]
    words: str
    options: Mapping[str, Mapping[str, Any]]


IMPORTERS: dict[str, Importer] = {}

Find = Callable[..., "FoundCases"]


def importer(name: str, words: str, **options: Mapping[str, Any]) -> Callable[[Find], Find]:
    """Register the function that finds a collection's scans as ``dataset import-NAME``.

    Raises ValueError where there is one of that name already.
    """
    if name in IMPORTERS:
        raise ValueError(f"There is an importer {name!r} already.")

    def register(find: Find) -> Find:
        IMPORTERS[name] = Importer(find, words, options)
        return find

    return register
