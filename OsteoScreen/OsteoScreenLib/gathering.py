"""Network passes of several studies run as one: a GPU is hardly busy with the few slices of a single study."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from .turns import Turn

#: Slices in one pass on a GPU, where nobody says otherwise: 64 of 256 x 256 in half precision take well under 1 GB in
#: networks of this size, and what does not suffice is run one by one.
MOST_SLICES = 64
#: How long a pass waits for others to join it while other studies still compute [s].
PATIENCE_S = 0.25
#: How often it is looked whether that is over [s].
_LOOK_S = 0.01

Run = Callable[[Tensor], Tensor]


@dataclass(eq=False)
class _Request:
    """What one study wants to pass; ``share_s`` is its share of the seconds that the pass took."""

    inputs: Tensor
    run: Run
    since: float
    values: Tensor | None = None
    error: Exception | None = None
    share_s: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.values is not None or self.error is not None


class Gatherer:
    """Gathers requests of one network and of equal shape into one pass.

    A pass begins when ``most`` slices are there, when no study is left that computes and so might still bring some,
    or `PATIENCE_S` after its first. A study that waits in it stands still, and its turn goes on to the others. Where a
    pass fails, its requests are run one by one, so that nobody suffers for another's.
    """

    def __init__(self, most: int | None = None) -> None:
        """``most`` slices in one pass; None is `MOST_SLICES` on a GPU, and no gathering on the CPU."""
        self._most = most
        self._requests: defaultdict[Hashable, list[_Request]] = defaultdict(list)
        self._led: set[Hashable] = set()
        # Their values are there, and their studies have not woken up yet to compute on.
        self._answered: set[_Request] = set()

    def most_on(self, device: torch.device) -> int:
        """Return how many slices may go together on a device; 1 is none."""
        return self._most or (1 if device.type == "cpu" else MOST_SLICES)

    def run(self, turn: Turn, network: Hashable, device: torch.device, inputs: Tensor, run: Run) -> Tensor:
        """Return what ``run`` makes of ``inputs`` (N, …), which may pass together with other studies'.

        ``network`` stands for the network on its device. Raises what ``run`` raises for these inputs alone.
        """
        key = (network, tuple(inputs.shape[1:]), inputs.dtype)
        request = _Request(inputs, run, time.monotonic())
        with turn.turns.changed:
            self._requests[key].append(request)
        while not request.is_done:
            with turn.away(stands_still=True):
                leads = self._waits(turn, key, request, self.most_on(device))
            if leads:
                self._lead(turn, key, device)
        with turn.turns.changed:
            self._answered.discard(request)
        turn.waited_s -= request.share_s
        if request.error is not None:
            raise request.error
        assert request.values is not None, "a request without an error has values"
        return request.values

    def _waits(self, turn: Turn, key: Hashable, request: _Request, most: int) -> bool:
        """Wait until the request is done (False), or somebody has to run the pass, and it is this thread (True)."""
        changed = turn.turns.changed
        with changed:
            while not request.is_done:
                if key not in self._led and self._is_due(turn, key, most):
                    self._led.add(key)
                    return True
                changed.wait(_LOOK_S)
        return False

    def _is_due(self, turn: Turn, key: Hashable, most: int) -> bool:
        waiting = self._requests.get(key, [])
        if not waiting:
            return False
        slices = sum(len(request.inputs) for request in waiting)
        nobody_computes = turn.turns.is_idle and not self._answered
        return slices >= most or nobody_computes or time.monotonic() - waiting[0].since >= PATIENCE_S

    def _lead(self, turn: Turn, key: Hashable, device: torch.device) -> None:
        """Run one pass; this thread has its turn."""
        with turn.turns.changed:
            batch = self._taken(key, self.most_on(device))
            self._led.discard(key)
        if device.type == "cpu":
            values, errors, seconds = _run(batch)
        else:
            with turn.away():  # the GPU computes, and others may meanwhile
                values, errors, seconds = _run(batch)
        turn.waited_s += seconds  # and less its own share, as for everybody
        slices = sum(len(request.inputs) for request in batch)
        with turn.turns.changed:
            for request, value, error in zip(batch, values, errors, strict=True):
                request.share_s = seconds * len(request.inputs) / slices
                request.values, request.error = value, error
            self._answered.update(batch)
            turn.turns.changed.notify_all()

    def _taken(self, key: Hashable, most: int) -> list[_Request]:
        """Take the requests of one pass, the oldest first: what fits into ``most``, and one at least."""
        waiting = self._requests.pop(key)
        count, slices = 1, len(waiting[0].inputs)
        while count < len(waiting) and slices + len(waiting[count].inputs) <= most:
            slices += len(waiting[count].inputs)
            count += 1
        if waiting[count:]:
            self._requests[key] = waiting[count:]
        return waiting[:count]


def _run(batch: list[_Request]) -> tuple[list[Tensor | None], list[Exception | None], float]:
    """Return values and error of each request, one of which is None, and the seconds that all took."""
    began = time.perf_counter()
    found = _together(batch) or [_alone(request) for request in batch]
    values, errors = zip(*found, strict=True)
    return list(values), list(errors), time.perf_counter() - began


def _together(batch: list[_Request]) -> list[tuple[Tensor | None, Exception | None]]:
    """Run one pass of several; empty where it is of one, or fails."""
    if len(batch) == 1:
        return []
    try:
        values = batch[0].run(torch.cat([request.inputs for request in batch]))
    except Exception:  # whose it is shows when each is run by itself
        return []
    return [(part, None) for part in values.split([len(request.inputs) for request in batch])]


def _alone(request: _Request) -> tuple[Tensor | None, Exception | None]:
    try:
        return request.run(request.inputs), None
    except Exception as error:
        return None, error
