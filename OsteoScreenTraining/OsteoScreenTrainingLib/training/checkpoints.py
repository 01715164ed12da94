"""Checkpoints: folders of safetensors and JSON, written whole or not at all, and resumable bit for bit.

``RUN/checkpoints/step-00001000`` holds the weights, their average, the optimiser's and the generators' state;
``RUN/checkpoints/best-00000750`` the averaged weights of the best validation. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from OsteoScreenLib.errors import InputError, UsageError

_STATE = "state.json"


@dataclass
class Counters:
    """Where a run stands. ``step`` steps are done, in ``seconds`` of training; ``stale`` validations have passed
    without a better score than ``best_score``, which was reached at ``best_step``."""

    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_step: int | None = None
    stale: int = 0


def save_checkpoint(
    folder: Path, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any], counters: Counters
) -> None:
    """Write a checkpoint folder under a temporary name and move it into place.

    Args:
        folder: where it goes; it is replaced when it exists.
        tensors: by file name (without ending), tensors by name.
        state: what else is needed, as JSON.
        counters: where the run stands.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        files = {}
        for name, values in tensors.items():
            data = save({key: value.detach().cpu().contiguous() for key, value in values.items()})
            _write(temporary / f"{name}.safetensors", data)
            files[f"{name}.safetensors"] = hashlib.sha256(data).hexdigest()
        text = json.dumps({"counters": asdict(counters), "state": state, "sha256": files}, indent=1)
        _write(temporary / _STATE, text.encode())
        _put_in_place(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _put_in_place(temporary: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        # Until the next line but one is done, `old` is the only whole one; find_checkpoint finds it there.
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any], Counters]:
    """Read a checkpoint: (tensors by file and name, state, counters).

    Raises:
        InputError: it is damaged or incomplete.
    """
    try:
        description = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        tensors = {}
        for name, digest in description["sha256"].items():
            path = folder / name
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise InputError(f"The checkpoint {path} is damaged (its hash does not match).")
            tensors[path.stem] = load_file(path)
        return tensors, description["state"], Counters(**description["counters"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"The checkpoint {folder} cannot be read: {error}.") from error


def find_checkpoint(run: Path, kind: str = "step") -> Path | None:
    """Return the newest checkpoint of a run, of ``kind`` "step" or "best"."""
    folder = run / "checkpoints"
    found = {path.name: path for path in folder.glob(f".{kind}-*.old")}
    found = {name[1 : -len(".old")]: path for name, path in found.items()}
    found |= {path.name: path for path in folder.glob(f"{kind}-*")}
    return found[max(found)] if found else None


def remove_older(folder: Path) -> None:
    """Delete the checkpoints of the same kind that ``folder`` replaces, and what a killed process left of others."""
    kind = folder.name.split("-")[0]
    for other in folder.parent.glob(f"{kind}-*"):
        if other.name < folder.name:
            shutil.rmtree(other, ignore_errors=True)
    for left in folder.parent.glob(f".{kind}-*"):
        shutil.rmtree(left, ignore_errors=True)


def pack_optimiser(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimiser's state as (tensors by name, the rest as JSON)."""
    state = optimiser.state_dict()
    tensors, rest = {}, {}
    for number, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{number}.{key}"] = value
            else:
                rest[f"{number}.{key}"] = value
    return tensors, {"groups": state["param_groups"], "rest": rest}


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
    """Give ``optimiser`` the state that :func:`pack_optimiser` returned."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *rest["rest"].items()]:
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": rest["groups"]})


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load a state dictionary, in any floating-point precision.

    Raises:
        UsageError: names or shapes differ.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UsageError(f"These weights do not fit the configured network: {first}") from error


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's random generators, to keep in a checkpoint."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Put torch's random generators where a checkpoint has them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
