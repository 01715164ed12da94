"""Training the bone-status classifier: what it learns, what its bundle says, and that it can be stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special

from OsteoScreenLib.classification import Classifier, MaskedSlice
from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.results import Calibration
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.training.classification_task import ClassificationTask
from OsteoScreenTrainingLib.training.config import from_dict, save_config
from OsteoScreenTrainingLib.training.export import export_bundle
from OsteoScreenTrainingLib.training.tasks import open_task
from Testing.Python.training_runs import log_of, of_part, task_of

CPU = torch.device("cpu")
WHOLE = slice(None)


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
    rows = log_of(tmp_path / "run")
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
    task = task_of(values, subject_set)
    names = task._validation.names
    outputs = task.outputs(bundle.network(CPU), task._validation, CPU, torch.no_grad)
    temperature = bundle.description["postprocessing"].get("temperature", 1.0)
    expected = special.softmax(outputs / temperature, axis=1)
    np.testing.assert_allclose(_answers(subject_set, tmp_path / "run" / "bundle", names), expected, atol=1e-3)


def test_the_bundle_holds_the_temperature_that_fits_the_validation_subjects(subject_set, tiny_classification):
    task = task_of(tiny_classification(), subject_set)
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
    task = task_of(tiny_classification({"class_weights": weights}), subject_set)
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
    task = task_of(values, subject_set)
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


# -- the segmentation on the same data set


def test_a_segmentation_on_a_data_set_honours_the_split(subject_set, tiny_config):
    values = tiny_config(validation={"split": "random"})
    task = open_task(from_dict(values), [subject_set])
    subject_of = [record.subject for record in task.dataset.records]
    assert {subject_of[place] for place in task.train} == set(of_part(subject_set, "training"))
    assert {subject_of[place] for place in task.held_out} == set(of_part(subject_set, "validation"))
    assert len(task.train) == 2 * len(of_part(subject_set, "training"))
    test = {place for place, name in enumerate(subject_of) if name in of_part(subject_set, "test")}
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
