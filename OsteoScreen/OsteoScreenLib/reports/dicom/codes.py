"""Every code that the DICOM objects use: standard ones, and a private scheme for what no standard code says.

Standard codes are those of pydicom's dictionaries (DICOM PS3.16), which a test compares; osteopenia and osteoporosis
are SNOMED CT's (UMLS C0029453 and C0029456), which those dictionaries lack. `PRIVATE` lists the whole private scheme.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from ...levels.names import SCT_CODES

#: Designator and description of the private coding scheme; designators of private schemes begin with 99 (PS3.16, 8.2).
SCHEME = "99OSTEOSCREEN"
SCHEME_NAME = "OsteoScreen private codes"

# -- anatomy

#: SNOMED CT codes of the vertebrae, by name, as the segments' and sites' codes.
VERTEBRAE = {name: Code(value, "SCT", f"{name} vertebra") for value, name in SCT_CODES.items()}
LUMBAR_SPINE = Code("122496007", "SCT", "Lumbar spine")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")

# -- measures and units

ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
AREA = Code("42798000", "SCT", "Area")
MEAN = Code("373098007", "SCT", "Mean")
MEDIAN = Code("373099004", "SCT", "Median")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
UNCERTAINTY = Code("371884006", "SCT", "+/-, range of measurement uncertainty")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
MG_PER_CM3 = Code("mg/cm3", "UCUM", "mg/cm^3")
#: Not in the dictionaries: UCUM's own grammar for mg/cm3 per HU.
MG_PER_CM3_PER_HU = Code("mg/cm3/[hnsf'U]", "UCUM", "mg/cm^3 per Hounsfield unit")
SQUARE_MM = Code("mm2", "UCUM", "square millimeter")
MILLIMETRE = Code("mm", "UCUM", "mm")
KILOVOLT = Code("kV", "UCUM", "Kilovolt")
NO_UNITS = Code("1", "UCUM", "no units")

# -- what a report says

CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
CT_MODALITY = Code("CT", "DCM", "Computed Tomography")
MODALITY = Code("121139", "DCM", "Modality")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
STUDY_DATE = Code("111060", "DCM", "Study Date")
KVP = Code("113733", "DCM", "KVP")
SLICE_THICKNESS = Code("112225", "DCM", "Slice Thickness")
DEVICE_MANUFACTURER = Code("113878", "DCM", "Device Manufacturer")
DEVICE_MODEL = Code("113879", "DCM", "Device Model Name")
QUALITY_FINDING = Code("111052", "DCM", "Quality Finding")
COMMENT = Code("121106", "DCM", "Comment")
FINDING = Code("121071", "DCM", "Finding")
DERIVATION = Code("121401", "DCM", "Derivation")
METHOD = Code("370129005", "SCT", "Measurement Method")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
IMAGING_MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
YES = Code("373066001", "SCT", "Yes")
NO = Code("373067005", "SCT", "No")
BONE_STATUS = {
    "normal": Code("17621005", "SCT", "Normal"),
    "osteopenia": Code("312894000", "SCT", "Osteopenia"),
    "osteoporosis": Code("64859006", "SCT", "Osteoporosis"),
}

# -- the private scheme

#: Meaning of every private code, by its value.
PRIVATE: dict[str, str] = {
    "BMD": "Volumetric bone mineral density by CT",
    "INDIVIDUAL": "Bone mineral density of the individual",
    "MINERAL": "Mineral equivalent of the density",
    "K2HPO4": "Dipotassium hydrogen phosphate",
    "CAL_SOURCE": "Source of the calibration from HU to density",
    "CAL_USER": "User's calibration file",
    "CAL_HEADER": "Scanner's own calibration, from the image header",
    "CAL_NOMINAL": "Nominal line, not measured on this scanner",
    "CAL_SLOPE": "Slope of the calibration",
    "CAL_INTERCEPT": "Intercept of the calibration",
    "KVP_FACTOR": "Factor that takes HU to those at 120 kVp",
    "INSET": "Inside the outline, inset from its edge in the plane",
    "OUTLINE": "Inside the whole outline",
    "CIRCLE": "Inside a circle in the vertebral body, off the vein",
    "INSET_MM": "Inset from the outline",
    "CONFIDENCE": "Confidence of the outline, 0 to 1",
    "QCT_RANGE": "Range of the QCT criterion that the density lies in",
    "CRITERION": "Criterion",
    "NETWORK_CLASS": "Most probable class by the classifier",
    "P_NORMAL": "Probability of normal by the classifier",
    "P_OSTEOPENIA": "Probability of osteopenia by the classifier",
    "P_OSTEOPOROSIS": "Probability of osteoporosis by the classifier",
    "AGREEMENT": "Density and classifier name the same category",
    "LEVEL_CONFIRMED": "Vertebral level confirmed by a reader",
    "LEVEL_SET_BY": "How the vertebral level was set",
    "SET_USER": "Set by the reader",
    "SET_SEG": "Taken from a segmentation",
    "SET_SNAPPED": "Moved to the centre of the body by the software",
    "SET_SUGGESTED": "Suggested by the software",
    "CHECK": "Name of the eligibility check",
    "CHECK_WARN": "Eligibility check: warning",
    "CHECK_REFUSE": "Eligibility check: refused",
    "STATUS": "Outcome of the screening",
    "SCREENED": "Screened",
    "REFUSED": "Refused: nothing was measured",
    "DECISION": "Reader's decision on the result",
    "UNDECIDED": "No reader has decided",
    "ACCEPTED": "Accepted",
    "CORRECTED": "Corrected and accepted",
    "DISCARDED": "Discarded: the values are not to be used",
    "CORRECTION": "What the reader corrected",
    "DECIDED_AT": "Time of the decision",
    "USE": "Intended use",
    "RESEARCH": "Research use only",
    "KERNEL": "Convolution kernel",
    "CONTRAST": "Contrast agent given, by the image header or else by the aorta",
    "SCAN_SHA256": "SHA-256 of the screened scan",
}


def private(value: str) -> Code:
    """Return a code of the private scheme; KeyError where there is none of that value."""
    return Code(value, SCHEME, PRIVATE[value])


MINERALS = {"CaHA": Code("256579008", "SCT", "Calcium Hydroxyapatite"), "K2HPO4": private("K2HPO4")}
CALIBRATION_SOURCES = {
    "user": private("CAL_USER"),
    "scanner header": private("CAL_HEADER"),
    "nominal": private("CAL_NOMINAL"),
}
SET_BY = {
    "user": private("SET_USER"),
    "segmentation": private("SET_SEG"),
    "snapped": private("SET_SNAPPED"),
    "suggested": private("SET_SUGGESTED"),
}
DECISIONS = {
    "accepted": private("ACCEPTED"),
    "corrected": private("CORRECTED"),
    "discarded": private("DISCARDED"),
}
PROBABILITIES = {
    "normal": private("P_NORMAL"),
    "osteopenia": private("P_OSTEOPENIA"),
    "osteoporosis": private("P_OSTEOPOROSIS"),
}
OUTCOMES = {"warn": private("CHECK_WARN"), "refuse": private("CHECK_REFUSE")}
