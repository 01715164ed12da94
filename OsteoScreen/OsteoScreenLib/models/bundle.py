"""A model bundle: what a network is, what it was trained on, what it scores, and its weights.

A bundle is a folder, or a zip of it, with ``bundle.json`` (schema: ``bundle.schema.json`` beside this module) and
``weights.safetensors``. It is never a pickle, so opening one runs nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..documents import schema_problem, strict_json
from ..errors import BundleError
from ..results import BONE_STATUSES
from .files import DESCRIPTION, WEIGHTS, BundleFiles, open_files

if TYPE_CHECKING:
    import torch

SCHEMA = "osteoscreen-bundle/1"
SCHEMA_PATH = Path(__file__).with_name("bundle.schema.json")

Role = Literal["segmentation", "classification", "localisation"]


@dataclass(frozen=True)
class Bundle:
    """A described network; its weights are read, and checked again, when :meth:`network` is called.

    ``sha256`` is that of the weights file. ``description`` is the whole of ``bundle.json``.
    """

    files: BundleFiles = field(repr=False)
    description: dict[str, Any] = field(repr=False)
    name: str
    version: str
    role: Role
    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    classes: tuple[str, ...]
    sha256: str

    @property
    def path(self) -> Path:
        """The bundle's folder or zip file."""
        return self.files.path

    def weights(self) -> bytes:
        """Return the bytes of the weights file.  Raises BundleError when they are not the ones described."""
        content = self.files.read(WEIGHTS)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise BundleError(
                f"The weights of the bundle {self.name} are not the ones it describes: their SHA-256 is {found[:12]}…, "
                f"not {self.sha256[:12]}…; get the bundle again."
            )
        return content

    def network(self, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> torch.nn.Module:
        """Return the network with its weights, in evaluation mode, on `device`, as `dtype` (default float32).

        Raises BundleError when the weights are damaged, or are not those of the architecture.
        """
        import torch

        from .weights import load_network

        network = load_network(self.architecture, self.weights(), self.name)
        return network.to(device=device, dtype=dtype or torch.float32).eval().requires_grad_(False)

    def card(self) -> str:
        """Return the bundle's card: what it is, was trained on and scores, in Markdown."""
        from .card import card

        return card(self)


@lru_cache(maxsize=1)
def bundle_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `bundle.json`."""
    schema: dict[str, Any] = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    return schema


def open_bundle(path: Path) -> Bundle:
    """Return the bundle at a folder or zip file, its description checked and its weights not read yet.

    Raises BundleError when there is none, or it does not describe itself as a bundle must.
    """
    files = open_files(path)
    try:
        description = strict_json(files.read(DESCRIPTION))
    except ValueError as error:
        raise BundleError(f"{DESCRIPTION} of the bundle {path} is not valid JSON: {error}.") from error
    problem = description_problem(description)
    if problem:
        raise BundleError(f"{DESCRIPTION} of the bundle {path} is not valid: {problem}.")
    return Bundle(
        files=files,
        description=description,
        name=description["name"],
        version=description["version"],
        role=description["role"],
        architecture=description["architecture"],
        preprocessing=description["preprocessing"],
        classes=tuple(description["classes"]),
        sha256=description["sha256"],
    )


def description_problem(description: Any) -> str | None:
    """Return where and why a `bundle.json` document is not valid, in words, or None."""
    problem = schema_problem(description, bundle_schema())
    if problem is not None:
        return problem
    low, high = description["preprocessing"]["window_hu"]
    if not low < high:
        return f"$.preprocessing.window_hu: {low} is not below {high}"
    return _classification_problem(description) if description["role"] == "classification" else None


def _classification_problem(description: dict[str, Any]) -> str | None:
    """Return how the parts of a classification's description contradict each other or the result, or None."""
    if tuple(description["classes"]) != BONE_STATUSES:
        return f"$.classes: a classification has the classes {', '.join(BONE_STATUSES)}, in this order"
    parameters, levels = description["architecture"]["parameters"], description["preprocessing"]["levels"]
    if parameters["in_channels"] != len(levels):
        return (
            f"$.architecture.parameters.in_channels: {parameters['in_channels']} is not the number of levels, "
            f"{len(levels)} ({', '.join(levels)})"
        )
    if parameters.get("classes", len(BONE_STATUSES)) != len(BONE_STATUSES):
        return f"$.architecture.parameters.classes: {parameters['classes']} is not the number of classes, 3"
    return None
