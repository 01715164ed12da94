"""What a bone-status classifier learns from: its configuration, its subjects, its targets and its batches."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_bundle import write_tiny_bundle

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.inclusion import include
from OsteoScreenTrainingLib.datasets.splits import random_split
from OsteoScreenTrainingLib.training.config import defaults, from_dict, merged, to_dict
from OsteoScreenTrainingLib.training.tasks import open_task
from Testing.Python.training_runs import of_part, task_of

CPU = torch.device("cpu")
WHOLE = slice(None)


# -- the configuration


def test_a_classification_begins_with_its_own_defaults():
    config = defaults("classification")
    assert (config.task, config.network["name"], config.window_hu) == (
        "classification", "study_classifier", (-160.0, 240.0),
    )  # fmt: skip
    assert from_dict(to_dict(config)) == config
    changed = from_dict({"task": "classification", "optimiser": {"learning_rate": 0.5}})
    assert changed.optimiser.learning_rate == 0.5
    assert changed.optimiser.weight_decay == config.optimiser.weight_decay != defaults("segmentation").optimiser
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"classification": {"model": "model3"}}, "classification.model must be one of 'model1', 'model2'"),
        ({"classification": {"crop": 3}}, "Unknown setting 'classification.crop'.*Did you mean 'crop_size'"),
        ({"most": -1}, "most must be 0"),
    ],
)
def test_mistakes_in_the_configuration_are_named(values, says):
    with pytest.raises(UsageError, match=says):
        from_dict({"task": "classification", **values})


# -- who is learnt from


def test_it_keeps_to_its_parts_of_the_split(subject_set, tiny_classification, monkeypatch):
    asked: list[str] = []
    read = DataSet.slice_index
    monkeypatch.setattr(DataSet, "slice_index", lambda self, n, level: asked.append(n) or read(self, n, level))
    task = task_of(tiny_classification(), subject_set)
    assert set(asked) == {*of_part(subject_set, "training"), *of_part(subject_set, "validation")}
    assert task.size == len(of_part(subject_set, "training"))
    seen = [task._epochs[position] for position in range(2 * task.size)]
    assert sorted(seen[: task.size]) == sorted(seen[task.size :]) == list(range(task.size))
    assert seen[: task.size] != seen[task.size :]


def test_without_a_named_split_it_parts_at_random_and_leaves_a_test_part(cohort, subject_set, tiny_classification):
    values = tiny_classification(validation={"split_seed": 3})
    task = task_of(values, subject_set)
    assert task.split == random_split(include(DataSet(subject_set)).included, 3)
    # The cohort has too few of a class for any split, which is said, and not worked around.
    with pytest.raises(UsageError, match="would have no subject with"):
        task_of(values, cohort)


def test_fewer_subjects_are_among_more(subject_set, tiny_classification):
    names = {most: task_of(tiny_classification(most=most), subject_set)._training[0].names for most in (3, 8, 0)}
    assert [len(names[most]) for most in (3, 8)] == [3, 8]
    assert set(names[3]) < set(names[8]) < set(names[0])
    assert set(task_of(tiny_classification(most=8, seed=2), subject_set)._training[0].names) != set(names[8])


def test_one_scanner_can_be_kept_to(make_subject_set, subjects_of, tiny_classification, tmp_path):
    subjects = [
        dataclasses.replace(subject, scanner="ONE" if number % 2 else "TWO")
        for number, subject in enumerate(subjects_of((20, 20, 20)))
    ]
    folder = make_subject_set(tmp_path / "set", subjects)
    values = tiny_classification({"scanner": "TWO"}, validation={"split_seed": 1})
    task = task_of(values, folder)
    of = {subject.subject: subject.scanner for subject in subjects}
    assert {of[name] for slices in (*task._training, task._validation) for name in slices.names} == {"TWO"}
    with pytest.raises(UsageError, match=r"No subject is left for training; check .* classification\.scanner"):
        task_of(tiny_classification({"scanner": "THREE"}, validation={"split_seed": 1}), folder)


def test_who_has_no_outline_is_left_out_and_named_in_the_bundle(subject_set, tiny_classification, tmp_path):
    folder = shutil.copytree(subject_set, tmp_path / "own")
    data = DataSet(folder)
    gone = of_part(folder, "training")[2], of_part(folder, "validation")[0]
    masks = np.load(folder / "slices" / "masks.npy")
    for name in gone:
        masks[data.slice_index(name, "L2")] = 0
    np.save(folder / "slices" / "masks.npy", masks)
    task = task_of(tiny_classification(), folder)
    assert task.without_outline == list(gone)
    said = task.bundle_description(task.make_network().eval())["training"]["data"]
    assert said.endswith(f"; left out without an outline: {gone[0]}, {gone[1]}")
    one = tiny_classification(
        {"model": "model2"}, network={"name": "study_classifier", "parameters": {"in_channels": 1, "base_width": 2}}
    )
    assert task_of(one, folder).without_outline == []


@pytest.mark.parametrize(("model", "channels"), [("model1", 1), ("model2", 2)])
def test_channels_that_are_not_the_levels_are_refused(subject_set, tiny_classification, model, channels):
    network = {"name": "study_classifier", "parameters": {"in_channels": channels, "base_width": 2}}
    with pytest.raises(UsageError, match=f"in_channels must be {3 - channels} for classification.model '{model}'"):
        task_of(tiny_classification({"model": model}, network=network), subject_set)


def test_several_data_sets_are_refused(subject_set, tiny_classification):
    with pytest.raises(UsageError, match="one data set of subjects; name one with --data"):
        open_task(from_dict(tiny_classification()), [subject_set, subject_set])


# -- the target and the loss


def test_the_target_is_the_class_of_the_reference(subject_set, tiny_classification):
    task = task_of(tiny_classification(), subject_set)
    batch = task.load(0, WHOLE)
    inputs, target = task.prepare(batch, CPU)
    assert inputs.shape == (8, 2, 32, 32)
    assert (target.sum(1) == 1).all() and set(target.unique().tolist()) == {0.0, 1.0}
    # A denser body is brighter: the classes are told apart by the inputs' mean alone.
    bright = torch.stack([subject[subject > 0].mean() for subject in inputs])
    assert (bright[target[:, 0] == 1].min() > bright[target[:, 0] == 0].max()).item()


def test_soft_labels_are_the_chance_of_each_class_under_the_references_error(
    make_subject_set, subjects_of, tmp_path, tiny_classification
):
    values = np.linspace(60, 140, 41)
    subjects = [
        dataclasses.replace(subject, bmd_l1=None, bmd_l2=None, bmd_individual=float(bmd))
        for subject, bmd in zip(subjects_of((41, 0, 0)), values, strict=True)
    ]
    folder = make_subject_set(tmp_path / "set", subjects)
    by_sd = {}
    for sd in (0.0, 1e-6, 10.0):
        task = task_of(tiny_classification({"label_sd_mg_cm3": sd}, validation={"split_seed": 1}), folder)
        by_sd[sd] = task._target([subject.subject for subject in subjects]).numpy()
        np.testing.assert_allclose(by_sd[sd].sum(1), 1, atol=1e-6)
        assert (by_sd[sd] >= 0).all()
    inside = ~np.isin(values, (80.0, 120.0))  # on a limit a blur of any width says one half
    np.testing.assert_array_equal(by_sd[1e-6][inside], by_sd[0.0][inside])
    soft = by_sd[10.0]
    np.testing.assert_allclose(
        soft[values == 90.0][0],
        [stats.norm.cdf(-3), stats.norm.cdf(1) - stats.norm.cdf(-3), stats.norm.cdf(-1)],
        atol=1e-6,
    )
    assert (np.diff(soft[:, 0]) > 0).all() and (np.diff(soft[:, 2]) < 0).all()


def test_weights_make_the_classes_alike_in_the_loss_and_are_undone_in_the_outputs(subject_set, tiny_classification):
    plain, balanced = (
        task_of(tiny_classification({"class_weights": how}), subject_set) for how in ("none", "balanced")
    )
    statuses = plain._statuses(plain._training[0].names)
    counts = np.bincount(statuses)
    assert counts.max() > counts.min()
    # A network that always says the same loses the same on every class, however many subjects it has.
    outputs = torch.zeros(len(statuses), 3)
    target = torch.nn.functional.one_hot(torch.from_numpy(statuses), 3).float()
    assert float(plain.loss(outputs, target)) == pytest.approx(np.log(3))
    assert float(balanced.loss(outputs, target)) == pytest.approx(np.log(3), rel=1e-5)
    per_class = [float(balanced.loss(outputs[statuses == k], target[statuses == k])) * counts[k] for k in range(3)]
    assert per_class == pytest.approx([per_class[0]] * 3, rel=1e-5)
    network = plain.make_network().eval()
    slices = plain._validation
    ratio = plain.outputs(network, slices, CPU, torch.no_grad) - balanced.outputs(network, slices, CPU, torch.no_grad)
    expected = np.log(len(statuses) / (3 * counts))
    np.testing.assert_allclose(ratio, np.tile(expected, (len(slices), 1)), atol=1e-5)


# -- what it trains on


def test_a_batch_follows_from_seed_and_step_alone(subject_set, tiny_classification):
    def batch(step, part=WHOLE, task=None, **values):
        own = task or task_of(tiny_classification(**values), subject_set)
        return own.prepare(own.load(step, part), CPU)

    whole, target = batch(3)
    task = task_of(tiny_classification(), subject_set)
    for step in (0, 7, 3):
        again = batch(step, task=task)
    assert torch.equal(whole, again[0]) and torch.equal(target, again[1])
    shares = [batch(3, part) for part in (slice(0, 4), slice(4, 8))]
    assert torch.equal(whole, torch.cat([share[0] for share in shares]))
    assert not torch.equal(whole, batch(4)[0])
    assert not torch.equal(whole, batch(3, seed=2)[0])


def test_with_both_kinds_of_outlines_it_sees_either(subject_set, tiny_classification, tmp_path):
    folder = shutil.copytree(subject_set, tmp_path / "own")
    # Bodies of osteoporosis are too dark for the hand-made network: their subjects have a drawn outline only.
    bundle = write_tiny_bundle(tmp_path / "bundle")
    values = tiny_classification({"masks": "both", "segmentation_model": str(bundle)})
    task = task_of(values, folder)
    predicted, drawn = task._training
    assert predicted.names == drawn.names
    assert set(task.without_outline) >= {n for n in of_part(folder, "training") if DataSet(folder).subject(n).bmd < 80}
    found = []
    for step in range(12):
        batch = task.load(step, slice(0, 1))
        place = task._epochs[step * 8]
        found.append([np.array_equal(batch.slices.coverage, part.read([place]).coverage) for part in task._training])
    assert [True, False] in found and [False, True] in found and [False, False] not in found
