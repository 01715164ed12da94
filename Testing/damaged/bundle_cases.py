"""The bundles."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tiny_bundle import silent_network, write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from .table import BUNDLE, LEVELS, REFUSED, Sources, case, copied, write_text


def with_bundle(make: Callable[[Path], Path | str], *more: str) -> Callable[[Sources, Path], list[str]]:
    def words(sources: Sources, folder: Path) -> list[str]:
        bundle = make(copied(sources.bundle, folder))
        return [str(sources.nifti), *LEVELS, "--device", "cpu", "--segmentation-model", str(bundle), *more]

    return words


def described(**changes) -> Callable[[Path], Path]:
    def make(bundle: Path) -> Path:
        document = json.loads((bundle / "bundle.json").read_text())
        (bundle / "bundle.json").write_text(json.dumps({**document, **changes}))
        return bundle

    return make


def weights(change: Callable[[bytes], bytes], rehash: bool = False) -> Callable[[Path], Path]:
    def make(bundle: Path) -> Path:
        import hashlib

        data = change((bundle / "weights.safetensors").read_bytes())
        (bundle / "weights.safetensors").write_bytes(data)
        return described(sha256=hashlib.sha256(data).hexdigest())(bundle) if rehash else bundle

    return make


def without(name: str) -> Callable[[Path], Path]:
    def make(bundle: Path) -> Path:
        (bundle / name).unlink()
        return bundle

    return make


def climbing_zip(bundle: Path) -> Path:
    with zipfile.ZipFile(bundle.parent / "evil.zip", "w") as archive:
        archive.writestr("../../escaped/bundle.json", "{}")
        archive.writestr("../../escaped/weights.safetensors", "x")
    return bundle.parent / "evil.zip"


def with_nan(data: bytes) -> bytes:
    from safetensors.numpy import load, save

    tensors = load(data)
    tensors["output.weight"] = np.full_like(tensors["output.weight"], np.nan)
    return save(tensors)


case("bundle that is not there", BUNDLE, "no-such-bundle")(with_bundle(lambda bundle: "no-such-bundle"))
case("bundle folder that is empty", BUNDLE, "bundle")(
    with_bundle(lambda bundle: (bundle.parent / "void").mkdir() or bundle.parent / "void")
)
case("bundle without its description", BUNDLE, "bundle.json")(with_bundle(without("bundle.json")))
case("bundle without its weights", BUNDLE, "weights")(with_bundle(without("weights.safetensors")))
case("bundle whose description is no JSON", BUNDLE, "JSON")(
    with_bundle(lambda bundle: write_text(bundle, "bundle.json", "{").parent)
)
case("bundle for another role", BUNDLE, "is for classification, not for segmentation")(
    with_bundle(lambda bundle: write_tiny_classifier(bundle.with_name("classifier")))
)
case("bundle that says another role", BUNDLE, "'levels' is a required")(with_bundle(described(role="classification")))
case("bundle whose classes have another order", BUNDLE, "normal, osteopenia, osteoporosis, in this order")(
    with_bundle(
        lambda bundle: described(classes=["osteoporosis", "osteopenia", "normal"])(
            write_tiny_classifier(bundle.with_name("classifier"))
        )
    )
)
case("bundle with an unknown network", BUNDLE, "mystery")(
    with_bundle(described(architecture={"name": "mystery", "parameters": {}}))
)
case("bundle with another width", BUNDLE, "tiny")(
    with_bundle(described(architecture={"name": "unet", "parameters": {"base_width": 4}}))
)
case("bundle whose weights were changed", BUNDLE, "weights")(
    with_bundle(weights(lambda data: data[:-1] + bytes([data[-1] ^ 1])))
)
case("bundle whose weights are cut short", BUNDLE, "weights|tiny")(
    with_bundle(weights(lambda data: data[: len(data) // 2], rehash=True))
)
case("bundle whose weights are a pickle", BUNDLE, "weights|tiny|safetensors")(
    with_bundle(weights(lambda data: pickle.dumps({"weights": [1.0]}), rehash=True))
)
case("bundle zip that climbs out", BUNDLE, "zip|bundle")(with_bundle(climbing_zip))
case("bundle that is a text", BUNDLE, "bundle|zip")(
    with_bundle(lambda bundle: write_text(bundle.parent, "bundle.zip", "no zip"))
)
case("network that finds nothing", REFUSED, "vertebra")(
    with_bundle(lambda bundle: write_tiny_bundle(bundle.parent / "silent", silent_network()))
)
case("network whose weights are no numbers", BUNDLE, "number|finite|NaN")(with_bundle(weights(with_nan, rehash=True)))
case("classifier that is not there", BUNDLE, "no-such-bundle")(
    with_bundle(lambda bundle: bundle, "--classification-model", "no-such-bundle")
)
