"""Finding the spine in a whole CT and naming its vertebrae, with a probability and reasons for every name."""

from __future__ import annotations

from .spine import LocalisedSpine, LocalisedVertebra, Naming

__all__ = ["LocalisedSpine", "LocalisedVertebra", "Naming"]
