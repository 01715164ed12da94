"""Classification as users meet it: through ``screen()``, the command line, result.json and the page."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from dicom_files import write_series
from phantom_ct import ORIGIN_RAS, PIXEL_MM, SLICE_MM, make_phantom
from tiny_bundle import write_tiny_bundle
from tiny_classifier import LIMITS_HU, PER_HU, description, write_tiny_classifier

from OsteoScreenLib import loaded
from OsteoScreenLib.cli import main
from OsteoScreenLib.ct import Acquisition, ct_from_array
from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.errors import BundleError, UsageError
from OsteoScreenLib.models import load_bundle, locations
from OsteoScreenLib.results_io import read_result, write_result
from OsteoScreenLib.screening import NO_CLASSIFIER, NO_LINE, NOT_CLASSIFIED, ScreeningRequest, screen

#: Limits so low that the phantom's osteopenia is normal to the network.
LENIENT_HU = (0.0, 40.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, phantom = tmp_path_factory.mktemp("phantom"), make_phantom()
    origin = (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2])
    header = {"PixelSpacing": [PIXEL_MM, PIXEL_MM], "SliceThickness": str(SLICE_MM)}
    write_series(folder / "dicom", phantom.hu, spacing=SLICE_MM, origin=origin, **header)
    write_series(folder / "80kvp", phantom.hu, spacing=SLICE_MM, origin=origin, **header, KVP="80")
    phantom.write_outlines(folder / "outlines.seg.nrrd")
    phantom.write_outlines(folder / "l1.seg.nrrd", names=("L1",))
    phantom.write_vertebrae(folder / "l1_body", names=("L1",))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for head in ("softmax", "ordinal"):
        write_tiny_classifier(folder / head, head=head)
    write_tiny_classifier(folder / "model2", levels=("L1",))
    write_tiny_classifier(folder / "lenient", limits_hu=LENIENT_HU)
    write_tiny_bundle(folder / "outliner")
    return folder


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    """No bundle ships and the user has none; one core."""
    monkeypatch.setenv(locations.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [tmp_path / "shipped"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def request_(files):
    return ScreeningRequest(files / "dicom", masks=files / "outlines.seg.nrrd", device="cpu")


# -- through screen()


@pytest.mark.parametrize("head", ["softmax", "ordinal"])
def test_the_users_outlines_are_classified(request_, models, head, tmp_path):
    result = screen(replace(request_, classification_model=models / head)).result
    found = result.classification
    assert (found.model, found.category, found.reason) == ("model1", "osteopenia", None)
    assert sum(found.probabilities.values()) == pytest.approx(1.0)
    assert (result.densitometry.category, result.agreement) == ("osteopenia", True)
    assert [(use.role, use.name) for use in result.bundles] == [("classification", "tiny-model1")]
    assert result.timing_s["classify"] > 0
    assert result.software["device"] == "cpu"
    read = read_result(write_result(result, tmp_path / "result.json"))
    assert (read.classification, read.agreement) == (found, True)


def test_the_networks_outlines_are_classified(files, models):
    request = ScreeningRequest(
        files / "dicom", l1="#18", l2="#6", segmentation_model=models / "outliner",
        classification_model=models / "softmax", device="cpu", force=True,
    )  # fmt: skip
    screening = screen(request)
    assert screening.result.classification.category == "osteopenia"
    assert [use.role for use in screening.result.bundles] == ["segmentation", "classification"]
    assert screening.ct.decoded_slices == 2


def test_l1_alone_goes_to_model_2(files, request_, models):
    for given in (replace(request_, l1="#18"), replace(request_, masks=files / "l1.seg.nrrd")):
        result = screen(replace(given, classification_model=models / "model2")).result
        assert (result.classification.model, result.agreement) == ("model2", True)
    both = screen(replace(request_, classification_model=models / "model2")).result
    assert both.classification.model == "model2"
    assert set(both.roi) == {"L1", "L2"}


def test_model_1_without_l2_is_a_usage_error_before_any_pixel(files, request_, models, tmp_path):
    model1 = replace(request_, classification_model=models / "softmax")
    with pytest.raises(UsageError, match=r"--l2, or name a Model 2 bundle"):
        screen(replace(model1, ct=tmp_path / "no-scan", l1="#18"))
    for source in ({"masks": files / "l1.seg.nrrd"}, {"levels_from": files / "l1_body"}):
        with pytest.raises(UsageError, match="--l2"):
            screen(replace(model1, **source))


def test_a_bundle_of_another_role_is_refused(request_, models):
    with pytest.raises(BundleError, match="is for segmentation, not for classification"):
        screen(replace(request_, classification_model=models / "outliner"))


def test_without_a_bundle_the_bmd_stands_alone(request_):
    result = screen(request_).result
    assert (result.classification.reason, result.agreement, result.bundles) == (NO_CLASSIFIER, None, [])


def test_the_shipped_model_is_chosen_by_the_levels(request_, tmp_path):
    write_tiny_classifier(tmp_path / "shipped" / "one", default=True)
    write_tiny_classifier(tmp_path / "shipped" / "two", levels=("L1",), default=True)
    assert screen(request_).result.classification.model == "model1"
    assert screen(replace(request_, l1="#18")).result.classification.model == "model2"


def test_a_refused_study_is_not_classified(files, request_, models):
    request = replace(request_, ct=files / "80kvp", classification_model=models / "softmax")
    refused = screen(request).result
    assert (refused.status, refused.classification.reason) == ("refused", NOT_CLASSIFIED)
    assert (refused.agreement, refused.bundles) == (None, [])
    forced = screen(replace(request, force=True)).result
    assert (forced.status, forced.densitometry) == ("screened", None)
    assert (forced.classification.category, forced.classification.reason) == (None, NO_LINE)
    assert forced.bundles == []


def test_a_bundle_of_measured_hu_is_asked_without_a_line(files, request_, tmp_path):
    preprocessing = {**description()["preprocessing"], "hu": "measured"}
    bundle = write_tiny_classifier(tmp_path / "measured", preprocessing=preprocessing)
    request = replace(request_, ct=files / "80kvp", classification_model=bundle, force=True)
    result = screen(request).result
    assert (result.classification.category, result.agreement) == ("osteopenia", None)
    write_result(result, tmp_path / "result.json")


def test_the_same_bone_on_two_scanners_has_the_same_probabilities(request_, models, tmp_path):
    """The phantom as a scanner with another line would measure it, screened by that scanner's own calibration."""
    phantom = make_phantom()
    slope, intercept = 0.8, 5.0
    line = {
        "slope": slope, "intercept": intercept, "mineral": "CaHA", "uncertainty_mg_cm3": 8.0, "scanner": "CT-2",
        "kvp": 120.0, "kernel": "Br38f", "date": "2026-01-01", "expires": "2099-01-01",
    }  # fmt: skip
    (tmp_path / "line.json").write_text(json.dumps(line), encoding="utf-8")
    other_hu = (NOMINAL_SLOPE * phantom.hu + NOMINAL_INTERCEPT - intercept) / slope
    header = {"modality": "CT", "kvp": 120.0, "slice_thickness_mm": 3.0, "kernel": "Br38f", "contrast": False}
    request = replace(request_, classification_model=models / "softmax", force=True, age_years=60.0)
    one, two = (
        screen(replace(request, ct=ct_from_array(hu.astype(np.float32), phantom.ijk_to_ras, acquisition), **calibrated))
        for hu, acquisition, calibrated in (
            (phantom.hu, Acquisition(**header), {}),
            (other_hu, Acquisition(**header, scanner_id="CT-2"), {"calibration": tmp_path / "line.json"}),
        )
    )
    assert two.result.roi["L1"].mean_hu != pytest.approx(one.result.roi["L1"].mean_hu, abs=3.0)
    assert two.result.densitometry.bmd_mg_cm3 == pytest.approx(one.result.densitometry.bmd_mg_cm3, abs=0.01)
    expected = one.result.classification.probabilities
    assert two.result.classification.probabilities == pytest.approx(expected, abs=1e-3)


