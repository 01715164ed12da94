"""The networks by name: adding one is adding one class with a decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from torch import nn

Role = Literal["segmentation", "classification", "localisation"]
#: The architectures that a bundle or a training's configuration may name, and what each is made for.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {}
ROLES: dict[str, Role] = {}

Network = TypeVar("Network", bound=Callable[..., nn.Module])


def architecture(name: str, role: Role) -> Callable[[Network], Network]:
    """Register a network under the name that bundles give it, which never changes: a bundle holds no code.

    Slices or volumes in, (N, channels, …): a ``segmentation`` returns logits of the slice's size (N, 1, rows, columns),
    a ``classification`` values (N, 3) whose softmax are the probabilities, a ``localisation`` what
    :mod:`OsteoScreenLib.localisation.channels` lists.

    Raises ValueError where another has that name.
    """
    if name in ARCHITECTURES:
        raise ValueError(f"There is a network {name!r} already.")

    def register(network: Network) -> Network:
        ARCHITECTURES[name], ROLES[name] = network, role
        return network

    return register
