"""The networks that were used last, so that a batch of studies loads each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from .cores import on_one_core

if TYPE_CHECKING:
    from .classification import Classifier
    from .localisation.localiser import Localiser
    from .models import Bundle
    from .segmentation import Segmenter

Runner = TypeVar("Runner")


class LastLoaded(Generic[Runner]):
    """Holds what ``load(bundle, device)`` made last, until another bundle or device is asked for."""

    def __init__(self, load: Callable[[Bundle, str], Runner]):
        self._load = load
        self._key: tuple[str, str] | None = None
        self._held: Runner | None = None

    def get(self, bundle: Bundle, device: str) -> Runner:
        """Return the bundle's network on the device; the one of before where nothing about it has changed."""
        key = (repr(bundle.description), device)
        if self._held is None or self._key != key:
            self._held = None  # frees the old one first: two networks are twice the memory
            self._held, self._key = self._load(bundle, device), key
        return self._held


def _load_segmenter(bundle: Bundle, device: str) -> Segmenter:
    from .segmentation import Segmenter

    return on_one_core(lambda: Segmenter(bundle, device))


def _load_classifier(bundle: Bundle, device: str) -> Classifier:
    from .classification import Classifier

    return on_one_core(lambda: Classifier(bundle, device))


def _load_localiser(bundle: Bundle, device: str) -> Localiser:
    from .localisation.localiser import Localiser

    return on_one_core(lambda: Localiser(bundle, device))


SEGMENTERS = LastLoaded(_load_segmenter)
CLASSIFIERS = LastLoaded(_load_classifier)
LOCALISERS = LastLoaded(_load_localiser)
