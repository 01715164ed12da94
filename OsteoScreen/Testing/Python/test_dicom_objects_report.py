"""The measurement report (SR): highdicom reads every measure from it."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_object_study import items_of, name_of, report_of
from pydicom.sr.coding import Code

from OsteoScreenLib import decisions
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.reports.dicom import codes, read_measurement_report, write_dicom_objects

MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=1)))
#: DICOM writes a decimal number in at most 16 characters beside the number itself, which is the same to the last bit.
EXACTLY = {"rel": 1e-15}


def content_of(path) -> highdicom.sr.MeasurementReport:
    return highdicom.sr.srread(path).content


def measures_of(group: Any) -> dict[tuple[str, str, str], tuple[float, str]]:
    """Value and unit of a group's measures, by name, derivation and method."""
    found = {}
    for measure in group.get_measurements():
        derivation = measure.derivation.meaning if measure.derivation else ""
        method = measure.method.meaning if measure.method else ""
        key = (measure.name.meaning, derivation, method)
        assert key not in found
        found[key] = (measure.value, measure.unit.value)
    return found


def evaluations_of(group: Any) -> dict[str, str]:
    return {found.name.meaning: found.value.meaning for found in group.get_qualitative_evaluations()}


def level_group(content: Any, name: str) -> Any:
    (group,) = content.get_planar_roi_measurement_groups(finding_type=codes.VERTEBRAE[name])
    return group


def individual_group(content: Any) -> Any:
    (group,) = content.get_image_measurement_groups(finding_type=codes.private("INDIVIDUAL"))
    return group


@pytest.mark.parametrize("name", ["L1", "L2"])
def test_a_levels_measures_are_the_results(outlined_study, report_folder, name):
    roi, found = outlined_study.result.roi[name], outlined_study.result.densitometry
    inset, outline, circle = (codes.PRIVATE[value] for value in ("INSET", "OUTLINE", "CIRCLE"))
    hu, mm2 = "[hnsf'U]", "mm2"
    expected = {
        ("Area", "", inset): (roi.area_mm2, mm2),
        ("Attenuation Coefficient", "Mean", inset): (roi.mean_hu, hu),
        ("Attenuation Coefficient", "Median", inset): (roi.median_hu, hu),
        ("Attenuation Coefficient", "Standard Deviation", inset): (roi.sd_hu, hu),
        ("Area", "", outline): (roi.outline_area_mm2, mm2),
        ("Attenuation Coefficient", "Mean", outline): (roi.outline_mean_hu, hu),
        ("Area", "", circle): (roi.circle_area_mm2, mm2),
        ("Attenuation Coefficient", "Mean", circle): (roi.circle_mean_hu, hu),
        (codes.PRIVATE["INSET_MM"], "", ""): (roi.inset_mm, "mm"),
        (codes.PRIVATE["CONFIDENCE"], "", ""): (roi.confidence, "1"),
        (codes.PRIVATE["BMD"], "", ""): (found.bmd_mg_cm3[name], "mg/cm3"),
    }
    measures = measures_of(level_group(content_of(report_folder / "sr.dcm"), name))
    assert measures.keys() == expected.keys()
    for key, (value, unit) in expected.items():
        assert measures[key] == (pytest.approx(value, **EXACTLY), unit), key


def test_every_density_names_its_mineral_its_calibration_and_its_uncertainty(outlined_study, report_folder):
    line = outlined_study.result.densitometry.calibration
    report = pydicom.dcmread(report_folder / "sr.dcm")
    densities = [item for item in items_of(report) if name_of(item) == codes.PRIVATE["BMD"]]
    assert len(densities) == 3
    for density in densities:
        said = {name_of(child): child for child in density.ContentSequence}
        assert said[codes.PRIVATE["MINERAL"]].ConceptCodeSequence[0].CodeMeaning == "Calcium Hydroxyapatite"
        assert said[codes.PRIVATE["CAL_SOURCE"]].ConceptCodeSequence[0].CodeValue == "CAL_NOMINAL"
        for code, value in (("CAL_SLOPE", line.slope), ("CAL_INTERCEPT", line.intercept)):
            assert float(said[codes.PRIVATE[code]].MeasuredValueSequence[0].NumericValue) == pytest.approx(value)
        uncertainty = said[codes.UNCERTAINTY.meaning].MeasuredValueSequence[0]
        assert float(uncertainty.NumericValue) == line.uncertainty_mg_cm3
        assert uncertainty.MeasurementUnitsCodeSequence[0].CodeValue == "mg/cm3"


