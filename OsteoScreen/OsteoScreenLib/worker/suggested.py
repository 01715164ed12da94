"""What the worker and its caller exchange about suggested levels; JSON values on the way, both sides use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..localisation.spine import LocalisedVertebra
from ..outlining import bundle_use
from ..results import BundleUse, Numbering
from ..results_io import numbering_of
from .exchange import plain

if TYPE_CHECKING:
    from ..suggesting import Suggested


@dataclass(frozen=True)
class UsedSuggestion:
    """What a screening is told of the suggestion that its levels come from."""

    numbering: Numbering
    bundle: BundleUse


def describe_suggested(suggested: Suggested) -> dict[str, Any]:
    """Return the "done" of "suggest"; the vertebrae are left out where no name is to be trusted."""
    suggestion, spine = suggested.suggestion, suggested.spine
    return {
        "numbering": plain(asdict(suggested.numbering)),
        "levels": {
            name: {"slice_index": int(found.level.slice_index), "z_mm": float(found.level.z_mm)}
            for name, found in suggestion.levels.items()
        },
        "refused": dict(suggestion.refused),
        "probability": spine.probability if spine.abstains is None else 0.0,
        "vertebrae": [plain(asdict(v)) for v in spine.vertebrae] if spine.abstains is None else [],
        "device": str(suggested.network.device),
        "bundle": asdict(bundle_use(suggested.network.bundle)),
    }


def read_vertebra(described: Mapping[str, Any]) -> LocalisedVertebra:
    """Return a vertebra of "vertebrae"."""
    lists = {key: tuple(value) for key, value in described.items() if isinstance(value, (list, tuple))}
    return LocalisedVertebra(**{**described, **lists})


def describe_used(numbering: Mapping[str, Any], bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return the "suggested" of a message; ``numbering`` and ``bundle`` are as "suggest" answered them."""
    return {"numbering": dict(numbering), "bundle": dict(bundle)}


def read_used(described: Any) -> UsedSuggestion | None:
    """Return what a message's "suggested" says, None where it says nothing.  Raises UsageError where it is no such."""
    if described is None:
        return None
    try:
        numbering = numbering_of(described["numbering"])
        if numbering is not None:
            return UsedSuggestion(numbering, BundleUse(**described["bundle"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise UsageError("The message's suggested is not what a suggestion answered; ask for one again.")
