"""Patches: where they lie, at which scale, what is done to their intensities; the same however a batch is shared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from OsteoScreenLib.sampling import normalise
from OsteoScreenTrainingLib.datasets.slices import SliceRecord
from OsteoScreenTrainingLib.training.augmentation import augment
from OsteoScreenTrainingLib.training.config import IntensityConfig, PatchConfig
from OsteoScreenTrainingLib.training.losses import boundary_band, segmentation_loss, soft_dice
from OsteoScreenTrainingLib.training.patches import PatchPlan, cut_patches, draw_plan, fixed_plan

WINDOW = (-275.0, 850.0)
SHAPE = (128, 160)


def _record(pixel_mm=0.5, body=(70.0, 50.0)):
    return SliceRecord(pixel_mm, body, "s", {})


def _disc(record, radius_mm, off=0.0):
    """Return a disc of 1000 HU on air and its coverage, at the body's centre, ``off`` pixels to its right."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = np.hypot(y - record.body[0], x - record.body[1] - off) * record.pixel_mm < radius_mm
    return torch.from_numpy(np.where(inside, 1000, -1000).astype(np.int16)[None]), torch.from_numpy(
        (inside * 255).astype(np.uint8)[None]
    )


@pytest.mark.parametrize(("pixel_mm", "spacing"), [(0.5, 0.6), (0.9, 0.5), (0.4, 1.0)])
def test_a_fixed_patch_is_centred_on_the_body_at_its_spacing(pixel_mm, spacing):
    record = _record(pixel_mm)
    config = PatchConfig(outline_spacing_mm=(spacing, spacing))
    images, masks = _disc(record, 9.0)
    hu, coverage = cut_patches(images, masks, fixed_plan([record], False, SHAPE, config), 64)
    assert hu.shape == coverage.shape == (1, 1, 64, 64)
    area_mm2 = float(coverage.sum()) * spacing**2
    assert area_mm2 == pytest.approx(np.pi * 81, rel=0.03)
    rows, columns = torch.nonzero(coverage[0, 0] > 0.5, as_tuple=True)
    assert float(rows.float().mean()) == pytest.approx(31.5, abs=0.6)
    assert float(columns.float().mean()) == pytest.approx(31.5, abs=0.6)
    assert torch.equal(hu > 0, coverage > 0.5)


def test_a_flip_mirrors_left_and_right():
    record = _record()
    images, masks = _disc(record, 4.0, off=10)
    plan = fixed_plan([record], False, SHAPE, PatchConfig())
    flipped = dataclasses.replace(plan, flip=-plan.flip)
    straight, _ = cut_patches(images, masks, plan, 64)
    mirrored, _ = cut_patches(images, masks, flipped, 64)
    assert torch.allclose(straight.flip(-1), mirrored, atol=0.5)
    assert float(straight[..., 32:].mean()) > float(straight[..., :32].mean())


def test_mixed_scales_in_one_batch_equal_each_alone():
    records = [_record(0.45), _record(0.98), _record(0.6)]
    pairs = [_disc(record, 12.0) for record in records]
    images, masks = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    plan = draw_plan(records, [(1, 2, i) for i in range(3)], SHAPE, PatchConfig(locate_fraction=0.5))
    together = cut_patches(images, masks, plan, 48)
    for i in range(3):
        one = slice(i, i + 1)
        alone = cut_patches(images[one], masks[one], plan.part(one), 48)
        assert torch.equal(together[0][one], alone[0])
        assert torch.equal(together[1][one], alone[1])


def test_drawn_patches_stay_within_what_was_asked():
    config = PatchConfig()
    records = [_record()] * 400
    plan = draw_plan(records, [(3, i) for i in range(400)], SHAPE, config)
    geometric = np.sqrt(plan.spacing_mm.prod(1))
    assert 0.25 < plan.locate.mean() < 0.45
    assert geometric[plan.locate].min() >= 1.6
    assert geometric[plan.locate].max() <= 2.5
    assert geometric[~plan.locate].min() >= 0.5
    assert geometric[~plan.locate].max() <= 0.72
    away_mm = np.abs(plan.centre[~plan.locate] - (70.5, 50.5)) * 0.5
    assert 10 < away_mm.max() <= 12.0 + 1e-4
    assert np.abs(np.rad2deg(plan.angle)).max() <= 20
    assert 0.4 < (plan.flip > 0).mean() < 0.6
    assert len(np.unique(plan.seeds)) == 400


