"""What all objects that are made in one call share: their time, their UIDs, and what they say of their maker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from ... import __version__
from ...decisions import in_force, is_discarded
from ...errors import UsageError
from ...outlines import LevelOutline
from ...results import BundleUse, Decision, ScreeningResult
from ..pictures import StudyPictures
from . import values
from .source import SourceSeries, SourceSlice

if TYPE_CHECKING:
    from ...screening import Screening

MAKER = "OsteoScreen"
#: Series numbers of the objects, far above a scanner's own.
SERIES_NUMBERS = {"seg": 9001, "probability": 9002, "sr": 9003, "capture": 9004, "pdf": 9005}
#: The same for every copy of a version, and of nobody's machine: a name-based UUID as UID (PS3.5, B.2).
_DEVICE_NAMESPACE = uuid.UUID("5b1c2c1e-7f0e-4b57-9a51-2f3f1f6f0c53")


def fresh_uid() -> str:
    """Return a UID like no other, made of a random UUID (PS3.5, B.2)."""
    return str(generate_uid(prefix=None))


def device_uid() -> str:
    """Return the UID of this version of OsteoScreen as the device that observed."""
    return f"2.25.{uuid.uuid5(_DEVICE_NAMESPACE, f'{MAKER} {__version__}').int}"


def reference_to(header: Dataset) -> Dataset:
    """Return an item that refers to an instance (PS3.3, table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


@dataclass(frozen=True, eq=False)
class Making:
    """One call's screening, source and moment; ``new_uid`` makes its UIDs.

    `tracking` are the UIDs by which segments and measurements of a level are known to be of the same thing.
    """

    result: ScreeningResult
    pictures: StudyPictures
    outlines: Mapping[str, LevelOutline]
    source: SourceSeries
    now: datetime
    new_uid: Callable[[], str] = fresh_uid
    tracking: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, screening: Screening, source: SourceSeries | None, now: datetime | None, new_uid: Callable[[], str]
    ) -> Making:
        """Return what one call needs.

        Raises NoDicomOutput or InputError as the source does, UsageError where no level was found.
        """
        result = screening.result
        if not result.levels:
            raise UsageError("No level was found, so there is no slice that a DICOM object could refer to.")
        series = SourceSeries(screening.ct) if source is None else source
        for level in result.levels.values():
            series.slice(level.slice_index)
        making = cls(
            result, screening.pictures, screening.outlines, series, now or datetime.now().astimezone(), new_uid
        )
        making.tracking.update({name: new_uid() for name in (*result.levels, "individual")})
        return making

    @property
    def decision(self) -> Decision | None:
        """The reader's decision that is in force."""
        return in_force(self.result)

    @property
    def is_verified(self) -> bool:
        """Whether a reader stands behind the result."""
        return self.decision is not None and not is_discarded(self.result)

    @property
    def stands(self) -> bool:
        """Whether there are values that may be used: the study was screened, and no reader discarded the result."""
        return self.result.status == "screened" and not is_discarded(self.result)

    @property
    def reader_name(self) -> str | None:
        """The reader who decided, as a person's name; None where nobody did."""
        return None if self.decision is None else values.person_name(self.decision.by) or "Unnamed"

    @property
    def outlined(self) -> list[str]:
        """The measured levels that have an outline, in the result's order."""
        return [name for name in self.result.levels if name in self.result.roi and name in self.outlines]

    def source_slice(self, level: str) -> SourceSlice:
        """The stored image of a level's slice."""
        return self.source.slice(self.result.levels[level].slice_index)

    def source_headers(self) -> list[Dataset]:
        """The headers of the levels' images, each instance once."""
        headers = [self.source_slice(name).header for name in self.result.levels]
        return list({header.SOPInstanceUID: header for header in headers}.values())

    def bundle(self, role: str) -> BundleUse | None:
        """The bundle of that role that took part."""
        return next((bundle for bundle in self.result.bundles if bundle.role == role), None)

    def identifiers(self, kind: str, description: str) -> dict[str, Any]:
        """Return what highdicom's constructors are told of an object that is a series of its own."""
        return {
            "series_instance_uid": self.new_uid(),
            "series_number": SERIES_NUMBERS[kind],
            "sop_instance_uid": self.new_uid(),
            "instance_number": 1,
            "manufacturer": MAKER,
            "manufacturer_model_name": MAKER,
            "software_versions": __version__,
            "device_serial_number": f"{MAKER} {__version__}",
            "series_description": f"{MAKER} {description}"[:64],
            "specific_character_set": "ISO_IR 192",
        }

    def stamp(self, dataset: Dataset) -> None:
        """Give an object the call's time, so that all its objects are of one moment."""
        day, time = DA(self.now.date()), TM(self.now.time().replace(tzinfo=None))
        for keyword in ("InstanceCreation", "Content", "Series"):
            setattr(dataset, f"{keyword}Date", day)
            setattr(dataset, f"{keyword}Time", time)
