"""A trained network becomes a bundle."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BundleError
from .bundle import SCHEMA, Bundle, description_problem, open_bundle
from .store import write_bundle

if TYPE_CHECKING:
    from torch import nn


def save_bundle(
    folder: str | os.PathLike[str],
    description: dict[str, Any],
    network: nn.Module,
    half: bool = True,
    replace: bool = False,
) -> Bundle:
    """Write `network` as a bundle and return it; what was written loads.

    `description` is ``bundle.json`` without ``schema`` and ``sha256``, which are filled in. With `half`, kernels are
    stored at half precision. A bundle in `folder` is only replaced with `replace`.

    Raises BundleError when the description is not valid or not that of the network, or the folder exists.
    """
    from safetensors.torch import save

    from .weights import load_network, stored_tensors

    weights = save(stored_tensors(network, half))
    full = {"schema": SCHEMA, **description, "sha256": hashlib.sha256(weights).hexdigest()}
    problem = description_problem(full)
    if problem:
        raise BundleError(f"The description of the bundle is not valid: {problem}.")
    load_network(full["architecture"], weights, full["name"])
    target = Path(folder)
    write_bundle(target, full, weights, replace=replace)
    return open_bundle(target)