def test_a_slice_without_a_body_gets_a_patch_too():
    plan = draw_plan([_record(body=None)] * 8, [(i,) for i in range(8)], SHAPE, PatchConfig(locate_fraction=0))
    assert (plan.centre > 0).all()
    assert (plan.centre < SHAPE).all()


def _patches(count=6):
    generator = torch.Generator().manual_seed(0)
    return 100 + 200 * torch.randn((count, 1, 48, 48), generator=generator)


def test_augmentation_depends_on_the_seed_of_the_sample_alone():
    hu, seeds = _patches(), np.arange(6) * 7919
    everything = IntensityConfig(**{name: 0.7 for name in vars(IntensityConfig()) if name.endswith("_probability")})
    whole = augment(hu, seeds, WINDOW, everything)
    assert torch.equal(whole, augment(hu, seeds, WINDOW, everything))
    shared = torch.cat([augment(hu[:2], seeds[:2], WINDOW, everything), augment(hu[2:], seeds[2:], WINDOW, everything)])
    assert torch.allclose(whole, shared, atol=1e-5)
    assert not torch.allclose(whole, augment(hu, seeds + 1, WINDOW, everything), atol=1e-2)
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1
    assert torch.isfinite(whole).all()


def test_no_strength_is_what_inference_sees():
    hu = _patches()
    assert torch.equal(augment(hu, np.arange(6), WINDOW, IntensityConfig(strength=0)), normalise(hu, WINDOW))


@pytest.mark.parametrize("name", [n for n in vars(IntensityConfig()) if n.endswith("_probability")])
def test_every_augmentation_does_something(name):
    off = {key: 0.0 for key in vars(IntensityConfig()) if key.endswith("_probability")}
    quiet = IntensityConfig(offset_hu=0, scale=0, **off)
    loud = dataclasses.replace(quiet, **{name: 1.0})
    hu, seeds = _patches(), np.arange(6)
    plain = normalise(hu, WINDOW)
    assert torch.allclose(augment(hu, seeds, WINDOW, quiet), plain, atol=1e-5)
    changed = (augment(hu, seeds, WINDOW, loud) - plain).abs().amax((1, 2, 3))
    assert (changed > 1e-3).sum() >= 4


def test_loss_knows_right_wrong_and_empty(tiny_config):
    from OsteoScreenTrainingLib.training.config import LossConfig

    target = torch.zeros(3, 1, 32, 32)
    target[:2, :, 8:24, 8:24] = 1
    sure = (target * 2 - 1) * 20
    assert float(segmentation_loss(sure, target, LossConfig())) < 1e-3
    wrong = sure.clone()
    wrong[0] *= -1
    wrong[2] *= -1
    assert soft_dice(torch.sigmoid(wrong), target, 20.0).round(decimals=2).tolist() == pytest.approx(
        [0.02, 1, 0.02], abs=0.02
    )
    weighted = LossConfig(boundary=4.0)
    assert float(segmentation_loss(wrong, target, weighted)) > 1
    band = boundary_band(target, 3)[0, 0]
    assert band[8, 16] == 1
    assert band[16, 16] == 0
    assert band[0, 0] == 0


def test_losses_of_shards_average_to_the_loss_of_the_batch():
    from OsteoScreenTrainingLib.training.config import LossConfig

    generator = torch.Generator().manual_seed(1)
    logits, target = torch.randn((4, 1, 16, 16), generator=generator), torch.rand((4, 1, 16, 16), generator=generator)
    config = LossConfig(boundary=1.0)
    shards = [float(segmentation_loss(logits[i : i + 2], target[i : i + 2], config)) for i in (0, 2)]
    assert float(segmentation_loss(logits, target, config)) == pytest.approx(np.mean(shards), rel=1e-5)


def test_a_plan_can_be_cut_into_shares():
    plan = draw_plan([_record()] * 4, [(i,) for i in range(4)], SHAPE, PatchConfig())
    part = plan.part(slice(1, 3))
    assert isinstance(part, PatchPlan)
    assert np.array_equal(part.seeds, plan.seeds[1:3])
