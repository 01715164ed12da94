"""The FHIR report: valid by a model of FHIR R4 of somebody else's, complete, and silent on the patient."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pydicom.sr.codedict import codes as dictionary
from report_cases import CASES, abstained, decided, followed_up, refused, screened, suggested, unconfirmed

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.reports.dicom import codes
from OsteoScreenLib.reports.fhir import fhir_bundle, write_fhir
from OsteoScreenLib.reports.fhir_values import PRIVATE_SYSTEM, SYSTEMS
from OsteoScreenLib.results import Check, Identity, ScreeningResult

fhir_models = pytest.importorskip("fhirclient.models.bundle", reason="fhirclient is not installed")

WRITTEN = datetime(2026, 11, 26, 9, 30, tzinfo=timezone.utc)
IDENTITY = Identity("Doe^Jane", "4711", "19570301", "20260102", "ACC-9", "1.2.826.0.1.5")


def made(result: ScreeningResult) -> dict[str, Any]:
    """The bundle after a round trip through JSON, which the model has accepted."""
    bundle = json.loads(json.dumps(fhir_bundle(result, WRITTEN), allow_nan=False))
    fhir_models.Bundle(bundle)  # strict: raises FHIRValidationError
    return bundle


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = (entry["resource"] for entry in bundle["entry"])
    return [resource for resource in found if resource["resourceType"] == kind]


def report_of(bundle: dict[str, Any]) -> dict[str, Any]:
    (report,) = resources(bundle, "DiagnosticReport")
    return report


def observations(bundle: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [item for item in resources(bundle, "Observation") if item["code"]["coding"][0]["code"] == code]


def component(observation: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [item for item in observation["component"] if item["code"]["coding"][0]["code"] == code]
    return found


def every(value: Any, key: str) -> list[Any]:
    """All values under a key, however deep."""
    if isinstance(value, dict):
        return [*([value[key]] if key in value else []), *(x for item in value.values() for x in every(item, key))]
    return [x for item in value for x in every(item, key)] if isinstance(value, list) else []


def blanks(value: Any) -> int:
    """How many empty texts, lists and objects there are, which FHIR does not allow."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return (not value) + sum(map(blanks, parts))
    return value is None or (isinstance(value, str) and not value.strip())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("identity", [None, IDENTITY], ids=["anonymous", "named"])
def test_every_result_is_a_valid_bundle(case: str, identity: Identity | None) -> None:
    result = CASES[case][0]()
    result.identity = identity
    bundle = made(result)
    assert bundle["type"] == "collection"
    assert bundle["entry"][0]["resource"]["resourceType"] == "DiagnosticReport"
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert set(every(bundle, "reference")) <= set(urls)
    assert blanks(bundle) == 0
    referred = {item["reference"] for item in report_of(bundle)["result"]} if "result" in report_of(bundle) else set()
    assert len(referred) == len(resources(bundle, "Observation"))


def test_the_model_would_have_objected() -> None:
    bundle = fhir_bundle(screened(), WRITTEN)
    bundle["entry"][0]["resource"]["status"] = 7
    with pytest.raises(Exception, match="status"):
        fhir_models.Bundle(bundle)


def test_measures_are_those_of_the_result_with_units_and_codes() -> None:
    result = unconfirmed()
    bundle = made(result)
    for observation, (name, roi) in zip(observations(bundle, "112031"), result.roi.items(), strict=True):
        assert observation["bodySite"]["coding"][0]["code"] == codes.VERTEBRAE[name].value
        quantity = {"value": roi.mean_hu, "unit": "Hounsfield unit", "code": "[hnsf'U]"}
        assert observation["valueQuantity"] == {**quantity, "system": "http://unitsofmeasure.org"}
        assert component(observation, "373099004")["valueQuantity"]["value"] == roi.median_hu
        assert component(observation, "386136009")["valueQuantity"]["value"] == roi.sd_hu
        assert component(observation, "42798000")["valueQuantity"]["code"] == "mm2"
    assert result.densitometry is not None
    (individual,) = observations(bundle, "INDIVIDUAL")
    assert individual["valueQuantity"]["value"] == 108.1
    assert individual["valueQuantity"]["code"] == "mg/cm3"
    assert component(individual, "MINERAL")["valueCodeableConcept"]["coding"][0]["code"] == "256579008"
    assert component(individual, "CAL_SLOPE")["valueQuantity"]["value"] == 0.9236
    assert component(individual, "CAL_SOURCE")["valueCodeableConcept"]["coding"][0]["code"] == "CAL_HEADER"
    assert component(individual, "371884006")["valueQuantity"]["value"] == 12.0
    assert component(individual, "QCT_RANGE")["valueCodeableConcept"]["coding"][0]["code"] == "312894000"
    assert individual["interpretation"][0]["coding"][0]["code"] == "L"
    assert individual["referenceRange"][0]["low"]["value"] == 120.0
    assert [item["valueQuantity"]["value"] for item in observations(bundle, "BMD")] == [104.5, 111.6]
    (opinion,) = observations(bundle, "NETWORK_CLASS")
    assert component(opinion, "P_OSTEOPENIA")["valueQuantity"]["value"] == 0.64
    assert component(opinion, "AGREEMENT")["valueBoolean"] is True
    assert "conclusionCode" not in report_of(bundle)


