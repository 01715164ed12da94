"""The result as a DICOM Structured Report: a measurement report (TID 1500) as a Comprehensive 3D SR.

Per level a planar group (TID 1410) with its measures, which refers to the segment and to the image; for the individual
a group (TID 1501) with the density, its range, the classifier's opinion, the image quality and the reader's decision.
What the scan was made with stands in the image library, so that a later scan can be compared.

It is VERIFIED where the reader's last decision accepted or corrected the result, by that reader and at that time, and
UNVERIFIED otherwise. It is PARTIAL where the study was refused, so that nothing was measured, and where a reader
discarded the result: then its numbers are left out, because what takes numbers out of reports does not look for a
private code that says not to use them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import datetime

import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.seg import Segmentation
from highdicom.sr import (
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DateContentItem,
    DateTimeContentItem,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues3D,
    ImageContentItem,
    ImageRegion3D,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TrackingIdentifier,
)
from highdicom.sr.content import ContentItem
from pydicom.sr.codedict import codes as standard

from ... import __version__
from ...errors import UsageError
from ...follow_up.scans import contrast_given
from ...results import Decision, Level
from . import codes, values
from .content import (
    algorithm_of,
    attenuation_measures,
    check_evaluation,
    code_item,
    density_measure,
    evaluation,
    not_confirmed,
    number_item,
    probability_measures,
    range_evaluation,
    text_item,
    yes_or_no,
)
from .making import MAKER, Making, device_uid
from .seg import frame_of

#: Verifying Organization must be there (type 1), and a decision names none.
UNKNOWN_ORGANIZATION = "Not stated"
_REFUSED = "The study was refused; nothing was measured"
_DISCARDED = "A reader discarded the result; its values are left out"
_ACQUISITION, _CONTAINS = RelationshipTypeValues.HAS_ACQ_CONTEXT, RelationshipTypeValues.CONTAINS


def measurement_report(making: Making, segmentation: Segmentation | None) -> Comprehensive3DSR:
    """Return the result as a structured report.

    It refers to ``segmentation``, made in the same call; without one, the outlines stand in it as polygons in space.
    Raises UsageError where the decision's time is none.
    """
    content = MeasurementReport(
        observation_context=_observers(making),
        procedure_reported=codes.CT_PROCEDURE,
        imaging_measurements=[
            *(_level_group(making, name, segmentation) for name in making.outlined),
            _individual_group(making),
        ],
    )
    # Before the measurements, where the template has it.
    content[0].ContentSequence.insert(-1, _image_library(making))
    decision = making.decision
    evidence = making.source_headers() + ([] if segmentation is None else [segmentation])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom's remarks on names of one component
        report = Comprehensive3DSR(
            evidence=evidence,
            content=content[0],
            is_complete=making.stands,
            is_final=making.is_verified,
            is_verified=making.is_verified,
            verifying_observer_name=making.reader_name,
            verifying_organization=making.source_headers()[0].get("InstitutionName") or UNKNOWN_ORGANIZATION,
            coding_schemes=[CodingSchemeIdentificationItem(codes.SCHEME, name=codes.SCHEME_NAME, version=__version__)],
            **making.identifiers("sr", "bone density report"),
        )
    if making.is_verified and decision is not None:
        report.VerifyingObserverSequence[0].VerificationDateTime = values.date_time(_moment(decision))
    if not making.stands:
        report.CompletionFlagDescription = _REFUSED if making.result.status == "refused" else _DISCARDED
    making.stamp(report)
    return report


def _observers(making: Making) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(), name=MAKER, manufacturer_name=MAKER, model_name=MAKER, serial_number=__version__
    )
    person = None
    if making.reader_name is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attributes = PersonObserverIdentifyingAttributes(name=making.reader_name)
        person = ObserverContext(standard.DCM.Person, attributes)
    return ObservationContext(
        observer_person_context=person, observer_device_context=ObserverContext(standard.DCM.Device, device)
    )


def _image_library(making: Making) -> ContainerContentItem:
    """The images, and what the scan was made with as far as its header says (TID 1600)."""
    said, study_date = making.result.input, making.source.ct.acquisition.study_date
    group = ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=_CONTAINS)
    items: list[ContentItem] = [code_item(codes.MODALITY, codes.CT_MODALITY, _ACQUISITION)]
    if study_date is not None:
        items.append(DateContentItem(codes.STUDY_DATE, study_date, relationship_type=_ACQUISITION))
    for number, name, unit in (
        (said.kvp, codes.KVP, codes.KILOVOLT),
        (said.slice_thickness_mm, codes.SLICE_THICKNESS, codes.MILLIMETRE),
    ):
        if number is not None:
            items.append(number_item(name, number, unit, _ACQUISITION))
    for words, name in (
        (said.manufacturer, codes.DEVICE_MANUFACTURER),
        (said.model_name, codes.DEVICE_MODEL),
        (said.kernel, codes.private("KERNEL")),
        (said.sha256, codes.private("SCAN_SHA256")),
    ):
        if words:
            items.append(text_item(name, words, _ACQUISITION))
    contrast = contrast_given(making.result)
    if contrast is not None:
        items.append(code_item(codes.private("CONTRAST"), yes_or_no(contrast), _ACQUISITION))
    for header in making.source_headers():
        items.append(
            ImageContentItem(codes.SOURCE, header.SOPClassUID, header.SOPInstanceUID, relationship_type=_CONTAINS)
        )
    group.ContentSequence = ContentSequence(items)
    library = ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=_CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _level_group(
    making: Making, name: str, segmentation: Segmentation | None
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    level, roi = making.result.levels[name], making.result.roi[name]
    measures = attenuation_measures(roi) if making.stands else []
    if making.stands and making.result.densitometry is not None:
        measures.append(density_measure(making.result.densitometry, name))
    bundle = making.bundle("segmentation") if roi.mask_source == "model" else None
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(making.tracking[name], f"{name} vertebral body"),
        referenced_segment=None if segmentation is None else _segment(making, name, segmentation),
        referenced_region=_polygon(making, name) if segmentation is None else None,
        finding_type=codes.VERTEBRAE[name],
        finding_sites=[FindingSite(codes.VERTEBRAE[name])],
        algorithm_id=None if bundle is None else algorithm_of(bundle),
        measurements=measures or None,
        qualitative_evaluations=[
            _confirmed([level]),
            evaluation(codes.private("LEVEL_SET_BY"), codes.SET_BY[level.set_by]),
        ],
    )


def _confirmed(levels: Iterable[Level]) -> QualitativeEvaluation:
    unconfirmed = [level.name for level in levels if not level.confirmed]
    said = [text_item(codes.COMMENT, not_confirmed(unconfirmed))] if unconfirmed else []
    return evaluation(codes.private("LEVEL_CONFIRMED"), yes_or_no(not unconfirmed), said)


def _segment(making: Making, name: str, segmentation: Segmentation) -> ReferencedSegmentationFrame:
    number = making.outlined.index(name) + 1
    source = making.source_slice(name)
    reference = ReferencedSegmentationFrame(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        frame_number=frame_of(segmentation, number),
        segment_number=number,
        source_image=SourceImageForSegmentation.from_source_image(source.header, source.frame_numbers),
    )
    # The frame says which segment it is of, and only one of the two numbers may stand (PS3.3, table 10-3).
    del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return reference


def _polygon(making: Making, name: str) -> ImageRegion3D:
    """The outline as a closed polygon in the patient (LPS mm)."""
    picture, roi = making.pictures.levels[name], making.result.roi[name]
    pixels = picture.pixels(np.asarray(roi.outline_ras_mm, dtype=float))
    points = making.source.ct.geometry.ras(pixels[:, 0], pixels[:, 1], picture.slice_index) * (-1.0, -1.0, 1.0)
    closed = np.vstack([points, points[:1]])
    return ImageRegion3D(GraphicTypeValues3D.POLYGON, closed, making.source_slice(name).header.FrameOfReferenceUID)


def _individual_group(making: Making) -> MeasurementsAndQualitativeEvaluations:
    result = making.result
    measures = []
    if making.stands and result.densitometry is not None:
        measures.append(density_measure(result.densitometry, "individual"))
    opinion = result.classification
    if making.stands and opinion is not None and opinion.probabilities is not None:
        measures += probability_measures(opinion.probabilities, making.bundle("classification"))
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(making.tracking["individual"], "Individual"),
        finding_type=codes.private("INDIVIDUAL"),
        finding_sites=[FindingSite(codes.LUMBAR_SPINE)],
        measurements=measures or None,
        qualitative_evaluations=[*_statements(making), *_opinions(making), *_findings(making)],
        source_images=[
            SourceImageForMeasurementGroup.from_source_image(source.header, source.frame_numbers)
            for source in map(making.source_slice, result.levels)
        ],
    )


def _statements(making: Making) -> list[QualitativeEvaluation]:
    """What the report is for, what came of the study, and what the reader made of it."""
    status = "SCREENED" if making.result.status == "screened" else "REFUSED"
    return [
        evaluation(
            codes.private("USE"), codes.private("RESEARCH"), [text_item(codes.COMMENT, making.result.disclaimer)]
        ),
        evaluation(codes.private("STATUS"), codes.private(status)),
        _confirmed(making.result.levels.values()),
        _decision(making.decision),
    ]


def _decision(decision: Decision | None) -> QualitativeEvaluation:
    if decision is None:
        return evaluation(codes.private("DECISION"), codes.private("UNDECIDED"))
    said: list[ContentItem] = [
        DateTimeContentItem(
            codes.private("DECIDED_AT"),
            values.date_time(_moment(decision)),
            relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
        )
    ]
    said += [text_item(codes.private("CORRECTION"), words) for words in decision.corrections]
    if decision.comment:
        said.append(text_item(codes.COMMENT, decision.comment))
    return evaluation(codes.private("DECISION"), codes.DECISIONS[decision.decision], said)


def _opinions(making: Making) -> list[QualitativeEvaluation]:
    result = making.result
    found: list[QualitativeEvaluation] = []
    if not making.stands:
        return found
    if result.densitometry is not None:
        found.append(range_evaluation(result.densitometry.category))
    if result.classification is not None and result.classification.category is not None:
        found.append(evaluation(codes.private("NETWORK_CLASS"), codes.BONE_STATUS[result.classification.category]))
    if result.agreement is not None:
        found.append(evaluation(codes.private("AGREEMENT"), yes_or_no(result.agreement)))
    return found


def _findings(making: Making) -> list[QualitativeEvaluation]:
    return [check_evaluation(check) for check in making.result.eligibility if check.outcome != "pass"]


def _moment(decision: Decision) -> datetime:
    try:
        # Python 3.10 does not read the Z of UTC.
        return datetime.fromisoformat(decision.at.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError("The reader's decision has no valid time (ISO 8601); decide on the result again.") from None
