"""Training the bone-status classifier: from the command line to a bundle, and what it is told by the configuration."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.results import BONE_STATUSES
from OsteoScreenTrainingLib.datasets.folder import DataSet, bone_status
from OsteoScreenTrainingLib.datasets.splits import load_split
from OsteoScreenTrainingLib.training.classification_task import ClassificationTask
from OsteoScreenTrainingLib.training.config import TrainingConfig, from_dict
from OsteoScreenTrainingLib.training.processes import Processes
from OsteoScreenTrainingLib.training.segmentation_task import SegmentationTask
from OsteoScreenTrainingLib.training.tasks import open_task
from OsteoScreenTrainingLib.training.trainer import Trainer


def opened(values: dict[str, Any], folder: Path) -> ClassificationTask:
    task = open_task(from_dict(values), [folder])
    assert isinstance(task, ClassificationTask)
    return task


def one_process() -> Processes:
    return Processes(0, 1, torch.device("cpu"))


def command(folder: Path, values: dict[str, Any], tmp_path: Path) -> list[str]:
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    run = ["-o", str(tmp_path / "run"), "--config", str(tmp_path / "config.json")]
    return ["train", "classification", "--data", str(folder), *run]


@pytest.mark.parametrize("head", ["softmax", "ordinal"])
def test_it_learns_and_leaves_a_bundle_with_a_card(subject_set, tiny_classification, tmp_path, head):
    network = {"name": "study_classifier", "parameters": {"in_channels": 2, "base_width": 4, "head": head}}
    assert main(command(subject_set, tiny_classification(network=network, steps=50), tmp_path)) == 0
    bundle = load_bundle(tmp_path / "run" / "bundle", "classification")
    assert bundle.classes == BONE_STATUSES
    assert bundle.preprocessing["levels"] == ["L1", "L2"]
    assert bundle.preprocessing["crop"] == {"spacing_mm": 1.0, "size": 32}
    metrics = {metric["name"]: metric["value"] for metric in bundle.description["metrics"]}
    assert metrics["accuracy"] >= 2 / 3
    assert metrics["AUC, normal against the rest"] == 1.0
    assert bundle.description["training"]["kind"] == "simulated"


def test_model_2_takes_one_channel(subject_set, tiny_classification, tmp_path, capsys):
    wrong = tiny_classification({"model": "model2"}, steps=2)
    assert main(command(subject_set, wrong, tmp_path)) == 2
    assert "network.parameters.in_channels must be 1" in capsys.readouterr().err
    wrong["network"]["parameters"]["in_channels"] = 1
    assert main(command(subject_set, wrong, tmp_path)) == 0
    assert load_bundle(tmp_path / "run" / "bundle").preprocessing["levels"] == ["L1"]


def test_resumed_it_is_the_same_bit_for_bit(subject_set, tiny_classification, tmp_path, assert_same_checkpoint):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    straight.mkdir()
    stopped.mkdir()
    values = tiny_classification(steps=10)
    Trainer(from_dict(values), opened(values, subject_set), straight, one_process()).run()
    first = tiny_classification(steps=10, checkpoints={"every_steps": 4, "every_minutes": 0})
    task = opened(first, subject_set)
    load = task.load

    def stop_at_six(step: int, part: slice) -> Any:
        if step == 6:
            raise KeyboardInterrupt
        return load(step, part)

    task.load = stop_at_six  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Trainer(from_dict(first), task, stopped, one_process()).run()
    Trainer(from_dict(values), opened(values, subject_set), stopped, one_process()).run(resume=True)
    assert_same_checkpoint(straight, stopped)


def test_each_part_has_its_own_subjects(subject_set, tiny_classification):
    task = opened(tiny_classification(), subject_set)
    split = load_split(DataSet(subject_set), "random")
    assert set(task._training[0].names) == set(split.parts["training"])
    assert set(task._validation.names) == set(split.parts["validation"])


def test_fewer_subjects_are_among_more(subject_set, tiny_classification):
    some, more = (opened(tiny_classification(most=count), subject_set)._training[0].names for count in (6, 10))
    assert len(some) == 6
    assert len(more) == 10
    assert set(some) < set(more)


def test_a_scanner_alone(make_subject_set, subjects_of, tiny_classification, tmp_path):
    subjects = subjects_of()
    subjects = [
        type(one)(**{**vars(one), "scanner": "TWO" if number % 3 else "ONE"}) for number, one in enumerate(subjects)
    ]
    folder = make_subject_set(tmp_path / "set", subjects)
    values = tiny_classification({"scanner": "TWO"}, validation={"split": "", "every_steps": 0})
    task = opened(values, folder)
    assert {task.data.subject(name).scanner for name in task._training[0].names} == {"TWO"}
    with pytest.raises(UsageError, match=r"classification\.scanner"):
        opened(tiny_classification({"scanner": "THREE"}, validation={"split": ""}), folder)


def test_softened_targets_are_the_references_blur(subject_set, tiny_classification):
    hard = opened(tiny_classification(), subject_set)
    names = hard._training[0].names
    truth = [bone_status(hard.data.subject(name)) for name in names]
    assert hard._target(names).argmax(1).tolist() == truth
    soft = opened(tiny_classification({"label_sd_mg_cm3": 10.0}), subject_set)._target(names)
    assert soft.sum(1).numpy() == pytest.approx(np.ones(len(names)), abs=1e-6)
    # 100 mg/cm3 is two SD from either limit: 2 x 2.275 % lie beyond them.
    osteopenia = soft[[place for place, status in enumerate(truth) if status == 1], 1]
    assert osteopenia.numpy() == pytest.approx(np.full(len(osteopenia), 0.9545), abs=1e-4)


def test_weighed_classes_are_weighed_back(subject_set, tiny_classification):
    task = opened(tiny_classification({"class_weights": "balanced"}), subject_set)
    statuses = np.array([bone_status(task.data.subject(name)) for name in task._training[0].names])
    counts = np.bincount(statuses, minlength=3)
    assert task._weights.numpy() == pytest.approx(len(statuses) / (3 * counts), rel=1e-6)
    network = task.make_network().eval()
    plain = opened(tiny_classification(), subject_set)
    weighed, own = (
        one.outputs(network, one._validation, torch.device("cpu"), contextlib.nullcontext) for one in (task, plain)
    )
    assert weighed == pytest.approx(own - np.log(task._weights.numpy()), abs=1e-5)
    assert task.bundle_description(network)["postprocessing"]["class_weights"] == pytest.approx(
        task._weights.tolist(), abs=1e-5
    )


def test_a_segmentation_leaves_the_test_subjects_alone(subject_set, tiny_config):
    task = open_task(from_dict(tiny_config(validation={"split": "random", "most": 100})), [subject_set])
    assert isinstance(task, SegmentationTask)
    split = load_split(DataSet(subject_set), "random")
    for places, part in ((task.train, "training"), (task.held_out, "validation")):
        assert {task.dataset.records[place].subject for place in places} == set(split.parts[part])
        assert len(places) == 2 * len(split.parts[part])


def test_an_unknown_split_and_two_data_sets_are_refused(subject_set, tiny_classification, tmp_path, capsys):
    values = tiny_classification(validation={"split": "nobody"})
    assert main(command(subject_set, values, tmp_path)) == 4
    assert "dataset split" in capsys.readouterr().err
    both = ["train", "classification", "--data", str(subject_set), str(subject_set), "-o", str(tmp_path / "run")]
    assert main(both) == 2
    assert "one data set" in capsys.readouterr().err


def test_what_a_file_leaves_out_is_the_classifications_own_default():
    config = from_dict({"task": "classification", "steps": 7})
    assert isinstance(config, TrainingConfig)
    assert config.window_hu == (-160.0, 240.0)
    assert config.network["name"] == "study_classifier"
    assert config.steps == 7
    assert from_dict({}).network["name"] == "study_segmentation"
