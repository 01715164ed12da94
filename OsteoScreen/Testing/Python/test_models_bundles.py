"""Model bundles: saved, loaded, checked, and refused with the reason."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from trial_bundle import ARCHITECTURE, DESCRIPTION, describe
from trial_bundle import own_bundles as own_bundles
from trial_bundle import saved_trial as saved_trial
from trial_bundle import trial as trial
from trial_bundle import trial_network as trial_network

from OsteoScreenLib import models
from OsteoScreenLib.errors import BundleError
from OsteoScreenLib.models import files
from OsteoScreenLib.models.bundle import open_bundle
from OsteoScreenLib.networks import build_network

pytestmark = pytest.mark.usefixtures("own_bundles")


def reweigh(trial: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights and state their new hash."""
    tensors = load((trial / "weights.safetensors").read_bytes())
    change(tensors)
    content = save(tensors)
    (trial / "weights.safetensors").write_bytes(content)
    describe(trial, sha256=hashlib.sha256(content).hexdigest())


def zipped(trial: Path, path: Path, prefix: str = "trial/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("bundle.json", "weights.safetensors"):
            archive.write(trial / name, prefix + name)
    return path


def test_network_comes_back_as_it_was_saved(trial_network: torch.nn.Module, trial: Path) -> None:
    bundle = models.load_bundle(trial, "segmentation")
    loaded = bundle.network("cpu")
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = trial_network.eval()(image)
        assert torch.allclose(loaded(image), expected, atol=0.02 * float(expected.abs().max()))
    assert {tensor.dtype for tensor in loaded.state_dict().values()} <= {torch.float32, torch.int64}


def test_kernels_are_stored_at_half_precision_and_statistics_are_not(trial: Path) -> None:
    tensors = load((trial / "weights.safetensors").read_bytes())
    assert {tensor.dtype for tensor in tensors.values() if tensor.ndim >= 2} == {torch.float16}
    assert torch.float16 not in {tensor.dtype for tensor in tensors.values() if tensor.ndim < 2}


def test_full_precision_is_exact(trial_network: torch.nn.Module, tmp_path: Path) -> None:
    loaded = models.save_bundle(tmp_path / "full", DESCRIPTION, trial_network, half=False).network()
    for name, tensor in trial_network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize("prefix", ["", "trial/"])
def test_zip_is_as_good_as_its_folder(trial: Path, tmp_path: Path, prefix: str) -> None:
    bundle = models.load_bundle(zipped(trial, tmp_path / "trial.zip", prefix))
    assert bundle.sha256 == models.load_bundle(trial).sha256
    assert isinstance(bundle.network(), torch.nn.Module)


def test_card_tells_what_it_is(trial: Path) -> None:
    card = models.load_bundle(trial).card()
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
def test_bundle_that_does_not_match_its_description_is_refused(trial: Path, changes: dict[str, Any], says: str) -> None:
    describe(trial, **changes)
    with pytest.raises(BundleError, match=says):
        models.verify(models.load_bundle(trial))


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
    trial: Path, change: Callable[[dict[str, torch.Tensor]], None], says: str
) -> None:
    reweigh(trial, change)
    with pytest.raises(BundleError, match=says):
        models.load_bundle(trial).network()


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 8 + b"{}", b"PK\x03\x04", b"x" * 1000])
def test_weights_that_are_no_safetensors_are_refused(trial: Path, content: bytes) -> None:
    (trial / "weights.safetensors").write_bytes(content)
    describe(trial, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleError, match="damaged"):
        models.verify(models.load_bundle(trial))


def test_weights_changed_after_loading_are_refused(trial: Path) -> None:
    bundle = models.load_bundle(trial)
    content = bytearray((trial / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (trial / "weights.safetensors").write_bytes(bytes(content))
    with pytest.raises(BundleError, match="not the ones it describes"):
        bundle.network()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_description_that_is_no_json_object_is_refused(trial: Path, content: bytes) -> None:
    (trial / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        models.load_bundle(trial)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_missing_file_is_named(trial: Path, name: str) -> None:
    (trial / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        models.load_bundle(trial)


def test_bundle_for_another_role_is_refused(trial: Path) -> None:
    with pytest.raises(BundleError, match="is for segmentation, not for classification"):
        models.load_bundle(trial, "classification")


def test_overflow_at_half_precision_is_not_saved(tmp_path: Path) -> None:
    trial_network = build_network(ARCHITECTURE)
    with torch.no_grad():
        next(parameter for parameter in trial_network.parameters() if parameter.ndim >= 2).fill_(1e6)
    with pytest.raises(BundleError, match="cannot be saved"):
        models.save_bundle(tmp_path / "big", DESCRIPTION, trial_network)
    assert not (tmp_path / "big").exists()


def test_description_of_another_network_is_not_saved(tmp_path: Path, trial_network: torch.nn.Module) -> None:
    wrong = {**DESCRIPTION, "architecture": {"name": "unet", "parameters": {"base_width": 8}}}
    with pytest.raises(BundleError, match="not those of its architecture"):
        models.save_bundle(tmp_path / "wrong", wrong, trial_network)
    assert not (tmp_path / "wrong").exists()


# -- hostile zips


def spoiled_zip(trial: Path, path: Path, name: str, content: bytes = b"x", **attributes: Any) -> Path:
    zipped(trial, path)
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
    trial: Path, tmp_path: Path, own_bundles: Path, name: str, attributes: dict[str, Any], says: str
) -> None:
    path = spoiled_zip(trial, tmp_path / "evil.zip", name, **attributes)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=says):
        models.import_bundle(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_backslash_in_a_zip_is_refused(trial: Path, tmp_path: Path) -> None:
    path = spoiled_zip(trial, tmp_path / "evil.zip", "..|evil.txt")
    path.write_bytes(path.read_bytes().replace(b"..|evil.txt", b"..\\evil.txt"))
    with pytest.raises(BundleError, match="outside"):
        models.import_bundle(path)


def test_zip_bomb_is_refused(trial: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(trial / "bundle.json", "bundle.json")
        archive.writestr("weights.safetensors", bytes(30_000_000))
    with pytest.raises(BundleError, match="unpacks to far more"):
        models.load_bundle(path)


def test_zip_that_lies_about_a_size_is_refused(trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(trial, tmp_path / "trial.zip")
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


def test_damaged_zip_is_refused(trial: Path, tmp_path: Path) -> None:
    path = zipped(trial, tmp_path / "trial.zip")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError):
        models.load_bundle(path)


def test_what_file_managers_add_to_a_zip_does_no_harm(trial: Path, tmp_path: Path) -> None:
    path = spoiled_zip(trial, tmp_path / "a.zip", "__MACOSX/trial/._bundle.json")
    assert models.load_bundle(path).name == "trial"
    assert models.load_bundle(spoiled_zip(trial, tmp_path / "b.zip", "trial/README.md")).name == "trial"
