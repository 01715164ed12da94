"""A run's bundle with a card that somebody has filled in: exported, registered, and used by name."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

from OsteoScreenLib.errors import BundleError, UsageError
from OsteoScreenLib.models import load_bundle, verify
from OsteoScreenLib.networks import build_network
from OsteoScreenTrainingLib.control.exporting import apply_card, export_with_card, register
from OsteoScreenTrainingLib.training.export import export_bundle

CARD = {
    "name": "our-hospital-l1",
    "version": "1.2.0",
    "description": "Trained on our own CT.",
    "licence": "CC-BY-4.0",
    "training": "120 subjects of our hospital, outlined by two readers",
}


@pytest.fixture
def run(tmp_path):
    """Return a run's folder with a bundle as the trainer exports it."""
    architecture = {"name": "study_segmentation", "parameters": {"base_width": 2}}
    torch.manual_seed(1)
    description = {
        "name": "trained-study-segmentation",
        "version": "0.0.0",
        "role": "segmentation",
        "architecture": architecture,
        "preprocessing": {
            "window_hu": [-275.0, 850.0],
            "locate": {"spacing_mm": 2.0, "size": 256},
            "outline": {"spacing_mm": 1.0, "size": 64},
        },
        "classes": ["trabecular compartment"],
        "training": {"data": "9 simulated axial CT slices", "kind": "simulated"},
        "licence": "Apache-2.0",
    }
    folder = tmp_path / "run"
    folder.mkdir()
    metrics = [{"name": "DSC", "value": 0.9, "data": "slices", "kind": "simulated"}]
    export_bundle(folder / "bundle", description, build_network(architecture), metrics)
    return folder


@pytest.fixture(autouse=True)
def _own_models(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTEOSCREEN_MODELS", str(tmp_path / "models"))


def test_a_run_without_a_bundle_has_nothing_to_export(tmp_path):
    with pytest.raises(UsageError, match=r"no bundle yet.*--export"):
        export_with_card(tmp_path, CARD, tmp_path / "out.zip")


def test_a_folder_and_a_zip_hold_the_card_and_the_weights(run, tmp_path):
    original = load_bundle(run / "bundle")
    for target in (tmp_path / "out" / "folder", tmp_path / "out" / "our.zip"):
        assert export_with_card(run, CARD, target) == target
        bundle = load_bundle(target)
        verify(bundle)
        assert bundle.sha256 == original.sha256 and (bundle.name, bundle.version) == ("our-hospital-l1", "1.2.0")
        assert bundle.description["training"] == {"data": CARD["training"], "kind": "simulated"}
        assert bundle.description["metrics"] == original.description["metrics"]
        with pytest.raises(UsageError, match="exists already"):
            export_with_card(run, CARD, target)
    assert sorted(zipfile.ZipFile(tmp_path / "out" / "our.zip").namelist()) == [
        "our-hospital-l1/bundle.json",
        "our-hospital-l1/weights.safetensors",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["folder", "our.zip"]
    assert load_bundle(run / "bundle").name == original.name
    (tmp_path / "file").touch()
    with pytest.raises((UsageError, BundleError), match="cannot be written"):
        export_with_card(run, CARD, tmp_path / "file" / "bundle")


def test_it_is_registered_once(run):
    bundle = register(run, CARD)
    assert load_bundle("our-hospital-l1").sha256 == bundle.sha256
    with pytest.raises(BundleError, match="a bundle our-hospital-l1 already"):
        register(run, CARD)
    assert register(run, CARD | {"version": "1.3.0"}, replace=True).version == "1.3.0"
    assert load_bundle("our-hospital-l1").version == "1.3.0"
    with pytest.raises(BundleError, match="shipped"):
        register(run, {"name": "vertebral-body-dcnn"}, replace=True)


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ({"name": "Our Hospital"}, "cannot be the name.*small letters"),
        ({"name": ""}, "cannot be the name"),
        ({"version": "1"}, "cannot be the version.*1.0.0"),
        ({"licence": " "}, "licence is empty"),
        ({"training": ""}, "training is empty"),
        ({"author": "me"}, "no field 'author'"),
    ],
)
def test_a_card_that_no_bundle_can_have(run, tmp_path, card, sentence):
    with pytest.raises(UsageError, match=sentence):
        export_with_card(run, card, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_runs_own_bundle_takes_a_card(run):
    apply_card(run / "bundle", {})
    before = (run / "bundle" / "bundle.json").read_bytes()
    apply_card(run / "bundle", {"name": "mine", "description": ""})
    found = json.loads((run / "bundle" / "bundle.json").read_text())
    assert found["name"] == "mine" and "description" not in found
    assert json.loads(before) | {"name": "mine"} == found
    load_bundle(run / "bundle")
