"""A network is one file in `networks`: from there on it is trained, exported, loaded, and draws outlines."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from OsteoScreenLib import networks
from OsteoScreenLib.classification import Classifier
from OsteoScreenLib.cli import main
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.networks.registry import ARCHITECTURES, ROLES, architecture
from OsteoScreenLib.results import Calibration
from OsteoScreenLib.segmentation import Segmenter
from OsteoScreenTrainingLib.datasets.folder import LEVELS, DataSet
from OsteoScreenTrainingLib.training.checkpoints import find_checkpoint, load_checkpoint
from OsteoScreenTrainingLib.training.config import from_dict
from Testing.Python.classifier_inputs import built_slices
from Testing.Python.recipes import lying_in, recipe

NAME = "three_convolutions"


@pytest.fixture
def added(repository, tmp_path):
    """Put the documentation's example where networks are looked for."""
    folder = tmp_path / "networks"
    folder.mkdir()
    with lying_in(networks, NAME, recipe(repository, "A network"), folder, networks.find_networks):
        yield
    _forget(NAME)


def _forget(name):
    del ARCHITECTURES[name], ROLES[name]


def test_one_file_is_all_that_a_network_needs(added, slice_set, tiny_config, tmp_path):
    network = {"name": NAME, "parameters": {"width": 4}}
    (tmp_path / "config.json").write_text(json.dumps(tiny_config(network=network, steps=2)))
    run = tmp_path / "run"
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(run)]
    assert main([*command, "--config", str(tmp_path / "config.json")]) == 0
    bundle = load_bundle(run / "bundle", "segmentation")
    assert (bundle.name, bundle.architecture) == ("trained-three-convolutions", network)
    trained = bundle.network("cpu")
    assert type(trained) is ARCHITECTURES[NAME]
    averaged = load_checkpoint(find_checkpoint(run))[0]["average"]
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, averaged[name], atol=2e-3, rtol=2e-3)
    segmenter = Segmenter(bundle, "cpu")
    coverage = segmenter._run(torch.from_numpy(np.full((1, 1, 64, 64), 100.0, np.float32)))
    assert coverage.shape == (1, 64, 64) and ((coverage > 0) & (coverage < 1)).all()
    assert main(["models", "verify", str(run / "bundle")]) == 0


def test_where_the_file_is_missing_its_bundle_says_so(repository, slice_set, tiny_config, tmp_path, capsys):
    folder = tmp_path / "networks"
    folder.mkdir()
    (tmp_path / "config.json").write_text(json.dumps(tiny_config(network={"name": NAME}, steps=1)))
    command = ["train", "segmentation", "--data", str(slice_set), "-o", str(tmp_path / "run")]
    with lying_in(networks, NAME, recipe(repository, "A network"), folder, networks.find_networks):
        assert main([*command, "--config", str(tmp_path / "config.json")]) == 0
    _forget(NAME)
    capsys.readouterr()
    assert main(["models", "verify", str(tmp_path / "run" / "bundle")]) == 5
    assert f"Unknown network architecture '{NAME}'; this version knows resnet101" in capsys.readouterr().err


def test_a_network_of_its_own_brings_its_own_parameters():
    values = {"task": "classification", "network": {"name": "mine", "parameters": {"depth": 3}}}
    assert from_dict(values).network == {"name": "mine", "parameters": {"in_channels": 2, "depth": 3}}
    values = {"task": "classification", "network": {"parameters": {"head": "ordinal"}}}
    parameters = {"in_channels": 2, "base_width": 8, "head": "ordinal"}
    assert from_dict(values).network == {"name": "study_classifier", "parameters": parameters}
    assert from_dict({"network": {"name": "unet"}}).network == {"name": "unet", "parameters": {}}


def test_a_classifier_of_any_make_classifies(subject_set, tiny_classification, tmp_path):
    @architecture("mean_hu", "classification")
    class MeanHu(nn.Module):
        """Three values from the mean of each level."""

        def __init__(self, in_channels: int):
            super().__init__()
            self.output = nn.Linear(in_channels, 3)

        def forward(self, x):
            return self.output(x.mean((2, 3)))

    try:
        values = tiny_classification(network={"name": "mean_hu"}, steps=2)
        (tmp_path / "config.json").write_text(json.dumps(values))
        command = ["train", "classification", "--data", str(subject_set), "-o", str(tmp_path / "run")]
        assert main([*command, "--config", str(tmp_path / "config.json")]) == 0
        classifier = Classifier(load_bundle(tmp_path / "run" / "bundle"), "cpu")
        data = DataSet(subject_set)
        slices = built_slices(data, data.subjects[0], LEVELS)
        shares = classifier.classify(slices, Calibration("user", 0.7, 20.0, "CaHA", 5.0)).probabilities
        assert sum(shares.values()) == pytest.approx(1)
    finally:
        _forget("mean_hu")


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="There is a network 'unet' already"):
        architecture("unet", "segmentation")