def test_a_network_is_loaded_once_for_a_batch(request_, models):
    request = replace(request_, classification_model=models / "softmax")
    screen(request)
    first = loaded.CLASSIFIERS.get(load_bundle(models / "softmax"), "cpu")
    screen(request)
    assert loaded.CLASSIFIERS.get(load_bundle(models / "softmax"), "cpu") is first
    screen(replace(request, classification_model=models / "lenient"))
    assert loaded.CLASSIFIERS.get(load_bundle(models / "softmax"), "cpu") is not first


# -- through the command line


def run_screen(files, models, out, *words):
    code = main(
        [
            "screen", str(files / "dicom"), "--masks", str(files / "outlines.seg.nrrd"), "--device", "cpu",
            "-o", str(out), *map(str, words),
        ]
    )  # fmt: skip
    result = json.loads((out / "result.json").read_text(encoding="utf-8")) if code == 0 else None
    page = (out / "report.html").read_text(encoding="utf-8") if code == 0 else ""
    return code, result, " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.split("</style>")[-1])).split())


def test_the_command_writes_and_tells_the_class(files, models, tmp_path, capsys):
    code, result, page = run_screen(files, models, tmp_path / "out", "--classification-model", models / "ordinal")
    assert code == 0
    assert result["classification"]["category"] == "osteopenia"
    assert sum(result["classification"]["probabilities"].values()) == pytest.approx(1.0)
    assert result["agreement"] is True
    assert result["bundles"][0]["role"] == "classification"
    shown = capsys.readouterr().out
    assert "The network's class is osteopenia, by Model 1 (L1 and L2): normal 0." in shown
    assert "It agrees with the BMD." in shown
    assert "Where to look" not in shown + page
    assert "Network osteopenia Model 1 (L1 and L2) Measured BMD osteopenia" in page
    assert "Classification bundle tiny-model1, version 0.0.1" in page


