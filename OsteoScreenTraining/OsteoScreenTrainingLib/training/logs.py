"""What a run writes down while it trains: a CSV file and, where tensorboard is installed, its event files."""

from __future__ import annotations

import csv
import importlib.util
import os
from pathlib import Path
from typing import Any

_COLUMNS = ["step", "loss", "learning_rate", "images_per_s", "waiting", "seconds"]


class RunLog:
    """Appends rows to ``RUN/log.csv``; rows after ``step``, which a resumed run repeats, are dropped first."""

    def __init__(self, run: Path, step: int):
        self._path = run / "log.csv"
        self._rows = [row for row in self._read() if int(row["step"]) <= step]
        self._columns = list(dict.fromkeys([*_COLUMNS, *(key for row in self._rows for key in row)]))
        self._rewrite()
        self._board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def _read(self) -> list[dict[str, str]]:
        if not self._path.is_file():
            return []
        with open(self._path, newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]

    def _rewrite(self) -> None:
        temporary = self._path.with_name(self._path.name + ".part")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        os.replace(temporary, self._path)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Write down ``values`` of ``step``; a name that is new becomes a column."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}}
        self._rows.append(row)
        if set(row) <= set(self._columns):
            with open(self._path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(row)
        else:
            self._columns.extend(name for name in row if name not in self._columns)
            self._rewrite()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
