"""The networks by name: adding one is adding one class with a decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

#: The architectures that a bundle or a training's configuration may name.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {}

Network = TypeVar("Network", bound=Callable[..., nn.Module])


def architecture(name: str) -> Callable[[Network], Network]:
    """Register a network under the name that bundles give it, which never changes: a bundle holds no code.

    Raises ValueError where another has that name.
    """
    if name in ARCHITECTURES:
        raise ValueError(f"There is a network {name!r} already.")

    def register(network: Network) -> Network:
        ARCHITECTURES[name] = network
        return network

    return register