def test_the_individual_has_the_mean_the_category_its_criterion_and_the_classifiers_opinion(
    outlined_study, report_folder
):
    result = outlined_study.result
    group = individual_group(content_of(report_folder / "sr.dcm"))
    measures = measures_of(group)
    density = measures.pop((codes.PRIVATE["BMD"], "Mean", ""))
    assert density == (pytest.approx(result.densitometry.bmd_mg_cm3["individual"], **EXACTLY), "mg/cm3")
    assert {name: value for (name, _, _), (value, _) in measures.items()} == {
        f"Probability of {status} by the classifier": pytest.approx(probability, **EXACTLY)
        for status, probability in result.classification.probabilities.items()
    }
    bundle = next(bundle for bundle in result.bundles if bundle.role == "classification")
    for measure in group.get_measurements()[1:]:
        said = {name_of(item): item.TextValue for item in measure[0].ContentSequence}
        assert said == {
            "Algorithm Name": bundle.name,
            "Algorithm Version": bundle.version,
            "Algorithm Parameters": f"sha256={bundle.sha256}",
        }
    evaluations = evaluations_of(group)
    assert evaluations[codes.PRIVATE["QCT_RANGE"]] == codes.BONE_STATUS[result.densitometry.category].meaning
    assert evaluations[codes.PRIVATE["NETWORK_CLASS"]] == codes.BONE_STATUS[result.classification.category].meaning
    assert evaluations[codes.PRIVATE["AGREEMENT"]] == ("Yes" if result.agreement else "No")
    assert evaluations[codes.PRIVATE["USE"]] == "Research use only"
    criterion = next(i for i in items_of(pydicom.dcmread(report_folder / "sr.dcm")) if name_of(i) == "Criterion")
    assert "80" in criterion.TextValue and "120" in criterion.TextValue and "not DXA" in criterion.TextValue


def test_image_quality_findings_are_those_that_did_not_pass(outlined_study, report_folder):
    expected = [(c.check, c.outcome, c.message) for c in outlined_study.result.eligibility if c.outcome != "pass"]
    assert {outcome for _, outcome, _ in expected} == {"warn", "refuse"}
    found = []
    for item in items_of(pydicom.dcmread(report_folder / "sr.dcm")):
        if name_of(item) == "Quality Finding":
            check, message = (child.TextValue for child in item.ContentSequence)
            outcome = {"CHECK_WARN": "warn", "CHECK_REFUSE": "refuse"}[item.ConceptCodeSequence[0].CodeValue]
            found.append((check, outcome, message))
    assert found == expected


def test_levels_refer_to_their_slice_and_to_their_segment(outlined_study, report_folder):
    seg, content = pydicom.dcmread(report_folder / "seg.dcm"), content_of(report_folder / "sr.dcm")
    for name, level in outlined_study.result.levels.items():
        group = level_group(content, name)
        reference = group.referenced_segmentation_frame
        assert reference.referenced_sop_instance_uid == seg.SOPInstanceUID
        (frame,) = reference.referenced_frame_numbers
        (item,) = seg.PerFrameFunctionalGroupsSequence[frame - 1].SegmentIdentificationSequence
        segment = seg.SegmentSequence[item.ReferencedSegmentNumber - 1]
        assert segment.SegmentLabel == f"{name} vertebral body"
        # The tracking identifier ties the measures to the segment.
        assert (segment.TrackingUID, segment.TrackingID) == (group.tracking_uid, group.tracking_identifier)
        source = pydicom.dcmread(outlined_study.ct.source_frame(level.slice_index)[0])
        assert reference.source_image_for_segmentation.referenced_sop_instance_uid == source.SOPInstanceUID
        assert [site.value.meaning for site in group.finding_sites] == [f"{name} vertebra"]
    evidence = pydicom.dcmread(report_folder / "sr.dcm").CurrentRequestedProcedureEvidenceSequence
    held = {
        i.ReferencedSOPInstanceUID
        for s in evidence
        for r in s.ReferencedSeriesSequence
        for i in r.ReferencedSOPSequence
    }
    assert len(held) == 3 and seg.SOPInstanceUID in held


def test_without_a_segmentation_the_outlines_are_polygons_in_the_patient(outlined_study, tmp_path):
    write_dicom_objects(outlined_study, tmp_path, kinds=["sr"])
    content = content_of(tmp_path / "sr.dcm")
    for name, roi in outlined_study.result.roi.items():
        region = level_group(content, name).roi
        points = region.value * (-1.0, -1.0, 1.0)
        np.testing.assert_allclose(points[:-1, :2], np.array(roi.outline_ras_mm), atol=1e-3)
        np.testing.assert_allclose(points[:, 2], outlined_study.result.levels[name].z_mm, atol=1e-3)
        np.testing.assert_array_equal(points[0], points[-1])


def test_the_software_observed_and_a_reader_who_decided_did_too(outlined_study, object_files, report_folder, tmp_path):
    report = pydicom.dcmread(report_folder / "sr.dcm")
    observers = [i.ConceptCodeSequence[0].CodeMeaning for i in items_of(report) if name_of(i) == "Observer Type"]
    assert observers == ["Device"]
    found = object_files.outlined()
    found.result = decisions.accept(found.result, "Doe^Jane", MOMENT)
    report = report_of(found, tmp_path)
    observers = [i.ConceptCodeSequence[0].CodeMeaning for i in items_of(report) if name_of(i) == "Observer Type"]
    assert observers == ["Person", "Device"]
    names = [i.PersonName for i in items_of(report) if name_of(i) == "Person Observer Name"]
    assert names == ["Doe^Jane"]


