"""What a classifier is trained on: to the pixel what it is given in use, in poses that follow from the seed."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from tiny_bundle import silent_network, write_tiny_bundle

from OsteoScreenLib.densitometry.calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE
from OsteoScreenLib.errors import InputError
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.results import Calibration
from OsteoScreenLib.segmentation import Segmenter
from OsteoScreenTrainingLib.datasets.calibrations import standardising_line
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.datasets.inclusion import include
from OsteoScreenTrainingLib.datasets.manifest import Subject
from OsteoScreenTrainingLib.datasets.masked_slices import MaskedSlices
from OsteoScreenTrainingLib.datasets.predictions import predict_masks
from OsteoScreenTrainingLib.training.config import ClassificationConfig
from OsteoScreenTrainingLib.training.masked_augmentation import draw_poses, masked_inputs, upright_poses
from Testing.Python.classifier_inputs import WINDOW_HU, built_slices, seen_in_training, seen_in_use

CPU = torch.device("cpu")


def _seen_in_use(data, subject, levels, crop, hu, folder):
    line = Calibration("user", subject.calibration_slope, subject.calibration_intercept, "CaHA", 5.0)
    return seen_in_use(built_slices(data, subject, levels), line, crop, hu, folder)


@pytest.mark.parametrize(
    ("crop", "hu"),
    [((0.9, 64), "standardised"), ((0.9, 64), "measured"), ((0.5, 96), "standardised"), ((1.8, 32), "standardised"),
     (None, "standardised")],
    ids=["crop", "measured", "fine", "coarse", "whole"],
)  # fmt: skip
def test_training_sees_what_inference_sees(cohort, tmp_path, crop, hu):
    data = DataSet(cohort)
    subjects = include(data).included
    of_scanners = {subject.scanner: subject for subject in subjects}
    assert len(of_scanners) == 3
    for number, subject in enumerate(of_scanners.values()):
        trained = seen_in_training(data, subject, LEVELS, crop, hu)
        used = _seen_in_use(data, subject, LEVELS, crop, hu, tmp_path / str(number))
        assert trained.shape == used.shape
        assert (trained > 0).sum() > 200
        torch.testing.assert_close(trained, used, atol=2e-5, rtol=0)


def test_model_2_sees_l1_alone(cohort, tmp_path):
    data = DataSet(cohort)
    subject = include(data).included[1]
    alone = seen_in_training(data, subject, ("L1",), (0.9, 64), "standardised")
    assert torch.equal(alone[0], seen_in_training(data, subject, LEVELS, (0.9, 64), "standardised")[0])
    used = _seen_in_use(data, subject, ("L1",), (0.9, 64), "standardised", tmp_path)
    torch.testing.assert_close(alone, used, atol=2e-5, rtol=0)


def test_a_subject_without_a_line_is_left_as_measured():
    assert standardising_line(Subject("S")) == (1.0, 0.0)
    nominal = Subject("S", calibration_slope=NOMINAL_SLOPE, calibration_intercept=NOMINAL_INTERCEPT)
    assert standardising_line(nominal) == (1.0, 0.0)
    slope, offset = standardising_line(Subject("S", calibration_slope=0.8, calibration_intercept=5.0))
    assert NOMINAL_SLOPE * (slope * 150 + offset) + NOMINAL_INTERCEPT == pytest.approx(0.8 * 150 + 5.0)


# -- poses


def _batch(subject_set, count=3):
    data = DataSet(subject_set)
    return MaskedSlices(data, data.subjects[:count], LEVELS, None, 32.0).read(range(count))


def _inputs(batch, plan, options=None):
    options = options or ClassificationConfig()
    return masked_inputs(batch, plan, 32, options, WINDOW_HU, CPU, options.noise_hu)


def test_a_sample_depends_on_its_seed_alone(subject_set):
    batch = _batch(subject_set)
    seeds = [(1, 5, place) for place in range(3)]
    options = ClassificationConfig()
    whole = _inputs(batch, draw_poses(batch, seeds, 2, (1.0, 32), options))
    assert torch.equal(whole, _inputs(batch, draw_poses(batch, seeds, 2, (1.0, 32), options)))
    # Alone in its batch, as in another process.
    data = DataSet(subject_set)
    alone = MaskedSlices(data, data.subjects[:3], LEVELS, None, 32.0).read([2])
    assert torch.equal(whole[4:], _inputs(alone, draw_poses(alone, seeds[2:], 2, (1.0, 32), options)))
    for other in ((2, 5, 2), (1, 6, 2), (1, 5, 3)):
        changed = _inputs(alone, draw_poses(alone, [other], 2, (1.0, 32), options))
        assert not torch.allclose(whole[4:], changed, atol=0.01)


def test_levels_are_turned_and_mirrored_alike_and_shifted_each(subject_set):
    batch = _batch(subject_set, 8)
    plan = draw_poses(batch, [(0, 0, place) for place in range(8)], 2, (1.0, 32), ClassificationConfig())
    for name in ("angle", "flip", "spacing_mm"):
        values = getattr(plan, name).reshape(8, 2, -1)
        assert (values[:, 0] == values[:, 1]).all(), name
        assert len(np.unique(values[:, 0], axis=0)) > 1, name
    shift = (plan.centre - batch.centre) * batch.pixel_mm[:, None]
    assert (np.abs(shift) <= 2.0).all()
    assert len(np.unique(shift)) == shift.size
    assert len(set(plan.seeds)) == 16


def test_without_amplitudes_nothing_is_moved(subject_set):
    batch = _batch(subject_set)
    still = ClassificationConfig(rotation_deg=0, shift_mm=0, zoom=0, flip_probability=0, noise_hu=0)
    plan = draw_poses(batch, [(0, 0, place) for place in range(3)], 2, (1.0, 32), still)
    assert torch.equal(_inputs(batch, plan, still), _inputs(batch, upright_poses(batch, (1.0, 32)), still))


def test_poses_keep_the_mean_hu_of_the_body(subject_set):
    """What the class depends on is left alone."""
    batch = _batch(subject_set, 6)
    options = ClassificationConfig()
    seeds = [(9, 0, place) for place in range(6)]
    for turned, upright in zip(
        _inputs(batch, draw_poses(batch, seeds, 2, (1.0, 32), options)),
        _inputs(batch, upright_poses(batch, (1.0, 32)), dataclasses.replace(options, noise_hu=0.0)),
        strict=True,
    ):
        assert float(turned[turned > 0].mean()) == pytest.approx(float(upright[upright > 0].mean()), abs=0.03)


# -- outlines


def test_a_subject_without_an_outline_is_left_out_and_named(subject_set, tmp_path):
    folder = shutil.copytree(subject_set, tmp_path / "own")
    data = DataSet(folder)
    masks = np.load(folder / "slices" / "masks.npy")
    masks[data.slice_index("P002", "L2")] = 127
    np.save(folder / "slices" / "masks.npy", masks)
    data = DataSet(folder)
    both = MaskedSlices(data, data.subjects[:4], LEVELS, None, 32.0)
    assert (both.names, both.without_outline) == (["P001", "P003", "P004"], ["P002"])
    assert len(both) == 3
    l1 = MaskedSlices(data, data.subjects[:4], ("L1",), None, 32.0)
    assert (len(l1), l1.without_outline) == (4, [])
    with pytest.raises(InputError, match="No subject has an outline on every level; check the outlines"):
        MaskedSlices(data, [data.subject("P002")], LEVELS, None, 32.0)


def test_whole_slices_are_read_when_asked_for(subject_set):
    data = DataSet(subject_set)
    slices = MaskedSlices(data, data.subjects[:5], LEVELS, None, 0.0)
    batch = slices.read([3, 1])
    expected = data.slices.read([data.slice_index(name, level) for name in ("P004", "P002") for level in LEVELS])
    np.testing.assert_array_equal(batch.hu, expected[0])
    np.testing.assert_array_equal(batch.coverage, expected[1])
    assert (batch.centre == 32.0).all()


def test_outlines_are_those_that_the_bundle_draws_and_are_drawn_once(make_subject_set, subjects_of, tmp_path):
    data = DataSet(make_subject_set(tmp_path / "set", subjects_of((0, 4, 0))))
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    steps = []
    path = predict_masks(data, bundle, device="cpu", progress=lambda step, done, total: steps.append((done, total)))
    assert path == data.folder / "predictions" / bundle.sha256[:16] / "masks.npy"
    assert steps[-1] == (8, 8)
    masks = np.load(path)
    images, drawn = data.slices.read([3])
    found = Segmenter(bundle, "cpu").segment(images[0].astype(np.float32), (1.0, 1.0))
    np.testing.assert_array_equal(masks[3] > 127, found.mask)
    assert (masks[3] > 127).sum() == pytest.approx((drawn[0] > 127).sum(), rel=0.15)
    steps.clear()
    assert predict_masks(data, bundle, device="cpu") == path
    assert steps == []
    slices = MaskedSlices(data, data.subjects, LEVELS, path, 32.0)
    assert len(slices) == 4
    of_the_reader = MaskedSlices(data, data.subjects, LEVELS, None, 32.0)
    assert (slices.read([0]).coverage != of_the_reader.read([0]).coverage).any()
    assert [item.name for item in path.parent.iterdir() if item.name.startswith(".")] == []


def test_slices_that_were_built_again_are_outlined_again(make_subject_set, subjects_of, tmp_path):
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    folder = make_subject_set(tmp_path / "set", subjects_of((0, 4, 0)))
    before = np.array(np.load(predict_masks(DataSet(folder), bundle, device="cpu")))
    other = make_subject_set(tmp_path / "other", subjects_of((0, 4, 0)), seed=1)
    shutil.rmtree(folder / "slices")
    shutil.copytree(other / "slices", folder / "slices")
    after = np.load(predict_masks(DataSet(folder), bundle, device="cpu"))
    assert (before != after).any()
    np.testing.assert_array_equal(after, np.load(predict_masks(DataSet(other), bundle, device="cpu")))


def test_workers_draw_the_same_outlines(make_subject_set, subjects_of, tmp_path):
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    masks = []
    for workers in (1, 2):
        data = DataSet(make_subject_set(tmp_path / str(workers), subjects_of((0, 4, 0))))
        masks.append(np.load(predict_masks(data, bundle, device="cpu", workers=workers)))
    np.testing.assert_array_equal(*masks)


def test_slices_on_which_nothing_is_found_are_counted(make_subject_set, subjects_of, tmp_path):
    data = DataSet(make_subject_set(tmp_path / "set", subjects_of((0, 2, 0))))
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle", silent_network()))
    path = predict_masks(data, bundle, device="cpu")
    assert not np.load(path).any()
    assert json.loads((path.parent / "predictions.json").read_text())["not_found"] == 4
    with pytest.raises(InputError, match="No subject has an outline"):
        MaskedSlices(data, data.subjects, LEVELS, path, 32.0)


def test_outlines_of_another_data_set_are_refused(subject_set, tmp_path):
    data = DataSet(subject_set)
    for content in (np.zeros((64, 64, 63), np.uint8), np.zeros((64, 64, 64), np.float32)):
        np.save(tmp_path / "masks.npy", content)
        with pytest.raises(InputError, match=r"are not those of .* they are drawn again"):
            MaskedSlices(data, data.subjects, LEVELS, tmp_path / "masks.npy", 32.0)
    (tmp_path / "masks.npy").write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be read"):
        MaskedSlices(data, data.subjects, LEVELS, tmp_path / "masks.npy", 32.0)
