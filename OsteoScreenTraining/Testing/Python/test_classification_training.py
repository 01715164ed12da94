"""Training the bone-status classifier: what it learns from, what it learns, and what its bundle says."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats
from tiny_bundle import write_tiny_bundle

from OsteoScreenLib.classification import Classifier, MaskedSlice
from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.results import Calibration
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.datasets.inclusion import include
from OsteoScreenTrainingLib.datasets.splits import load_split, random_split
from OsteoScreenTrainingLib.training.classification_task import ClassificationTask
from OsteoScreenTrainingLib.training.config import defaults, from_dict, merged, save_config, to_dict
from OsteoScreenTrainingLib.training.export import export_bundle
from OsteoScreenTrainingLib.training.processes import Processes
from OsteoScreenTrainingLib.training.tasks import open_task
from OsteoScreenTrainingLib.training.trainer import Trainer

CPU = torch.device("cpu")
WHOLE = slice(None)


def _task(values, folder) -> ClassificationTask:
    task = open_task(from_dict(values), [folder])
    assert isinstance(task, ClassificationTask)
    return task


def _of_part(folder, part, split="random"):
    return load_split(DataSet(folder), split).parts[part]


def _log(run: Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


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
    task = _task(tiny_classification(), subject_set)
    assert set(asked) == {*_of_part(subject_set, "training"), *_of_part(subject_set, "validation")}
    assert task.size == len(_of_part(subject_set, "training"))
    seen = [task._epochs[position] for position in range(2 * task.size)]
    assert sorted(seen[: task.size]) == sorted(seen[task.size :]) == list(range(task.size))
    assert seen[: task.size] != seen[task.size :]


def test_without_a_named_split_it_parts_at_random_and_leaves_a_test_part(cohort, subject_set, tiny_classification):
    values = tiny_classification(validation={"split_seed": 3})
    task = _task(values, subject_set)
    assert task.split == random_split(include(DataSet(subject_set)).included, 3)
    # The cohort has too few of a class for any split, which is said, and not worked around.
    with pytest.raises(UsageError, match="would have no subject with"):
        _task(values, cohort)


def test_fewer_subjects_are_among_more(subject_set, tiny_classification):
    names = {most: _task(tiny_classification(most=most), subject_set)._training[0].names for most in (3, 8, 0)}
    assert [len(names[most]) for most in (3, 8)] == [3, 8]
    assert set(names[3]) < set(names[8]) < set(names[0])
    assert set(_task(tiny_classification(most=8, seed=2), subject_set)._training[0].names) != set(names[8])


def test_one_scanner_can_be_kept_to(make_subject_set, subjects_of, tiny_classification, tmp_path):
    subjects = [
        dataclasses.replace(subject, scanner="ONE" if number % 2 else "TWO")
        for number, subject in enumerate(subjects_of((20, 20, 20)))
    ]
    folder = make_subject_set(tmp_path / "set", subjects)
    values = tiny_classification({"scanner": "TWO"}, validation={"split_seed": 1})
    task = _task(values, folder)
    of = {subject.subject: subject.scanner for subject in subjects}
    assert {of[name] for slices in (*task._training, task._validation) for name in slices.names} == {"TWO"}
    with pytest.raises(UsageError, match=r"No subject is left for training; check .* classification\.scanner"):
        _task(tiny_classification({"scanner": "THREE"}, validation={"split_seed": 1}), folder)


def test_who_has_no_outline_is_left_out_and_named_in_the_bundle(subject_set, tiny_classification, tmp_path):
    folder = shutil.copytree(subject_set, tmp_path / "own")
    data = DataSet(folder)
    gone = _of_part(folder, "training")[2], _of_part(folder, "validation")[0]
    masks = np.load(folder / "slices" / "masks.npy")
    for name in gone:
        masks[data.slice_index(name, "L2")] = 0
    np.save(folder / "slices" / "masks.npy", masks)
    task = _task(tiny_classification(), folder)
    assert task.without_outline == list(gone)
    said = task.bundle_description(task.make_network().eval())["training"]["data"]
    assert said.endswith(f"; left out without an outline: {gone[0]}, {gone[1]}")
    one = tiny_classification(
        {"model": "model2"}, network={"name": "study_classifier", "parameters": {"in_channels": 1, "base_width": 2}}
    )
    assert _task(one, folder).without_outline == []


@pytest.mark.parametrize(("model", "channels"), [("model1", 1), ("model2", 2)])
def test_channels_that_are_not_the_levels_are_refused(subject_set, tiny_classification, model, channels):
    network = {"name": "study_classifier", "parameters": {"in_channels": channels, "base_width": 2}}
    with pytest.raises(UsageError, match=f"in_channels must be {3 - channels} for classification.model '{model}'"):
        _task(tiny_classification({"model": model}, network=network), subject_set)


def test_several_data_sets_are_refused(subject_set, tiny_classification):
    with pytest.raises(UsageError, match="one data set of subjects; name one with --data"):
        open_task(from_dict(tiny_classification()), [subject_set, subject_set])


# -- the target and the loss


def test_the_target_is_the_class_of_the_reference(subject_set, tiny_classification):
    task = _task(tiny_classification(), subject_set)
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
        task = _task(tiny_classification({"label_sd_mg_cm3": sd}, validation={"split_seed": 1}), folder)
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
    plain, balanced = (_task(tiny_classification({"class_weights": how}), subject_set) for how in ("none", "balanced"))
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
        own = task or _task(tiny_classification(**values), subject_set)
        return own.prepare(own.load(step, part), CPU)

    whole, target = batch(3)
    task = _task(tiny_classification(), subject_set)
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
    task = _task(values, folder)
    predicted, drawn = task._training
    assert predicted.names == drawn.names
    assert set(task.without_outline) >= {n for n in _of_part(folder, "training") if DataSet(folder).subject(n).bmd < 80}
    found = []
    for step in range(12):
        batch = task.load(step, slice(0, 1))
        place = task._epochs[step * 8]
        found.append([np.array_equal(batch.slices.coverage, part.read([place]).coverage) for part in task._training])
    assert [True, False] in found and [False, True] in found and [False, False] not in found


# -- whole trainings


def _save(values, path: Path) -> str:
    save_config(from_dict(values), path)
    return str(path)


def _answers(folder, bundle, names):
    """Return what inference with a bundle says of subjects: (subjects, classes)."""
    data, classifier = DataSet(folder), Classifier(load_bundle(bundle, "classification"), "cpu")
    line = Calibration("nominal", 0.6821, 22.17, "CaHA", 20.0)
    rows = []
    for name in names:
        slices = {}
        for level in LEVELS:
            hu, coverage = (a[0].astype(np.float32) for a in data.slices.read([data.slice_index(name, level)]))
            slices[level] = MaskedSlice(hu, coverage / 255, (1.0, 1.0))
        rows.append(list(classifier.classify(slices, line).probabilities.values()))
    return np.array(rows)


def test_it_learns_and_its_bundle_says_the_same(subject_set, tiny_classification, tmp_path, capsys):
    values = tiny_classification({"class_weights": "balanced"}, steps=40, batch=16)
    values["network"]["parameters"]["base_width"] = 4
    command = ["train", "classification", "--data", str(subject_set), "-o", str(tmp_path / "run")]
    assert main([*command, "--config", _save(values, tmp_path / "config.json")]) == 0, capsys.readouterr().err
    rows = _log(tmp_path / "run")
    # Chance is log 3; the most frequent class alone reaches an accuracy of a half.
    assert float(rows[-1]["val_log_loss"]) < 0.8
    assert float(rows[-1]["val_accuracy"]) >= 0.75
    assert float(rows[-1]["val_auc_normal"]) > 0.9
    bundle = load_bundle(tmp_path / "run" / "bundle", "classification")
    assert bundle.preprocessing == {
        "levels": ["L1", "L2"], "window_hu": [-160.0, 240.0], "hu": "standardised",
        "crop": {"spacing_mm": 1.0, "size": 32},
    }  # fmt: skip
    assert bundle.description["training"]["kind"] == "simulated"
    assert len(bundle.description["postprocessing"]["class_weights"]) == 3
    assert {m["name"] for m in bundle.description["metrics"]} >= {"accuracy", "AUC, osteoporosis against the rest"}

    # The task's own outputs, through temperature and weights, are what inference answers: half precision apart.
    task = _task(values, subject_set)
    names = task._validation.names
    outputs = task.outputs(bundle.network(CPU), task._validation, CPU, torch.no_grad)
    temperature = bundle.description["postprocessing"].get("temperature", 1.0)
    expected = special.softmax(outputs / temperature, axis=1)
    np.testing.assert_allclose(_answers(subject_set, tmp_path / "run" / "bundle", names), expected, atol=1e-3)


def test_the_bundle_holds_the_temperature_that_fits_the_validation_subjects(subject_set, tiny_classification):
    task = _task(tiny_classification(), subject_set)
    truth = np.eye(3)[task._statuses(task._validation.names)]
    wrong = truth[:, [1, 2, 0]]

    class Fixed(torch.nn.Module):
        def __init__(self, outputs):
            super().__init__()
            self.rows = outputs

        def forward(self, x):
            return torch.from_numpy(self.rows[: len(x)])

    # Three of four sure and right, one sure and wrong: softmax(4 / T) is to be right as often.
    share = np.arange(len(truth)) % 4 == 0
    outputs = 4.0 * np.where(share[:, None], wrong, truth)
    found = task.bundle_description(Fixed(outputs))["postprocessing"]["temperature"]
    right = 1 - share.mean()
    assert 4.0 / found == pytest.approx(np.log(2 * right / (1 - right)), abs=1e-3)
    # Where all are right no temperature is best, and none is stated.
    assert "temperature" not in task.bundle_description(Fixed(4.0 * truth)).get("postprocessing", {})


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_a_bundle_without_a_temperature_is_one_too(subject_set, tiny_classification, tmp_path, monkeypatch, weights):
    monkeypatch.setattr(
        "OsteoScreenTrainingLib.training.classification_task.fit_temperature", lambda outputs, truth: float("nan")
    )
    task = _task(tiny_classification({"class_weights": weights}), subject_set)
    network = task.make_network().eval()
    folder = export_bundle(tmp_path / "bundle", task.bundle_description(network), network, [])
    classifier = Classifier(load_bundle(folder), "cpu")
    assert classifier.temperature == 1.0
    assert classifier.class_weights.tolist() == pytest.approx(task._weights.tolist(), abs=1e-6)


class _Interrupted(ClassificationTask):
    """Is asked to stop in its fifth step."""

    steps = 0

    def loss(self, outputs, target):
        self.steps += 1
        if self.steps == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(outputs, target)


def test_stopped_and_resumed_is_the_same_bit_for_bit(
    subject_set, tiny_classification, tmp_path, monkeypatch, assert_same_checkpoint, capsys
):
    config = _save(tiny_classification(), tmp_path / "config.json")
    command = ["train", "classification", "--data", str(subject_set), "--config", config]
    assert main([*command, "-o", str(tmp_path / "straight")]) == 0
    with monkeypatch.context() as patch:
        patch.setattr("OsteoScreenTrainingLib.training.classification_task.ClassificationTask", _Interrupted)
        assert main([*command, "-o", str(tmp_path / "stopped")]) == 0
    assert not (tmp_path / "stopped" / "bundle").exists()
    assert "go on with --resume" in capsys.readouterr().err
    assert (tmp_path / "stopped" / "checkpoints" / "step-00000005").is_dir()
    resume = ["train", "classification", "--data", str(subject_set), "-o", str(tmp_path / "stopped"), "--resume"]
    assert main(resume) == 0
    assert_same_checkpoint(tmp_path / "straight", tmp_path / "stopped")
    bundles = [load_bundle(tmp_path / name / "bundle", "classification") for name in ("straight", "stopped")]
    assert bundles[0].sha256 == bundles[1].sha256


def test_whole_slices_train_too(subject_set, tiny_classification, tmp_path, capsys):
    values = tiny_classification({"crop_spacing_mm": 0.0, "model": "model2", "hu": "measured"}, steps=2, batch=4)
    values["network"]["parameters"] = {"in_channels": 1, "base_width": 2}
    task = _task(values, subject_set)
    assert task.prepare(task.load(0, WHOLE), CPU)[0].shape == (4, 1, 64, 64)
    command = ["train", "classification", "--data", str(subject_set), "-o", str(tmp_path / "run")]
    assert main([*command, "--config", _save(values, tmp_path / "config.json")]) == 0, capsys.readouterr().err
    bundle = load_bundle(tmp_path / "run" / "bundle", "classification")
    assert bundle.preprocessing == {"levels": ["L1"], "window_hu": [-160.0, 240.0], "hu": "measured"}
    assert bundle.name == "trained-bone-status-model2"


def test_mistakes_are_told_on_the_command_line(
    subject_set, slice_set, tiny_config, tiny_classification, tmp_path, capsys
):
    good = ["--config", _save(tiny_classification(), tmp_path / "good.json")]
    other = ["--config", _save(tiny_config(), tmp_path / "other.json")]
    unknown = ["--config", _save(tiny_classification(validation={"split": "mine"}), tmp_path / "unknown.json")]
    for words, code, says in (
        ([*good, "--data", str(slice_set)], 4, "make a data set of subjects with 'osteoscreen dataset build'"),
        ([*good, "--data", str(tmp_path)], 4, "is not a finished data set"),
        ([*other, "--data", str(subject_set)], 2, "for segmentation, not for classification"),
        ([*unknown, "--data", str(subject_set)], 4, "There is no split 'mine'"),
        (good, 2, "with --data DATASET"),
    ):
        found = main(["train", "classification", *words, "-o", str(tmp_path / "run")])
        said = capsys.readouterr().err
        assert (found, says in said) == (code, True), said
    assert not (tmp_path / "run").exists()


# -- several processes


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_two_processes_train_as_one_with_the_same_global_batch(subject_set, tiny_classification, tmp_path, repository):
    values = tiny_classification(steps=3, micro_batches=2)
    values["optimiser"] = {"name": "sgd", "learning_rate": 0.01}
    one = tmp_path / "one"
    one.mkdir()
    Trainer(from_dict(values), _task(values, subject_set), one, Processes(0, 1, CPU)).run()
    command = [sys.executable, "-m", "OsteoScreenLib", "train", "classification", "--data", str(subject_set)]
    command += ["--config", _save(values | {"micro_batches": 1}, tmp_path / "two.json"), "-o", str(tmp_path / "two")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(repository / "OsteoScreen"), str(repository / "OsteoScreenTraining")]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    started = [
        subprocess.Popen(
            command, env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=1200)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    losses = [float(_log(tmp_path / name)[0]["loss"]) for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


# -- the segmentation on the same data set


def test_a_segmentation_on_a_data_set_honours_the_split(subject_set, tiny_config):
    values = tiny_config(validation={"split": "random"})
    task = open_task(from_dict(values), [subject_set])
    subject_of = [record.subject for record in task.dataset.records]
    assert {subject_of[place] for place in task.train} == set(_of_part(subject_set, "training"))
    assert {subject_of[place] for place in task.held_out} == set(_of_part(subject_set, "validation"))
    assert len(task.train) == 2 * len(_of_part(subject_set, "training"))
    test = {place for place, name in enumerate(subject_of) if name in _of_part(subject_set, "test")}
    used = {task.train[task._epochs[position]] for position in range(4 * task.size)}
    assert not used & test and used == set(task.train)
    fewer = open_task(from_dict({**values, "most": 5}), [subject_set])
    assert fewer.size == 5 and set(fewer.train) < set(task.train)


def test_a_split_is_that_of_one_data_set(subject_set, slice_set, tiny_config):
    values = from_dict(tiny_config(validation={"split": "random"}))
    with pytest.raises(UsageError, match=r"validation\.split is that of one data set; name one with --data"):
        open_task(values, [subject_set, subject_set])
    with pytest.raises(InputError, match="make a data set of subjects"):
        open_task(values, [slice_set])
