"""A small segmentation bundle for tests of bundles, and folders of the user's and of shipped ones that begin empty."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from OsteoScreenLib import models
from OsteoScreenLib.models import locations

if TYPE_CHECKING:
    import torch

ARCHITECTURE = {"name": "unet", "parameters": {"base_width": 4}}
DESCRIPTION: dict[str, Any] = {
    "name": "trial",
    "version": "1.2.0",
    "role": "segmentation",
    "description": "For the tests.",
    "architecture": ARCHITECTURE,
    "preprocessing": {
        "window_hu": [-275, 850],
        "locate": {"spacing_mm": 2.0, "size": 256},
        "outline": {"spacing_mm": 0.6, "size": 192},
    },
    "classes": ["trabecular compartment"],
    "training": {"data": "10 simulated slices", "kind": "simulated", "seed": 3},
    "metrics": [{"name": "DSC, mean", "value": 0.91, "data": "5 simulated slices", "kind": "simulated", "n": 5}],
    "licence": "Apache-2.0",
}


@pytest.fixture(scope="session")
def trial_network() -> torch.nn.Module:
    import torch

    from OsteoScreenLib.networks import build_network

    torch.manual_seed(0)
    return build_network(ARCHITECTURE)


@pytest.fixture(scope="session")
def saved_trial(trial_network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save_bundle(tmp_path_factory.mktemp("saved") / "trial", DESCRIPTION, trial_network).path


@pytest.fixture
def trial(saved_trial: Path, tmp_path: Path) -> Path:
    """A bundle that the test may spoil."""
    return Path(shutil.copytree(saved_trial, tmp_path / "trial"))


@pytest.fixture
def own_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user's folder, and none that ship."""
    monkeypatch.setenv(locations.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [tmp_path / "shipped"])
    return tmp_path / "own"


def describe(folder: Path, **changes: Any) -> None:
    """Change keys of bundle.json; ``...`` takes one out."""
    file = folder / "bundle.json"
    document = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}), encoding="utf-8")
