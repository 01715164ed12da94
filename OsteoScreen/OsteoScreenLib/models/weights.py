"""Weights as safetensors: stored at half precision, compared with the architecture, loaded strictly."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import BundleError
from ..networks import build_network


def load_network(architecture: dict[str, Any], content: bytes, name: str) -> nn.Module:
    """Return the network of `architecture` with the weights that the safetensors `content` holds, as float32.

    `name` is the bundle's, for the message.  Raises BundleError when names, shapes or types differ.
    """
    tensors = read_tensors(content, name)
    with torch.device("meta"):
        # On the meta device nothing is drawn at random only to be overwritten.
        network = build_network(architecture)
    differences = _differences(network.state_dict(), tensors)
    if differences:
        raise BundleError(
            f"The weights of the bundle {name} are not those of its architecture {architecture['name']}: "
            f"{_listed(differences)}."
        )
    wanted = network.state_dict()
    network.load_state_dict({key: tensor.to(wanted[key].dtype) for key, tensor in tensors.items()}, assign=True)
    stray = [key for key, tensor in _everything(network) if tensor.is_meta]
    if stray:
        raise BundleError(f"The architecture {architecture['name']} keeps {stray[0]} outside its weights.")
    return network


def read_tensors(content: bytes, name: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file.  Raises BundleError when it is damaged or holds a NaN."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BundleError(f"The weights of the bundle {name} are damaged: {error}.") from error
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise BundleError(
                f"The weights of the bundle {name} are not usable: {key} holds a value that is no number."
            )
    return tensors


def stored_tensors(network: nn.Module, half: bool = True) -> dict[str, torch.Tensor]:
    """Return the tensors of `network` as they are stored: on the CPU, kernels at half precision if `half`.

    Vectors stay float32: they cost next to nothing, and a running variance of a batch norm can lie outside the range
    of half precision (6e-8 to 65504).

    Raises BundleError when a weight is not finite, or becomes so at half precision.
    """
    tensors = {}
    for key, tensor in network.state_dict().items():
        stored = tensor.detach().to("cpu").contiguous()
        if stored.is_floating_point():
            stored = stored.to(torch.float16 if half and stored.ndim >= 2 else torch.float32)
            if not torch.isfinite(stored).all():
                raise BundleError(
                    f"The network cannot be saved: {key} holds a value that is no (half-precision) number."
                )
        # safetensors refuses tensors that share memory.
        tensors[key] = stored.clone()
    return tensors


def _differences(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> list[str]:
    """Return in words how the tensors found differ from the ones wanted."""
    missing = [f"{key} is missing" for key in wanted if key not in found]
    extra = [f"{key} is not part of it" for key in found if key not in wanted]
    shapes = [
        f"{key} is {_shape(found[key])}, not {_shape(tensor)}"
        for key, tensor in wanted.items()
        if key in found and found[key].shape != tensor.shape
    ]
    kinds = [
        f"{key} holds {found[key].dtype}"
        for key, tensor in wanted.items()
        if key in found and found[key].is_floating_point() != tensor.is_floating_point()
    ]
    return shapes + kinds + missing + extra


def _everything(network: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(str(size) for size in tensor.shape) or "a number"


def _listed(items: list[str], most: int = 3) -> str:
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
