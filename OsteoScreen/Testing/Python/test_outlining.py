"""Outlines that are the user's for some levels and the network's for the others, and outlines alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantom_ct import TRABECULAR_HU, make_phantom
from tiny_bundle import silent_network, write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib.ct import Acquisition, ct_from_array
from OsteoScreenLib.errors import BundleError, SegmentationFailed, UsageError
from OsteoScreenLib.levels import level_at
from OsteoScreenLib.models import locations
from OsteoScreenLib.outlining import outline
from OsteoScreenLib.screening import ScreeningRequest, screen

SLICES = {"L1": 18, "L2": 6}


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    """No bundle ships and the user has none, so that what takes part is what a test names; one core."""
    monkeypatch.setenv(locations.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [tmp_path / "shipped"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom()


@pytest.fixture(scope="module")
def drawn(phantom):
    return {name: phantom.trabecular[k] > 0 for name, k in SLICES.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_bundle(folder / "outliner")
    write_tiny_bundle(folder / "silent", silent_network())
    write_tiny_classifier(folder / "classifier")
    return folder


@pytest.fixture(scope="module")
def ct(phantom):
    acquisition = Acquisition(
        modality="CT", kvp=120.0, slice_thickness_mm=3.0, kernel="Br38f", contrast=False, age_years=60.0, sex="F"
    )
    return ct_from_array(phantom.hu, phantom.ijk_to_ras, acquisition)


@pytest.fixture
def request_(ct, models):
    levels = {name.lower(): level_at(ct, k, name, "user") for name, k in SLICES.items()}
    return ScreeningRequest(ct, **levels, segmentation_model=models / "outliner", device="cpu", force=True)


# -- drawn masks in a screening


def test_one_level_is_the_users_and_the_other_the_networks(request_, drawn, models):
    by_network = screen(request_)
    mixed = screen(replace(request_, masks={"L1": drawn["L1"]}, classification_model=models / "classifier"))
    roi = mixed.result.roi
    assert (roi["L1"].mask_source, roi["L1"].confidence) == ("user", 1.0)
    assert roi["L1"].mean_hu == pytest.approx(TRABECULAR_HU["L1"], abs=2.0)
    assert roi["L2"] == by_network.result.roi["L2"]
    assert roi["L2"].mask_source == "model"
    assert [use.role for use in mixed.result.bundles] == ["segmentation", "classification"]
    assert mixed.result.classification.category == "osteopenia"
    np.testing.assert_array_equal(mixed.outlines["L1"].mask, drawn["L1"])
    assert mixed.outlines["L1"].probability is None
    assert mixed.pictures.levels["L1"].probability is None
    assert mixed.outlines["L2"].confidence == roi["L2"].confidence


def test_masks_of_all_levels_need_no_network(request_, drawn, tmp_path):
    request = replace(request_, masks=drawn, segmentation_model=None)
    result = screen(request).result
    assert result.status == "screened"
    assert result.bundles == []
    assert {roi.mask_source for roi in result.roi.values()} == {"user"}
    with pytest.raises(BundleError, match="No segmentation bundle is installed"):
        screen(replace(request, masks={"L2": drawn["L2"]}))


def test_arrays_measure_what_the_same_file_measures(request_, drawn, phantom, tmp_path):
    path = phantom.write_outlines(tmp_path / "outlines.seg.nrrd")
    from_file, from_arrays = screen(replace(request_, masks=path)), screen(replace(request_, masks=drawn))
    assert from_arrays.result.roi == from_file.result.roi


def test_numbers_of_a_label_map_are_masks_too(request_, drawn):
    labels = {name: mask.astype(np.uint8) * 5 for name, mask in drawn.items()}
    assert screen(replace(request_, masks=labels)).result.roi == screen(replace(request_, masks=drawn)).result.roi


def test_no_masks_are_as_good_as_none(request_):
    assert screen(replace(request_, masks={})).result.roi == screen(request_).result.roi


def test_an_empty_mask_is_refused_with_advice(request_, drawn):
    empty = np.zeros_like(drawn["L1"])
    result = screen(replace(request_, masks={"L1": empty})).result
    check = next(check for check in result.eligibility if check.check == "segmentation")
    assert (result.status, check.outcome, check.value) == ("refused", "refuse", "L1")
    assert "The outline of L1 is empty; draw it" in check.message


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ({"L1": np.ones((3, 4), bool)}, "on the slice's own pixels"),
        ({"L2": np.ones((40, 112, 112), bool)}, "on the slice's own pixels"),
        ({"L1": np.full((112, 112), 0.5)}, "not true and false"),
        ({"l1": np.ones((112, 112), bool)}, "no level"),
        ({"T12": np.ones((112, 112), bool)}, "no level"),
    ],
)
def test_masks_that_make_no_sense_are_usage_errors(request_, masks, says):
    with pytest.raises(UsageError, match=says):
        screen(replace(request_, masks=masks))


def test_masks_of_arrays_do_not_say_where_the_levels_are(ct, drawn):
    with pytest.raises(UsageError, match="No level was given"):
        screen(ScreeningRequest(ct, masks=drawn))


# -- outlines alone


def test_outlines_are_those_of_a_screening(request_):
    told = []
    found = outline(request_, lambda *step: told.append(step))
    screening = screen(request_)
    assert (found.bundle, found.device) == (screening.result.bundles[0], "cpu")
    assert list(found.levels) == ["L1", "L2"]
    for name, level in found.levels.items():
        assert level.slice_index == SLICES[name]
        np.testing.assert_array_equal(level.mask, screening.outlines[name].mask)
        np.testing.assert_array_equal(level.probability, screening.outlines[name].probability)
        assert level.confidence == screening.outlines[name].confidence
    assert told[-1] == ("Outlining", 2, 2)


def test_outlining_judges_nothing(request_, ct):
    child = ct_from_array(ct.volume(), ct.geometry.ijk_to_ras, Acquisition(modality="MR", kvp=80.0, age_years=5.0))
    request = replace(request_, ct=child, force=False)
    assert screen(request).outlines == {}
    assert set(outline(request).levels) == {"L1", "L2"}


def test_drawn_levels_are_handed_back(request_, drawn):
    found = outline(replace(request_, masks=drawn, segmentation_model=None))
    assert found.bundle is None
    np.testing.assert_array_equal(found.levels["L2"].mask, drawn["L2"])


def test_a_level_without_an_outline_is_named(request_, models):
    with pytest.raises(SegmentationFailed, match=r"^L1: The outline on the slice covers 0 mm2"):
        outline(replace(request_, segmentation_model=models / "silent"))


def test_outlining_lets_a_cancel_through(request_):
    class Cancelled(Exception):
        pass

    def cancel(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        outline(request_, cancel)
