"""The report page as a DICOM Encapsulated PDF (PS3.3, A.45.1)."""

from __future__ import annotations

import os
from pathlib import Path

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from ...errors import InputError, system_reason
from .making import MAKER, Making, reference_to

#: A page of text and a few pictures is some hundred kilobytes.
MOST_BYTES = 64 << 20


def encapsulated_pdf(making: Making, pdf: bytes | str | os.PathLike[str]) -> Dataset:
    """Return the PDF, given as bytes or by its path, as a document of the source's study.

    It counts as naming the patient where the result's identity was asked for. Raises InputError where it cannot be
    read, or is no PDF.
    """
    content = _content(pdf)
    source = making.source_headers()[0]
    kept = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate")
    given = {word: source[word].value for word in (*kept, "StudyTime", "ReferringPhysicianName")}
    document = SOPClass(
        study_instance_uid=source.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=given["PatientID"],
        patient_birth_date=given["PatientBirthDate"],
        patient_sex=given["PatientSex"],
        accession_number=given["AccessionNumber"],
        study_id=given["StudyID"],
        study_date=given["StudyDate"] or None,
        study_time=given["StudyTime"] or None,
        **making.identifiers("pdf", "report"),
    )
    document.PatientName, document.ReferringPhysicianName = given["PatientName"], given["ReferringPhysicianName"]
    for keyword in kept + ("StudyTime",):
        if not given[keyword]:
            setattr(document, keyword, "")
    document.copy_patient_and_study_information(source)
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "NO" if making.result.identity is None else "YES"
    document.DocumentTitle = f"{MAKER} bone density report, research use only"
    document.ConceptNameCodeSequence = []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.SourceInstanceSequence = [reference_to(header) for header in making.source_headers()]
    document.EncapsulatedDocumentLength = len(content)
    # Values of odd length are padded, and the true length stands above (C.24.2).
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    making.stamp(document)
    return document


def _content(pdf: bytes | str | os.PathLike[str]) -> bytes:
    if not isinstance(pdf, bytes):
        try:
            with Path(pdf).open("rb") as file:
                pdf = file.read(MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            raise InputError(f"The PDF cannot be read: {system_reason(error)}; write the report again.") from error
    if not pdf.startswith(b"%PDF-") or len(pdf) > MOST_BYTES:
        raise InputError("What was to be put into DICOM as the report is no PDF, or larger than 64 MiB.")
    return pdf
