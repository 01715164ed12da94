"""The shipped bundle outlines simulated slices, and doubts where it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from OsteoScreenLib.errors import InputError, SegmentationFailed, UsageError
from OsteoScreenLib.models import default_bundle
from OsteoScreenLib.segmentation import EDGE, Segmenter, SliceSegmentation
from OsteoScreenTrainingLib.simulation.slices import SimulatedSlice, simulate_slice

#: A stream of simulated slices that no training has seen.
SEED = 20_000


def dsc(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    bundle = default_bundle("segmentation")
    assert bundle is not None, "no segmentation bundle is shipped"
    return Segmenter(bundle, "cpu")


@pytest.fixture(scope="module")
def slices() -> list[SimulatedSlice]:
    drawn = (simulate_slice(SEED, index) for index in range(40))
    usable = [s for s in drawn if s.truth.has_body and abs(s.truth.height_mm) < 5 and s.truth.noise_sd < 40]
    return usable[:12]


def segment(segmenter: Segmenter, simulated: SimulatedSlice, hu: np.ndarray | None = None) -> SliceSegmentation:
    pixel = simulated.truth.pixel_spacing_mm
    return segmenter.segment(simulated.hu.astype(np.float32) if hu is None else hu, (pixel, pixel))


@pytest.fixture(scope="module")
def outlined(segmenter, slices) -> list[SliceSegmentation]:
    return [segment(segmenter, s) for s in slices]


def test_it_outlines_simulated_bodies(slices, outlined):
    scores = [dsc(o.mask, s.coverage > 127) for o, s in zip(outlined, slices, strict=True)]
    assert np.mean(scores) > 0.95, scores


def test_the_mask_is_one_body_without_holes_where_the_probability_passes_a_half(outlined):
    for result in outlined:
        assert ndimage.label(result.mask)[1] == 1
        assert (ndimage.binary_fill_holes(result.mask) == result.mask).all()
        assert (result.probability[result.mask] >= EDGE).all()
        assert (result.probability[~result.mask] < EDGE).all()
        assert 0 <= result.confidence <= 1


def test_a_mirrored_slice_gives_the_mirrored_outline(segmenter, slices, outlined):
    for simulated, direct in zip(slices[:3], outlined, strict=False):
        mirrored = segment(segmenter, simulated, np.ascontiguousarray(simulated.hu[:, ::-1].astype(np.float32)))
        assert dsc(mirrored.mask[:, ::-1], direct.mask) > 0.98


def test_pixels_need_not_be_square(segmenter, slices, outlined):
    simulated, direct = slices[0], outlined[0]
    pixel = simulated.truth.pixel_spacing_mm
    hu = np.repeat(simulated.hu.astype(np.float32), 2, axis=0)
    stretched = segmenter.segment(hu, (pixel / 2, pixel))
    assert dsc(stretched.mask[::2], direct.mask) > 0.97


@pytest.mark.parametrize("damage", ["blurred", "noisy", "cut"])
def test_confidence_falls_with_the_picture(segmenter, slices, outlined, damage):
    drops = []
    for simulated, direct in zip(slices[:6], outlined, strict=False):
        hu, pixel = simulated.hu.astype(np.float32), simulated.truth.pixel_spacing_mm
        if damage == "blurred":
            hu = ndimage.gaussian_filter(hu, 4 / pixel)
        elif damage == "noisy":
            hu = hu + np.random.default_rng(0).normal(0, 400, hu.shape).astype(np.float32)
        else:
            hu[:, int(simulated.truth.body_column) :] = -1024
        try:
            drops.append(direct.confidence - segment(segmenter, simulated, hu).confidence)
        except SegmentationFailed:
            drops.append(direct.confidence)
    assert np.mean(drops) > 0.1, drops


@pytest.mark.parametrize("hu", [-1000.0, 0.0, 40.0, 3000.0])
def test_a_blank_slice_is_an_error_with_advice_and_never_an_outline(segmenter, hu):
    with pytest.raises(SegmentationFailed, match=r"level|middle"):
        segmenter.segment(np.full((256, 256), hu, np.float32), (1.0, 1.0))


@pytest.mark.parametrize("shape", [(512, 512, 3), (4, 512), (0, 0)])
def test_what_is_no_slice_is_refused(segmenter, shape):
    with pytest.raises(InputError, match="2D"):
        segmenter.segment(np.zeros(shape, np.float32), (1.0, 1.0))


def test_values_and_spacings_must_be_finite(segmenter):
    with pytest.raises(InputError, match="finite"):
        segmenter.segment(np.full((64, 64), np.nan, np.float32), (1.0, 1.0))
    with pytest.raises(InputError, match="spacing"):
        segmenter.segment(np.zeros((64, 64), np.float32), (0.0, 1.0))


def test_an_unknown_device_is_refused():
    with pytest.raises(UsageError, match="device"):
        Segmenter(default_bundle("segmentation"), "gpu0")
