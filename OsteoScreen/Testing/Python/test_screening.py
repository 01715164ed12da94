"""Screening as the library offers it: what is decoded, measured, refused, and what a caller gets back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dicom_files import write_series
from phantom_ct import CENTRES, ORIGIN_RAS, PIXEL_MM, SLICE_MM, TRABECULAR_HU, make_phantom
from tiny_bundle import silent_network, write_tiny_bundle

from OsteoScreenLib.ct import Acquisition, ct_from_array, open_ct
from OsteoScreenLib.errors import BundleError, InputError, UsageError
from OsteoScreenLib.models import locations
from OsteoScreenLib.results_io import read_result, write_result
from OsteoScreenLib.screening import ScreeningRequest, screen


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    """No bundle ships and the user has none, so that what takes part is what a test names."""
    monkeypatch.setenv(locations.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [tmp_path / "shipped"])


@pytest.fixture(scope="module")
def phantom():
    return make_phantom()


@pytest.fixture(scope="module")
def files(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    origin = (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2])
    header = {"PixelSpacing": [PIXEL_MM, PIXEL_MM], "SliceThickness": str(SLICE_MM)}
    write_series(folder / "dicom", phantom.hu, spacing=SLICE_MM, origin=origin, **header)
    phantom.write_outlines(folder / "outlines.seg.nrrd")
    phantom.write_outlines(folder / "l1.seg.nrrd", names=("L1",))
    phantom.write_vertebrae(folder / "vertebrae")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
    torch.set_num_threads(threads)


def check_of(screening, name):
    return next(check for check in screening.result.eligibility if check.check == name)


def test_the_users_outlines_are_measured(files, tmp_path):
    screening = screen(ScreeningRequest(files / "dicom", masks=files / "outlines.seg.nrrd"))
    result = screening.result
    assert result.status == "screened"
    assert {name: level.slice_index for name, level in result.levels.items()} == {"L1": 18, "L2": 6}
    for name, roi in result.roi.items():
        assert roi.mask_source == "user"
        assert roi.mean_hu == pytest.approx(TRABECULAR_HU[name], abs=2.0)
    bmd = result.densitometry.bmd_mg_cm3
    assert bmd["individual"] == pytest.approx((bmd["L1"] + bmd["L2"]) / 2)
    assert result.bundles == []
    assert result.classification.category is None
    assert "No classifier bundle is installed" in result.classification.reason
    assert result.agreement is None
    assert read_result(write_result(result, tmp_path / "result.json")).roi == result.roi


def test_only_the_levels_slices_are_decoded(files):
    progress = []
    request = ScreeningRequest(
        files / "dicom", l1=f"{ORIGIN_RAS[2] + SLICE_MM * 18:g}", l2="#6", masks=files / "outlines.seg.nrrd"
    )
    screening = screen(request, lambda *step: progress.append(step))
    assert screening.ct.decoded_slices == 2
    assert progress
    screening.add_sagittal(10)
    assert screening.ct.decoded_slices <= 12
    view = screening.pictures.sagittal
    z = [screening.ct.geometry.slice_z(int(k)) for k in view.slice_indices]
    assert z == sorted(z, reverse=True)
    assert view.image.shape[0] == len(z)
    assert abs(view.x_mm) < 2 * PIXEL_MM


def test_the_network_outlines_what_is_not_given(files, bundle, phantom):
    # A network of this size doubts itself; whether it should is not what is tested here.
    request = ScreeningRequest(files / "dicom", l1="#18", l2="#6", segmentation_model=bundle, device="cpu", force=True)
    first, again = screen(request), screen(request)
    result = first.result
    assert result.status == "screened"
    assert [use.name for use in result.bundles] == ["tiny"]
    assert result.software["device"] == "cpu"
    assert result.software["torch"]
    for name, k in CENTRES.items():
        if name in result.roi:
            mask, truth = first.masks[name][1], phantom.trabecular[k] > 0
            assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
            assert result.roi[name].mask_source == "model"
            assert 0 < result.roi[name].confidence <= 1
            assert first.pictures.levels[name].probability is not None
    assert result.roi == again.result.roi
    assert result.timing_s["total"] >= result.timing_s["read"] + result.timing_s["segment"] > 0


def test_a_scan_in_memory_is_screened_too(phantom, files):
    acquisition = Acquisition(
        modality="CT", kvp=120.0, slice_thickness_mm=3.0, kernel="Br38f", contrast=False, age_years=60.0
    )
    ct = ct_from_array(phantom.hu, phantom.ijk_to_ras, acquisition)
    in_memory = screen(ScreeningRequest(ct, masks=files / "outlines.seg.nrrd")).result
    from_files = screen(ScreeningRequest(files / "dicom", masks=files / "outlines.seg.nrrd")).result
    assert in_memory.input.kind == "memory"
    assert in_memory.roi["L1"].mean_hu == pytest.approx(from_files.roi["L1"].mean_hu, abs=1e-3)


def test_l1_alone_is_enough(files):
    result = screen(ScreeningRequest(files / "dicom", l1="#18", masks=files / "outlines.seg.nrrd")).result
    assert list(result.levels) == list(result.roi) == ["L1"]
    assert result.densitometry.bmd_mg_cm3["individual"] == result.densitometry.bmd_mg_cm3["L1"]
    drawn = screen(ScreeningRequest(files / "dicom", masks=files / "l1.seg.nrrd"))
    assert list(drawn.result.levels) == ["L1"]
    assert check_of(drawn, "levels").outcome == "warn"


def test_given_levels_go_before_those_of_a_segmentation(files):
    request = ScreeningRequest(
        files / "dicom", l1="#17", levels_from=files / "vertebrae", masks=files / "outlines.seg.nrrd"
    )
    levels = screen(request).result.levels
    assert (levels["L1"].slice_index, levels["L1"].set_by) == (17, "user")
    assert (levels["L2"].slice_index, levels["L2"].set_by) == (6, "segmentation")


def test_a_refused_study_says_why_and_measures_nothing(phantom, files, tmp_path):
    header = {"PixelSpacing": [PIXEL_MM, PIXEL_MM], "SliceThickness": "3", "KVP": "80"}
    origin = (-ORIGIN_RAS[0], -ORIGIN_RAS[1], ORIGIN_RAS[2])
    write_series(tmp_path / "ct", phantom.hu, spacing=SLICE_MM, origin=origin, **header)
    request = ScreeningRequest(tmp_path / "ct", masks=files / "outlines.seg.nrrd", age_years=61.0)
    refused = screen(request)
    assert refused.result.status == "refused"
    assert check_of(refused, "kvp").outcome == "refuse"
    assert (refused.result.roi, refused.result.densitometry, refused.masks) == ({}, None, {})
    assert refused.result.input.age_years == 61.0
    assert list(refused.result.levels) == ["L1", "L2"]
    write_result(refused.result, tmp_path / "refused.json")
    forced = screen(replace(request, force=True))
    assert forced.result.status == "screened"
    assert check_of(forced, "kvp").outcome == "refuse"
    assert forced.result.roi["L1"].mean_hu == pytest.approx(TRABECULAR_HU["L1"], abs=2.0)
    write_result(forced.result, tmp_path / "forced.json")


@pytest.mark.parametrize("force", [False, True])
def test_a_slice_without_an_outline_is_refused_even_by_force(files, force, tmp_path):
    silent = write_tiny_bundle(tmp_path / "silent", silent_network())
    request = ScreeningRequest(files / "dicom", l1="#18", l2="#6", segmentation_model=silent, device="cpu", force=force)
    screening = screen(request)
    assert screening.result.status == "refused"
    reason = check_of(screening, "segmentation")
    assert reason.outcome == "refuse"
    assert "L1" in reason.message
    assert screening.result.roi == {}
    assert screening.result.densitometry is None
    assert screening.pictures.levels["L1"].mask is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "No level was given"),
        ({"l2": "#6"}, "L2 was given without L1"),
        ({"l1": "#6", "l2": "#18"}, "does not lie below"),
        ({"l1": "#6", "l2": "#6"}, "does not lie below"),
        ({"l1": "#6", "age_years": -1.0}, "age"),
        ({"l1": "#6", "age_years": float("nan")}, "age"),
        ({"l2": "auto"}, "L2 was given without L1"),
    ],
)
def test_requests_that_make_no_sense_are_usage_errors(files, bundle, changes, says):
    with pytest.raises(UsageError, match=says):
        screen(ScreeningRequest(files / "dicom", segmentation_model=bundle, device="cpu", **changes))


def test_missing_parts_are_told_before_the_scan_is_read(files, tmp_path):
    with pytest.raises(BundleError):
        screen(ScreeningRequest(tmp_path / "no-scan", l1="#1", segmentation_model="no-such-bundle"))
    with pytest.raises(BundleError):
        screen(ScreeningRequest(tmp_path / "no-scan", l1="#1", classification_model="no-such-bundle"))
    with pytest.raises(InputError, match="calibration"):
        screen(
            ScreeningRequest(
                tmp_path / "no-scan", masks=files / "outlines.seg.nrrd", calibration=tmp_path / "none.json"
            )
        )


def test_the_users_age_and_sex_stand_in_the_result(files):
    request = ScreeningRequest(files / "dicom", masks=files / "outlines.seg.nrrd", age_years=70.0, sex="M")
    result = screen(request).result
    assert (result.input.age_years, result.input.sex) == (70.0, "M")


def test_an_opened_scan_may_be_given(files):
    ct = open_ct(files / "dicom")
    screening = screen(ScreeningRequest(ct, masks=files / "outlines.seg.nrrd"))
    assert screening.ct is ct
    for name, (k, mask) in screening.masks.items():
        assert k == CENTRES[name]
        assert mask.shape == ct.geometry.shape[1:]
        picture = screening.pictures.levels[name]
        there = picture.ijk_to_ras @ [3.0, 5.0, k, 1.0]
        assert np.allclose(there[:3], ct.geometry.ras(3, 5, k))
