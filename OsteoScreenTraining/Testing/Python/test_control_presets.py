"""Presets: the study's numbers, from Python, from the command line, and as a file."""

from __future__ import annotations

import json

import pytest

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.control.presets import PRESETS, preset
from OsteoScreenTrainingLib.study.profiles import PROFILES
from OsteoScreenTrainingLib.training.config import defaults, to_dict, with_model

KINDS = ("segmentation", "model1", "model2")


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_preset_is_the_studys_training_with_curves(kind, name):
    config = preset(kind, name, device="cpu", seed=5, split="random")
    profile = PROFILES[PRESETS[name]]
    assert config.task == ("segmentation" if kind == "segmentation" else "classification")
    theirs = profile.segmentation if kind == "segmentation" else profile.classification
    assert (config.steps, config.batch) == (theirs["steps"], theirs["batch"])
    assert config.network["name"] == theirs["network"]["name"]
    assert (config.device, config.seed, config.validation.split) == ("cpu", 5, "random")
    assert 0 < config.validation.every_steps < config.steps
    if kind != "segmentation":
        assert config.classification.model == kind
        assert config.network["parameters"]["in_channels"] == {"model1": 2, "model2": 1}[kind]


def test_the_study_preset_is_the_papers():
    config = preset("segmentation", "study")
    assert (config.steps, config.batch, config.optimiser.name, config.optimiser.learning_rate) == (
        8500,
        64,
        "sgd",
        0.001,
    )


def test_what_there_is_not_is_told():
    with pytest.raises(UsageError, match="quick and study"):
        preset("segmentation", "slow")
    with pytest.raises(UsageError, match="segmentation, model1, model2"):
        preset("model3", "quick")
    with pytest.raises(UsageError, match="model1 and model2"):
        with_model(defaults("classification"), "model3")


def _printed(capsys, *words):
    assert main(["train", *words, "--print-config", "-o", "nowhere"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_line_has_them(capsys):
    assert _printed(capsys, "segmentation", "--preset", "quick") == to_dict(preset("segmentation", "quick"))
    assert _printed(capsys, "classification", "--preset", "quick") == to_dict(preset("model1", "quick"))
    found = _printed(capsys, "classification", "--preset", "study", "--model", "model2", "--split", "temporal")
    assert found == to_dict(preset("model2", "study", split="temporal"))
    found = _printed(capsys, "segmentation", "--preset", "quick", "--seed", "9", "--device", "cpu", "--steps", "7")
    assert (found["seed"], found["device"], found["steps"]) == (9, "cpu", 7)
    found = _printed(capsys, "classification", "--model", "model2")
    assert found["classification"]["model"] == "model2" and found["network"]["parameters"]["in_channels"] == 1
    assert main(["train", "segmentation", "--model", "model2", "-o", "x", "--print-config"]) == 2
    assert "--model is that of a classification" in capsys.readouterr().err
    assert main(["train", "segmentation", "--preset", "quick", "--config", "x", "-o", "x"]) == 2
    assert main(["train", "segmentation", "--preset", "quick", "-o", "nowhere"]) == 2
    assert "--data" in capsys.readouterr().err
