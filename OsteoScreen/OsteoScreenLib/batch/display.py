"""How a batch goes, for whoever watches: one living line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, TextIO

from .study import State

#: The throughput is that of the last minutes [s], or of the last so many studies.
_WINDOW_S, _MOST_ENDS = 600.0, 10_000
#: How often a plain line is written [s].
_LINE_S = 60.0
#: How often the living line is drawn [s].
_DRAW_S = 0.5
_SHOWN = (State.SCREENED, State.REFUSED, State.FAILED, State.NEEDS_LEVELS)


class Display:
    """Shows states, studies an hour and the time that is left; ``counts`` is what the store has at the beginning."""

    def __init__(self, counts: dict[State, int], stream: TextIO | None = None) -> None:
        self._counts = dict(counts)
        self._stream = stream or sys.stderr
        self._total = sum(counts.values())
        self._since = self._said = time.monotonic()
        self._drawn = -_DRAW_S
        self._ends: deque[float] = deque()
        self._bar: Any = None
        if self._stream.isatty():
            from tqdm import tqdm

            layout = "{percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} {desc}"
            self._bar = tqdm(total=self._total, file=self._stream, dynamic_ncols=True, leave=True, bar_format=layout)

    def ended(self, state: State) -> None:
        """A study has reached a final state."""
        self._counts[state] += 1
        self._ends.append(time.monotonic())

    def tick(self, in_flight: int, threads: int) -> None:
        """Time has passed."""
        now = time.monotonic()
        if self._bar is not None and now - self._drawn >= _DRAW_S:
            self._drawn = now
            self._draw(threads)
        elif self._bar is None and now - self._said >= _LINE_S:
            self._said = now
            print(f"{self._done} of {self._total}: {self.words(threads)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._draw(1)
            self._bar.close()

    def words(self, threads: int) -> str:
        """Return the counts, and speed and time left where they can be told."""
        told = ", ".join(f"{state.value} {self._counts[state]}" for state in _SHOWN if self._counts[state])
        parts = [told or "nothing yet"]
        if not threads:
            parts.append("waiting for workers")
        speed = self._per_second()
        if speed:
            parts.append(f"{speed * 3600:.0f} an hour")
            if self._done < self._total:
                parts.append(f"{_span((self._total - self._done) / speed)} left")
        return "; ".join(parts)

    @property
    def _done(self) -> int:
        return sum(self._counts[state] for state in _SHOWN)

    def _per_second(self) -> float:
        now = time.monotonic()
        while self._ends and (now - self._ends[0] > _WINDOW_S or len(self._ends) > _MOST_ENDS):
            self._since = self._ends.popleft()
        return len(self._ends) / max(now - self._since, 1e-3) if len(self._ends) > 1 else 0.0

    def _draw(self, threads: int) -> None:
        self._bar.n = self._done
        self._bar.set_description_str(self.words(threads), refresh=False)
        self._bar.refresh()


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
