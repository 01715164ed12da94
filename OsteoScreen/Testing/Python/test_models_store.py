"""The bundles at hand: imported, listed, exported, removed, and which one is the default."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_classifier import write_tiny_classifier
from trial_bundle import describe
from trial_bundle import own_bundles as own_bundles
from trial_bundle import saved_trial as saved_trial
from trial_bundle import trial as trial
from trial_bundle import trial_network as trial_network

from OsteoScreenLib import models
from OsteoScreenLib.errors import BundleError, UsageError
from OsteoScreenLib.models import locations
from OsteoScreenLib.models.bundle import open_bundle

pytestmark = pytest.mark.usefixtures("own_bundles")


def test_import_list_export_remove(trial: Path, own_bundles: Path, tmp_path: Path) -> None:
    assert models.list_bundles() == []
    imported = models.import_bundle(trial)
    assert imported.path == own_bundles / "trial"
    assert [bundle.name for bundle in models.list_bundles()] == ["trial"]
    exported = models.export_bundle("trial", tmp_path)
    assert exported == tmp_path / "trial-1.2.0.zip"
    assert models.remove_bundle("trial") == own_bundles / "trial"
    assert models.list_bundles() == []
    again = models.import_bundle(exported, name="other")
    assert (again.name, again.sha256) == ("other", imported.sha256)
    assert models.load_bundle("other", "segmentation").path == own_bundles / "other"


def test_import_never_overwrites_silently(trial: Path, own_bundles: Path) -> None:
    models.import_bundle(trial)
    describe(trial, version="2.0.0")
    with pytest.raises(BundleError, match="There is a bundle trial already"):
        models.import_bundle(trial)
    assert models.load_bundle("trial").version == "1.2.0"
    assert models.import_bundle(trial, replace=True).version == "2.0.0"
    assert [path.name for path in own_bundles.iterdir()] == ["trial"]


def test_export_never_overwrites(trial: Path, tmp_path: Path) -> None:
    models.import_bundle(trial)
    (tmp_path / "here.zip").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        models.export_bundle("trial", tmp_path / "here.zip")
    with pytest.raises(UsageError, match="cannot be written"):
        models.export_bundle("trial", tmp_path / "no" / "such" / "folder.zip")


def test_damaged_bundle_is_not_imported(trial: Path, own_bundles: Path) -> None:
    describe(trial, sha256="0" * 64)
    with pytest.raises(BundleError):
        models.import_bundle(trial)
    assert not own_bundles.exists()


@pytest.mark.parametrize("name", ["../up", "A", "", "con", ".hidden", "a/b", "a b"])
def test_impossible_name_is_refused(trial: Path, name: str, own_bundles: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a bundle"):
        models.import_bundle(trial, name)
    assert not own_bundles.exists()


def test_unknown_name_lists_the_known(trial: Path) -> None:
    with pytest.raises(BundleError, match="'nothing'; available: none"):
        models.load_bundle("nothing")
    models.import_bundle(trial)
    with pytest.raises(BundleError, match="'nothing'; available: trial"):
        models.load_bundle("nothing")
    with pytest.raises(BundleError, match="There is no bundle at"):
        models.load_bundle("no/such/folder")


def test_shipped_bundle_is_the_default_and_stays(trial: Path, tmp_path: Path, own_bundles: Path) -> None:
    assert models.default_bundle("segmentation") is None
    describe(trial, default=True)
    shutil.copytree(trial, tmp_path / "shipped" / "trial")
    bundle = models.default_bundle("segmentation")
    assert bundle is not None
    assert bundle.path == tmp_path / "shipped" / "trial"
    assert models.is_shipped(bundle)
    assert models.default_bundle("classification") is None
    with pytest.raises(BundleError, match="shipped"):
        models.import_bundle(trial)
    with pytest.raises(BundleError, match="shipped"):
        models.remove_bundle("trial")
    imported = models.import_bundle(trial, name="mine")
    assert "default" not in imported.description


def test_default_classifier_is_chosen_by_the_levels(tmp_path: Path) -> None:
    assert models.default_bundle("classification", levels=("L1", "L2")) is None
    write_tiny_classifier(tmp_path / "shipped" / "b", default=True)
    assert models.default_bundle("classification", levels=("L1",)) is None
    write_tiny_classifier(tmp_path / "shipped" / "a", levels=("L1",), default=True)
    write_tiny_classifier(tmp_path / "shipped" / "0-other", levels=("L1",), name="tiny-other")
    for levels, name in ((("L1", "L2"), "tiny-model1"), (("L1",), "tiny-model2")):
        bundle = models.default_bundle("classification", levels=levels)
        assert bundle is not None
        assert bundle.name == name
    assert models.default_bundle("classification", levels=("L2",)) is None
    assert models.default_bundle("segmentation") is None


def test_damaged_shipped_bundle_is_an_error_not_an_absence(trial: Path, tmp_path: Path) -> None:
    describe(trial, default=True)
    damaged = Path(shutil.copytree(trial, tmp_path / "shipped" / "trial"))
    (damaged / "bundle.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match="Install OsteoScreen again"):
        models.default_bundle("segmentation")


def test_a_damaged_bundle_does_not_hide_the_others(trial: Path, own_bundles: Path) -> None:
    models.import_bundle(trial)
    (own_bundles / "broken").mkdir()
    (own_bundles / "broken" / "bundle.json").write_text("{", encoding="utf-8")
    (own_bundles / "README.md").write_text("not a bundle", encoding="utf-8")
    found = models.inventory()
    assert list(found.bundles) == ["trial"]
    assert [path.name for path, _ in found.problems] == ["broken"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_users_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str) -> None:
    monkeypatch.delenv(locations.USER_FOLDER_VARIABLE)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    assert tmp_path in locations.user_folder().parents
    assert locations.user_folder().name == "models"


def test_shipped_bundles_of_this_version_are_whole_and_small() -> None:
    shipped = next((folder for folder in locations.shipped_folders() if folder.is_dir()), None)
    folders = [] if shipped is None else [path.parent for path in shipped.glob("*/bundle.json")]
    if not folders:
        pytest.skip("no bundle ships yet")
    sizes = 0
    for folder in folders:
        bundle = open_bundle(folder)
        models.verify(bundle)
        assert bundle.name == folder.name
        sizes += len(bundle.weights())
    assert sizes < 20e6