def test_what_could_not_be_measured_says_so() -> None:
    result = screened()
    result.roi["L1"] = dataclasses.replace(result.roi["L1"], circle_mean_hu=None, circle_centre_ras_mm=None)
    first, second = observations(made(result), "112031")
    assert component(first, "CIRCLE")["dataAbsentReason"]["coding"][0]["code"] == "not-applicable"
    assert "valueQuantity" not in component(first, "CIRCLE")
    assert component(second, "CIRCLE")["valueQuantity"]["value"] == 109.4


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (screened(), "preliminary"), (refused(), "cancelled"), (abstained(), "cancelled"),
        (decided("accepted"), "final"), (decided("corrected"), "final"), (decided("discarded"), "entered-in-error"),
    ],
)  # fmt: skip
def test_status_follows_the_reader(result: ScreeningResult, status: str) -> None:
    bundle = made(result)
    found = [report_of(bundle), *resources(bundle, "Observation")]
    assert {resource["status"] for resource in found} == {status}


def test_a_refused_study_has_reasons_and_no_measures() -> None:
    bundle = made(refused())
    assert "Made with 80 kVp; screen a series at 120 kVp instead." in report_of(bundle)["conclusion"]
    assert {item["code"]["coding"][0]["code"] for item in resources(bundle, "Observation")} == {"111052"}
    outcomes = [item["valueCodeableConcept"]["coding"][0]["code"] for item in observations(bundle, "111052")]
    assert Counter(outcomes) == {"CHECK_WARN": 1, "CHECK_REFUSE": 1}


def test_a_level_that_nobody_confirmed_is_marked_at_every_value() -> None:
    bundle = made(suggested())
    values = [item for item in resources(bundle, "Observation") if item["code"]["coding"][0]["code"] != "111052"]
    assert len(values) == 6
    assert all("not confirmed by a reader" in item["note"][0]["text"] for item in values)
    assert component(values[0], "LEVEL_CONFIRMED")["valueBoolean"] is False
    assert not any("note" in item for item in resources(made(screened()), "Observation"))


def test_conclusion_says_the_decision_and_the_change() -> None:
    bundle = made(followed_up())
    said = report_of(bundle)["conclusion"]
    assert "Accepted by Dr. A. Reader on 2026-11-26 10:15 +01:00." in said
    assert "lower by 14.7 mg/cm³" in said
    assert "not comparable" in said
    assert "not DXA" in said
    assert report_of(bundle)["resultsInterpreter"] == [{"display": "Dr. A. Reader"}]


def test_the_bundles_of_the_networks_are_devices_that_the_observations_name() -> None:
    bundle = made(screened())
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    device = by_url[observations(bundle, "112031")[0]["device"]["reference"]]
    assert device["deviceName"][0]["name"] == "study-segmentation"
    assert device["version"][0]["value"] == "1.0.0"
    assert device["identifier"][0]["value"] == "cd" * 32
    assert by_url[device["parent"]["reference"]]["deviceName"][0]["name"] == "OsteoScreen"


def test_patient_is_absent_unless_asked_for() -> None:
    result = screened()
    text = json.dumps(fhir_bundle(result, WRITTEN))
    assert not {"subject", "Patient", "birthDate", "gender", "effectiveDateTime", "imagingStudy"} & set(text.split('"'))
    result.identity = IDENTITY
    bundle = made(result)
    (patient,) = resources(bundle, "Patient")
    assert patient["name"] == [{"text": "Doe^Jane"}]
    assert patient["identifier"] == [{"value": "4711"}]
    assert (patient["birthDate"], patient["gender"]) == ("1957-03-01", "female")
    report = report_of(bundle)
    assert report["effectiveDateTime"] == "2026-01-02"
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.826.0.1.5"
    assert report["basedOn"][0]["identifier"]["value"] == "ACC-9"
    observed = resources(bundle, "Observation")
    assert all(item["subject"] == report["subject"] for item in observed)


def test_an_identity_that_is_no_identity_does_not_spoil_the_bundle() -> None:
    result = screened()
    result.identity = Identity("", "\x00", "19571399", "in June", " ", "1.2.x")
    bundle = made(result)
    assert blanks(bundle) == 0
    assert not {"effectiveDateTime", "imagingStudy", "basedOn"} & set(report_of(bundle))
    result.identity = Identity()
    assert resources(made(result), "Patient") == []


def test_every_code_is_of_a_named_system_and_private_ones_are_documented() -> None:
    for make, _ in CASES.values():
        for found in every(made(make()), "coding"):
            for coding in found:
                assert coding["system"] in SYSTEMS.values() or coding["system"].startswith("http://terminology.hl7.org")
                if coding["system"] == PRIVATE_SYSTEM:
                    assert coding["display"] == codes.PRIVATE[coding["code"]]
    assert dictionary.DCM.AttenuationCoefficient.value == codes.ATTENUATION.value


def test_text_of_any_kind_stays_valid() -> None:
    result = screened()
    nasty = "<script>\x00\x1b[31m\n\ud800\u202e" + "W" * 70_000
    result.eligibility = [Check(nasty, "warn", nasty, nasty), Check("\n", "refuse", "\x00", None)]
    result.bundles = [dataclasses.replace(result.bundles[0], name="\x00", version=nasty)]
    result.identity = Identity(nasty, nasty, nasty, nasty, nasty, nasty)
    bundle = made(result)
    text = json.dumps(bundle, ensure_ascii=False)
    text.encode("utf-8")
    assert [item for item in ("\\u0000", "\\u001b", "\\n", "\u202e", "\\ud800") if item in text] == []
    assert len(text) < 200_000
    assert blanks(bundle) == 0


def test_the_file_is_the_bundle_and_the_same_twice(tmp_path: Path) -> None:
    write_fhir(screened(), tmp_path / "fhir.json", WRITTEN)
    first = (tmp_path / "fhir.json").read_bytes()
    write_fhir(screened(), tmp_path / "fhir.json", WRITTEN)
    assert (tmp_path / "fhir.json").read_bytes() == first
    assert json.loads(first) == made(screened())
    with pytest.raises(OsteoScreenError):
        write_fhir(screened(), tmp_path / "fhir.json" / "fhir.json", WRITTEN)
