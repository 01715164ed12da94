"""A network is one file in `networks`: from there on it is trained, exported, loaded, and draws outlines."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from OsteoScreenLib import networks
from OsteoScreenLib.cli import main
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.networks.registry import ARCHITECTURES, architecture
from OsteoScreenLib.segmentation import Segmenter
from OsteoScreenTrainingLib.training.checkpoints import find_checkpoint, load_checkpoint
from OsteoScreenTrainingLib.training.config import from_dict
from Testing.Python.recipes import lying_in, recipe

NAME = "three_convolutions"


@pytest.fixture
def added(repository, tmp_path):
    """Put the documentation's example where networks are looked for."""
    folder = tmp_path / "networks"
    folder.mkdir()
    with lying_in(networks, NAME, recipe(repository, "A network"), folder, networks.find_networks):
        yield
    ARCHITECTURES.pop(NAME)


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
    ARCHITECTURES.pop(NAME)
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


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="There is a network 'unet' already"):
        architecture("unet")
