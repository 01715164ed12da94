"""Which samples a step sees: an endless stream of shuffled epochs, and a part of a data set, both by seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class ShuffledEpochs:
    """The places 0 to ``size`` - 1 in a new order each epoch, which follows from ``seed`` and the epoch."""

    def __init__(self, size: int, seed: int):
        self._size, self._seed = size, seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def __getitem__(self, position: int) -> int:
        """Return the place at ``position`` of the stream."""
        epoch, place = divmod(position, self._size)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self._seed, 1_000_003, epoch)).permutation(self._size)
        return int(self._order[place])


def some_of(items: Sequence[T], most: int, seed: int) -> list[T]:
    """Return ``most`` of the items in their order, drawn by ``seed``, fewer among more; all of them when it is 0."""
    if not 0 < most < len(items):
        return list(items)
    order = np.random.default_rng([seed, 1_000_019]).permutation(len(items))
    return [items[place] for place in sorted(order[:most])]