def test_a_disagreement_is_told_with_where_to_look(files, models, tmp_path, capsys):
    code, result, page = run_screen(files, models, tmp_path / "out", "--classification-model", models / "lenient")
    assert code == 0
    assert (result["classification"]["category"], result["agreement"]) == ("normal", False)
    shown = capsys.readouterr().out
    for text in (" ".join(shown.split()), page):
        assert re.search(r"It does not agree with the BMD of \d+ mg/cm³, whose category is osteopenia\.", text)
        places = ["The BMD: it lies further than its uncertainty", "The outlines:", "The level:", "The scan: see"]
        at = [text.index(place, text.index("Where to look, in this order")) for place in places]
        assert at == sorted(at)
        assert "on calibration" in text or "and calibration" in text


def test_model_2_by_the_command_says_that_it_saw_l1_alone(files, models, tmp_path, capsys):
    words = ("--classification-model", models / "model2")
    _, result, page = run_screen(files, models, tmp_path / "both", *words)
    assert result["classification"]["model"] == "model2"
    assert "The network saw L1 alone, while the BMD is the mean of L1 and L2." in page
    _, _, page = run_screen(files, models, tmp_path / "one", "--l1=#18", *words)
    assert "The network saw L1 alone." in page


def test_model_1_without_l2_is_wrong_usage(files, models, tmp_path, capsys):
    words = ("--l1=#18", "--classification-model", models / "softmax")
    assert run_screen(files, models, tmp_path / "out", *words)[0] == 2
    assert "give the centre slice of L2 with --l2, or name a Model 2 bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_undecided_network_is_said_to_be(files, models, tmp_path):
    _, result, page = run_screen(files, models, tmp_path / "sure", "--classification-model", models / "softmax")
    shares = result["classification"]["probabilities"]
    assert "undecided" not in page
    # What the network reads of the phantom's bodies is where its limit at 120 has to lie for it to be undecided.
    seen = LIMITS_HU[1] + math.log(shares["normal"] / shares["osteopenia"]) / PER_HU
    bundle = write_tiny_classifier(tmp_path / "bundle", limits_hu=(0.0, seen))
    _, result, page = run_screen(files, models, tmp_path / "out", "--classification-model", bundle)
    shares = result["classification"]["probabilities"]
    assert shares["normal"] == pytest.approx(shares["osteopenia"], abs=1e-3)
    assert "The network is undecided between" in page
