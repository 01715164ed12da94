"""Model bundles: saved, loaded, checked, and refused with the reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib import models
from OsteoScreenLib.errors import BundleError, UsageError
from OsteoScreenLib.models import files, locations
from OsteoScreenLib.models.bundle import open_bundle
from OsteoScreenLib.networks import build_network

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


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(ARCHITECTURE)


@pytest.fixture(scope="module")
def original(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.save_bundle(tmp_path_factory.mktemp("saved") / "trial", DESCRIPTION, network).path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A bundle that the test may spoil."""
    return Path(shutil.copytree(original, tmp_path / "trial"))


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user's folder, and none that ship."""
    monkeypatch.setenv(locations.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [tmp_path / "shipped"])
    return tmp_path / "own"


def describe(folder: Path, **changes: Any) -> None:
    """Change keys of bundle.json; ``...`` takes one out."""
    file = folder / "bundle.json"
    document = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}), encoding="utf-8")


def reweigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights and state their new hash."""
    tensors = load((folder / "weights.safetensors").read_bytes())
    change(tensors)
    content = save(tensors)
    (folder / "weights.safetensors").write_bytes(content)
    describe(folder, sha256=hashlib.sha256(content).hexdigest())


def zipped(folder: Path, path: Path, prefix: str = "trial/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("bundle.json", "weights.safetensors"):
            archive.write(folder / name, prefix + name)
    return path


def test_network_comes_back_as_it_was_saved(network: torch.nn.Module, folder: Path) -> None:
    bundle = models.load_bundle(folder, "segmentation")
    loaded = bundle.network("cpu")
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = network.eval()(image)
        assert torch.allclose(loaded(image), expected, atol=0.02 * float(expected.abs().max()))
    assert {tensor.dtype for tensor in loaded.state_dict().values()} <= {torch.float32, torch.int64}


def test_kernels_are_stored_at_half_precision_and_statistics_are_not(folder: Path) -> None:
    tensors = load((folder / "weights.safetensors").read_bytes())
    assert {tensor.dtype for tensor in tensors.values() if tensor.ndim >= 2} == {torch.float16}
    assert torch.float16 not in {tensor.dtype for tensor in tensors.values() if tensor.ndim < 2}


def test_full_precision_is_exact(network: torch.nn.Module, tmp_path: Path) -> None:
    loaded = models.save_bundle(tmp_path / "full", DESCRIPTION, network, half=False).network()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize("prefix", ["", "trial/"])
def test_zip_is_as_good_as_its_folder(folder: Path, tmp_path: Path, prefix: str) -> None:
    bundle = models.load_bundle(zipped(folder, tmp_path / "trial.zip", prefix))
    assert bundle.sha256 == models.load_bundle(folder).sha256
    assert isinstance(bundle.network(), torch.nn.Module)


def test_card_tells_what_it_is(folder: Path) -> None:
    card = models.load_bundle(folder).card()
    for words in ("# trial 1.2.0", "simulated images", "| DSC, mean | 0.91 | 5 |", "Apache-2.0", "base_width 4"):
        assert words in card


# -- refused


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, "not the ones it describes"),
        ({"sha256": "abc"}, "sha256"),
        ({"sha256": ...}, "sha256"),
        ({"schema": "osteoscreen-bundle/9"}, "schema"),
        ({"role": "diagnosis"}, "role"),
        ({"name": "../../etc"}, "name"),
        ({"name": "Trial Bundle"}, "name"),
        ({"version": "new"}, "version"),
        ({"licence": ...}, "licence"),
        ({"classes": []}, "classes"),
        ({"preprocessing": {"window_hu": [-275, 850]}}, "preprocessing"),
        ({"preprocessing": {**DESCRIPTION["preprocessing"], "window_hu": [850, -275]}}, "window_hu"),
        ({"preprocessing": {**DESCRIPTION["preprocessing"], "window_hu": [float("nan"), 850]}}, "NaN"),
        ({"architecture": {"name": "transformer", "parameters": {}}}, "transformer"),
        ({"architecture": {"name": "unet", "parameters": {"depth": 99}}}, "unet"),
        ({"architecture": {"name": "study_segmentation", "parameters": {}}}, "not those of its architecture"),
        ({"architecture": {"name": "unet", "parameters": {"base_width": 8}}}, r"is 4 x .*, not 8 x"),
    ],
)
def test_bundle_that_does_not_match_its_description_is_refused(
    folder: Path, changes: dict[str, Any], says: str
) -> None:
    describe(folder, **changes)
    with pytest.raises(BundleError, match=says):
        models.verify(models.load_bundle(folder))


def drop_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[sorted(tensors)[0]]


def add_one(tensors: dict[str, torch.Tensor]) -> None:
    tensors["stowaway"] = torch.zeros(3)


def spoil_one(tensors: dict[str, torch.Tensor]) -> None:
    tensors[sorted(tensors)[0]].view(-1)[0] = float("nan")


def retype_one(tensors: dict[str, torch.Tensor]) -> None:
    name = next(name for name, tensor in tensors.items() if tensor.ndim >= 2)
    tensors[name] = tensors[name].to(torch.int8)


@pytest.mark.parametrize(
    ("change", "says"),
    [(drop_one, "missing"), (add_one, "not part of it"), (spoil_one, "no number"), (retype_one, "holds torch.int8")],
)
def test_weights_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], None], says: str
) -> None:
    reweigh(folder, change)
    with pytest.raises(BundleError, match=says):
        models.load_bundle(folder).network()


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 8 + b"{}", b"PK\x03\x04", b"x" * 1000])
def test_weights_that_are_no_safetensors_are_refused(folder: Path, content: bytes) -> None:
    (folder / "weights.safetensors").write_bytes(content)
    describe(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleError, match="damaged"):
        models.verify(models.load_bundle(folder))


def test_weights_changed_after_loading_are_refused(folder: Path) -> None:
    bundle = models.load_bundle(folder)
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(content))
    with pytest.raises(BundleError, match="not the ones it describes"):
        bundle.network()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_description_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        models.load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        models.load_bundle(folder)


def test_bundle_for_another_role_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="is for segmentation, not for classification"):
        models.load_bundle(folder, "classification")


def test_overflow_at_half_precision_is_not_saved(tmp_path: Path) -> None:
    network = build_network(ARCHITECTURE)
    with torch.no_grad():
        next(parameter for parameter in network.parameters() if parameter.ndim >= 2).fill_(1e6)
    with pytest.raises(BundleError, match="cannot be saved"):
        models.save_bundle(tmp_path / "big", DESCRIPTION, network)
    assert not (tmp_path / "big").exists()


def test_description_of_another_network_is_not_saved(tmp_path: Path, network: torch.nn.Module) -> None:
    wrong = {**DESCRIPTION, "architecture": {"name": "unet", "parameters": {"base_width": 8}}}
    with pytest.raises(BundleError, match="not those of its architecture"):
        models.save_bundle(tmp_path / "wrong", wrong, network)
    assert not (tmp_path / "wrong").exists()


# -- hostile zips


def spoiled_zip(folder: Path, path: Path, name: str, content: bytes = b"x", **attributes: Any) -> Path:
    zipped(folder, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        for key, value in attributes.items():
            setattr(member, key, value)
        archive.writestr(member, content)
    return path


@pytest.mark.parametrize(
    ("name", "attributes", "says"),
    [
        ("../evil.txt", {}, "outside"),
        ("trial/../../evil.md", {}, "outside"),
        ("/etc/evil.txt", {}, "outside"),
        ("C:/evil.txt", {}, "outside"),
        ("trial/link.txt", {"external_attr": 0o120777 << 16}, "symbolic link"),
        ("trial/model.pkl", {}, "does not belong"),
        ("trial/weights.pt", {}, "does not belong"),
        ("trial/setup.py", {}, "does not belong"),
        ("other/weights.safetensors", {}, "more than once"),
        ("trial/deep/er/bundle.json", {}, "too deep"),
    ],
)
def test_hostile_zip_is_refused(
    folder: Path, tmp_path: Path, own: Path, name: str, attributes: dict[str, Any], says: str
) -> None:
    path = spoiled_zip(folder, tmp_path / "evil.zip", name, **attributes)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=says):
        models.import_bundle(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_backslash_in_a_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    path = spoiled_zip(folder, tmp_path / "evil.zip", "..|evil.txt")
    path.write_bytes(path.read_bytes().replace(b"..|evil.txt", b"..\\evil.txt"))
    with pytest.raises(BundleError, match="outside"):
        models.import_bundle(path)


def test_zip_bomb_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "bundle.json", "bundle.json")
        archive.writestr("weights.safetensors", bytes(30_000_000))
    with pytest.raises(BundleError, match="unpacks to far more"):
        models.load_bundle(path)


def test_zip_that_lies_about_a_size_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(folder, tmp_path / "trial.zip")
    opened = open_bundle(path)
    monkeypatch.setitem(files.LIMITS, "weights.safetensors", 100)
    with pytest.raises(BundleError, match="too large"):
        opened.weights()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"not a zip", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trial.zip"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is not a model bundle"):
        models.load_bundle(path)


def test_damaged_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "trial.zip")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError):
        models.load_bundle(path)


def test_what_file_managers_add_to_a_zip_does_no_harm(folder: Path, tmp_path: Path) -> None:
    path = spoiled_zip(folder, tmp_path / "a.zip", "__MACOSX/trial/._bundle.json")
    assert models.load_bundle(path).name == "trial"
    assert models.load_bundle(spoiled_zip(folder, tmp_path / "b.zip", "trial/README.md")).name == "trial"


# -- the store


def test_import_list_export_remove(folder: Path, own: Path, tmp_path: Path) -> None:
    assert models.list_bundles() == []
    imported = models.import_bundle(folder)
    assert imported.path == own / "trial"
    assert [bundle.name for bundle in models.list_bundles()] == ["trial"]
    exported = models.export_bundle("trial", tmp_path)
    assert exported == tmp_path / "trial-1.2.0.zip"
    assert models.remove_bundle("trial") == own / "trial"
    assert models.list_bundles() == []
    again = models.import_bundle(exported, name="other")
    assert (again.name, again.sha256) == ("other", imported.sha256)
    assert models.load_bundle("other", "segmentation").path == own / "other"


def test_import_never_overwrites_silently(folder: Path, own: Path) -> None:
    models.import_bundle(folder)
    describe(folder, version="2.0.0")
    with pytest.raises(BundleError, match="There is a bundle trial already"):
        models.import_bundle(folder)
    assert models.load_bundle("trial").version == "1.2.0"
    assert models.import_bundle(folder, replace=True).version == "2.0.0"
    assert [path.name for path in own.iterdir()] == ["trial"]


def test_export_never_overwrites(folder: Path, tmp_path: Path) -> None:
    models.import_bundle(folder)
    (tmp_path / "here.zip").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        models.export_bundle("trial", tmp_path / "here.zip")
    with pytest.raises(UsageError, match="cannot be written"):
        models.export_bundle("trial", tmp_path / "no" / "such" / "folder.zip")


def test_damaged_bundle_is_not_imported(folder: Path, own: Path) -> None:
    describe(folder, sha256="0" * 64)
    with pytest.raises(BundleError):
        models.import_bundle(folder)
    assert not own.exists()


@pytest.mark.parametrize("name", ["../up", "A", "", "con", ".hidden", "a/b", "a b"])
def test_impossible_name_is_refused(folder: Path, name: str, own: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a bundle"):
        models.import_bundle(folder, name)
    assert not own.exists()


def test_unknown_name_lists_the_known(folder: Path) -> None:
    with pytest.raises(BundleError, match="'nothing'; available: none"):
        models.load_bundle("nothing")
    models.import_bundle(folder)
    with pytest.raises(BundleError, match="'nothing'; available: trial"):
        models.load_bundle("nothing")
    with pytest.raises(BundleError, match="There is no bundle at"):
        models.load_bundle("no/such/folder")


def test_shipped_bundle_is_the_default_and_stays(folder: Path, tmp_path: Path, own: Path) -> None:
    assert models.default_bundle("segmentation") is None
    describe(folder, default=True)
    shutil.copytree(folder, tmp_path / "shipped" / "trial")
    bundle = models.default_bundle("segmentation")
    assert bundle is not None
    assert bundle.path == tmp_path / "shipped" / "trial"
    assert models.is_shipped(bundle)
    assert models.default_bundle("classification") is None
    with pytest.raises(BundleError, match="shipped"):
        models.import_bundle(folder)
    with pytest.raises(BundleError, match="shipped"):
        models.remove_bundle("trial")
    imported = models.import_bundle(folder, name="mine")
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


def test_damaged_shipped_bundle_is_an_error_not_an_absence(folder: Path, tmp_path: Path) -> None:
    describe(folder, default=True)
    damaged = Path(shutil.copytree(folder, tmp_path / "shipped" / "trial"))
    (damaged / "bundle.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match="Install OsteoScreen again"):
        models.default_bundle("segmentation")


def test_a_damaged_bundle_does_not_hide_the_others(folder: Path, own: Path) -> None:
    models.import_bundle(folder)
    (own / "broken").mkdir()
    (own / "broken" / "bundle.json").write_text("{", encoding="utf-8")
    (own / "README.md").write_text("not a bundle", encoding="utf-8")
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
