"""How a batch screens its studies, and what makes its results a set: settings, versions and bundles."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import BundleError, InputError

if TYPE_CHECKING:
    from ..models import Bundle

#: Studies that one process has in hand: one is read, one computes, one is written.
IN_FLIGHT = 3
#: The same where a GPU is named: its passes are gathered of the slices of all of them.
IN_FLIGHT_ON_GPU = 16
MOST_IN_FLIGHT = 64


@dataclass(frozen=True)
class BatchSettings:
    """What all studies of a batch are screened with, as on the command line of ``screen``.

    suggest : suggest the levels of a study that comes with none; they stay unconfirmed
    write : kinds of further outputs (:mod:`OsteoScreenLib.reports.kinds`)
    """

    suggest: bool = False
    snap: bool = False
    segmentation_model: str | None = None
    classification_model: str | None = None
    localisation_model: str | None = None
    calibration: str | None = None
    device: str = "auto"
    force: bool = False
    write: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BatchSettings:
        """Return the settings that ``dataclasses.asdict`` and JSON made a document of."""
        return cls(**{**document, "write": tuple(document["write"])})

    @property
    def in_flight(self) -> int:
        """How many studies one process should have in hand."""
        return IN_FLIGHT_ON_GPU if self.device in ("cuda", "mps") else IN_FLIGHT

    def identity(self) -> dict[str, Any]:
        """Return what of the settings can change a result, by content and not by path: bundles are told of apart.

        Raises InputError where the calibration cannot be read.
        """
        told = asdict(self)
        for role in ("segmentation", "classification", "localisation"):
            told[f"{role}_model"] = told[f"{role}_model"] and "named"
        told["calibration"] = self.calibration and _digest(self.calibration)
        told["write"] = list(self.write)
        return told


@dataclass(frozen=True)
class Pace:
    """How the studies follow each other, which changes no result.

    timeout_s : that a process may work on one study
    in_flight : studies that each process has in hand at once
    gather : slices of studies in hand that a network sees in one pass at most; None is what the device is good for
    """

    timeout_s: float
    in_flight: int = IN_FLIGHT
    gather: int | None = None


def versions() -> dict[str, str]:
    """Return the versions of this program and of what computes for it."""
    return {"osteoscreen": __version__, "torch": metadata.version("torch")}


def used_bundles(settings: BatchSettings) -> list[dict[str, str]]:
    """Return role, name, version and sha256 of each bundle that a study may be screened with.

    Raises BundleError where one that is named is missing or damaged, or none is there for outlining or suggesting.
    """
    found = {(bundle.role, bundle.name, bundle.version, bundle.sha256) for bundle in _bundles(settings)}
    return [dict(zip(("role", "name", "version", "sha256"), bundle, strict=True)) for bundle in sorted(found)]


def _bundles(settings: BatchSettings) -> Iterable[Bundle]:
    from ..chosen_bundles import classification_bundle, segmentation_bundle

    yield segmentation_bundle(settings.segmentation_model)
    yield from _localiser(settings)
    for levels in (("L1", "L2"),) if settings.classification_model else (("L1", "L2"), ("L1",)):
        opinion = classification_bundle(settings.classification_model, levels)
        if opinion is not None:
            yield opinion


def _localiser(settings: BatchSettings) -> list[Bundle]:
    """Also where nothing is suggested unasked, for a study may ask for it; without a bundle that study says so."""
    from ..chosen_bundles import localisation_bundle

    try:
        return [localisation_bundle(settings.localisation_model)]
    except BundleError:
        if settings.suggest or settings.localisation_model is not None:
            raise
        return []


def _digest(path: str | os.PathLike[str]) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"The calibration {path} cannot be read: {error.strerror or error}.") from error