@pytest.mark.parametrize(
    ("decide", "flags", "code"),
    [
        (None, ("COMPLETE", "UNVERIFIED", "PRELIMINARY"), "UNDECIDED"),
        (decisions.accept, ("COMPLETE", "VERIFIED", "FINAL"), "ACCEPTED"),
        (decisions.discard, ("PARTIAL", "UNVERIFIED", "PRELIMINARY"), "DISCARDED"),
    ],
)
def test_the_readers_decision_sets_the_verification(object_files, tmp_path, decide, flags, code):
    found = object_files.outlined()
    if decide is not None:
        found.result = decide(found.result, "Doe^Jane", MOMENT, "seen with the priors")
    report = report_of(found, tmp_path)
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == flags
    (decision,) = [item for item in items_of(report) if name_of(item) == codes.PRIVATE["DECISION"]]
    assert decision.ConceptCodeSequence[0].CodeValue == code
    if flags[1] == "VERIFIED":
        (observer,) = report.VerifyingObserverSequence
        assert (observer.VerifyingObserverName, observer.VerificationDateTime) == (
            "Doe^Jane",
            "20260304050607.000000+0100",
        )
        assert [child.get("TextValue") for child in decision.ContentSequence][1:] == ["seen with the priors"]
    else:
        assert "VerifyingObserverSequence" not in report


def test_a_correction_says_what_was_corrected(object_files, outlined_study, tmp_path):
    found = object_files.screened()
    found.result = decisions.corrected(found.result, outlined_study.result, "Doe^Jane", MOMENT, outlines=["L1", "L2"])
    report = report_of(found, tmp_path)
    assert report.VerificationFlag == "VERIFIED"
    said = [item.TextValue for item in items_of(report) if name_of(item) == codes.PRIVATE["CORRECTION"]]
    assert said == ["outline L1", "outline L2"]


def test_a_discarded_result_leaves_no_number_to_be_taken_out_of_its_report(object_files, tmp_path):
    found = object_files.outlined()
    found.result = decisions.discard(found.result, "Doe^Jane", MOMENT)
    report = report_of(found, tmp_path)
    content = content_of(tmp_path / "sr.dcm")
    for group in (level_group(content, "L1"), level_group(content, "L2"), individual_group(content)):
        assert group.get_measurements() == []
    said = evaluations_of(individual_group(content))
    assert not {codes.PRIVATE["QCT_RANGE"], codes.PRIVATE["NETWORK_CLASS"]} & said.keys()
    assert "discarded" in report.CompletionFlagDescription
    with pytest.raises(InputError, match=r"no bone density \(a reader discarded its result\)"):
        read_measurement_report(tmp_path / "sr.dcm")


def test_dcmtk_reads_the_report(report_folder):
    tool = shutil.which("dsrdump")
    if tool is None:
        pytest.skip("dcmtk (dsrdump) is not on this machine")
    answer = subprocess.run([tool, str(report_folder / "sr.dcm")], capture_output=True, text=True)
    assert answer.returncode == 0
    assert not [line for line in answer.stderr.splitlines() if line.startswith("E:")]
    assert "99OSTEOSCREEN" in answer.stdout and "Volumetric bone mineral density by CT" in answer.stdout


# -- codes


def datasets_of(dataset: pydicom.Dataset):
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from datasets_of(item)


def standard_codes() -> list[Code]:
    tables = [value for value in vars(codes).values() if isinstance(value, dict)]
    found = [value for value in vars(codes).values() if isinstance(value, Code)]
    found += [value for table in tables for value in table.values() if isinstance(value, Code)]
    return [code for code in found if code.scheme_designator != codes.SCHEME]


def test_standard_codes_are_those_of_dicoms_dictionaries():
    from pydicom.sr._concepts_dict import concepts

    # SNOMED CT's own, which DICOM's dictionaries lack (UMLS C0029453 and C0029456), the sacrum, which is never
    # measured, and a unit made by UCUM's grammar.
    lacking = {"312894000", "64859006", "65985001", "mg/cm3/[hnsf'U]"}
    found = standard_codes()
    assert len(found) > 40
    for code in found:
        names = concepts[code.scheme_designator].values()
        listed = {value: meaning for entries in names for value, (meaning, _) in entries.items()}
        assert (code.value in listed) != (code.value in lacking), code
        assert listed.get(code.value, code.meaning).lower().startswith(code.meaning.lower()), code


def test_private_codes_fit_their_attributes_and_are_told_apart():
    assert codes.SCHEME.startswith("99") and len(codes.SCHEME) <= 16
    assert all(len(value) <= 16 and len(meaning) <= 64 for value, meaning in codes.PRIVATE.items())
    assert len(set(codes.PRIVATE.values())) == len(codes.PRIVATE)


def test_every_private_code_in_a_report_is_of_the_documented_scheme(report_folder):
    report = pydicom.dcmread(report_folder / "sr.dcm")
    used = [
        (item.CodeValue, item.CodeMeaning)
        for item in datasets_of(report)
        if item.get("CodingSchemeDesignator") == codes.SCHEME and "CodeValue" in item
    ]
    assert len(used) > 30 and set(used) <= set(codes.PRIVATE.items())
    schemes = [item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence]
    assert codes.SCHEME in schemes
