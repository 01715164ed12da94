"""Correcting a result: which outlines are the measured ones, and which a reader drew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from phantom_ct import make_phantom
from scipy import ndimage

from OsteoScreenLib.correcting import Correction, screen_corrected
from OsteoScreenLib.ct import Acquisition, ct_from_array
from OsteoScreenLib.densitometry import measure_roi
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.reopening import is_measured
from OsteoScreenLib.screening import ScreeningRequest, screen
from OsteoScreenLib.segmentation_io import write_segmentation

K = 18


pytestmark = pytest.mark.usefixtures("nothing_installed_in_module")


@pytest.fixture(scope="module")
def phantom():
    return make_phantom()


@pytest.fixture(scope="module")
def ct(phantom):
    acquisition = Acquisition(modality="CT", kvp=120.0, slice_thickness_mm=3.0, kernel="Br38f", contrast=False)
    return ct_from_array(phantom.hu, phantom.ijk_to_ras, acquisition)


@pytest.fixture(scope="module")
def outlines(phantom, tmp_path_factory):
    return phantom.write_outlines(tmp_path_factory.mktemp("outlines") / "outlines.seg.nrrd")


@pytest.fixture
def old(ct, outlines):
    return screen(ScreeningRequest(ct, masks=outlines))


def measured(ct, mask):
    return measure_roi(ct.slice(K), mask.astype(np.float32), ct.geometry, K, confidence=1.0, mask_source="user")


def shapes():
    """A body by name, with what outlines of networks and readers have: holes, specks, corners."""
    y, x = np.mgrid[:112, :112] - 55.0
    round_one = (x / 13) ** 2 + ((y - 12) / 10) ** 2 < 1
    hollow, speckled = round_one.copy(), round_one.copy()
    hollow[66:69, 53:57] = False
    speckled[40, 40] = True
    cornered = round_one.copy()
    cornered[56, 55], cornered[57, 54:57] = True, True
    return {"plain": round_one, "with a hole": hollow, "with a speck": speckled, "with a corner": cornered}


@pytest.mark.parametrize("shape", shapes())
def test_the_measured_outline_is_known_again(ct, shape):
    mask = shapes()[shape]
    assert is_measured(mask, measured(ct, mask), ct.geometry, K)


@pytest.mark.parametrize("shape", shapes())
def test_an_outline_of_parts_of_pixels_is_known_by_its_pixels(ct, shape):
    soft = ndimage.gaussian_filter(shapes()[shape].astype(np.float32), 1.0)
    roi = measure_roi(ct.slice(K), soft, ct.geometry, K, confidence=1.0, mask_source="model")
    assert is_measured(soft > 0.5, roi, ct.geometry, K)


EDITS = {
    "smaller all around": ndimage.binary_erosion,
    "larger all around": ndimage.binary_dilation,
    "moved by a pixel": lambda mask: np.roll(mask, 1, axis=1),
    "without its top": lambda mask: mask & (np.arange(112) > 60)[:, None],
    "empty": lambda mask: mask & False,
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("source", ["user", "model"])
def test_an_edited_outline_is_another(ct, edit, source):
    mask = shapes()["plain"]
    roi = replace(measured(ct, mask), mask_source=source)
    assert is_measured(mask, roi, ct.geometry, K)
    assert not is_measured(EDITS[edit](mask), roi, ct.geometry, K)


def test_a_few_pixels_that_a_reader_changed_of_an_outline_of_theirs_are_noticed(ct):
    mask = shapes()["plain"].copy()
    roi = measured(ct, mask)
    row = int(np.argwhere(mask)[:, 0].min())
    mask[row, np.nonzero(mask[row])[0][:3]] = False
    assert not is_measured(mask, roi, ct.geometry, K)


@pytest.fixture
def drawn(phantom, ct, tmp_path):
    """L2 a slice above its centre, as a reader drew it."""
    return write_segmentation({"L2": (7, phantom.trabecular[7] > 0)}, ct.geometry, tmp_path / "drawn.seg.nrrd")


def test_a_level_that_stays_keeps_the_outline_that_was_drawn(old, drawn):
    new, outlines = screen_corrected(old, Correction(l2="#7", masks=drawn))
    assert outlines == ("L2",)
    assert new.result.roi["L1"] == old.result.roi["L1"]
    assert new.result.levels["L2"].slice_index == 7
    assert new.result.roi["L2"].mask_source == "user"


def test_an_outline_has_to_lie_on_its_slice(old, drawn):
    with pytest.raises(UsageError, match="hold no L2 on its slice #12"):
        screen_corrected(old, Correction(l2="#12", masks=drawn))


def test_an_outline_of_a_level_that_the_result_lacks_needs_its_slice(ct, phantom, drawn, tmp_path):
    alone = screen(ScreeningRequest(ct, masks=phantom.write_outlines(tmp_path / "l1.seg.nrrd", names=("L1",))))
    with pytest.raises(UsageError, match="give its slice with --l2"):
        screen_corrected(alone, Correction(masks=drawn))
    new, outlines = screen_corrected(alone, Correction(l2="#7", masks=drawn))
    assert outlines == ("L2",) and list(new.result.roi) == ["L1", "L2"]


def test_an_outline_that_was_drawn_before_and_is_gone_is_asked_for(old, drawn):
    old.outlines = {}
    with pytest.raises(InputError, match="outline of L1 that was drawn before is gone"):
        screen_corrected(old, Correction(l2="#7", masks=drawn))


def test_the_patients_age_and_sex_stay_as_they_were_told(ct, outlines, drawn):
    told = screen(ScreeningRequest(ct, masks=outlines, age_years=71.0, sex="F"))
    new, _ = screen_corrected(told, Correction(l2="#7", masks=drawn))
    assert (new.result.input.age_years, new.result.input.sex) == (71.0, "F")
