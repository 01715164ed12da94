"""What a run writes down while it trains: a CSV file and, where tensorboard is installed, its event files."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import time
from pathlib import Path
from typing import Any

#: How often a file is tried to be replaced, and the seconds between two tries.
_TRIES, _WAIT_S = 20, 0.1
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
        text = self._path.read_bytes().decode("utf-8", "replace")
        # A process that was killed may have left half a row at the end.
        whole = text[: text.rfind("\n") + 1]
        rows = csv.DictReader(io.StringIO(whole, newline=""))
        return [row for row in rows if (row.get("step") or "").isdigit()]

    def _rewrite(self) -> None:
        temporary = self._path.with_name(self._path.name + ".part")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        _replace(temporary, self._path)

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


def _replace(temporary: Path, path: Path) -> None:
    """Give a file its name; on Windows that has to wait while somebody reads the old one."""
    for _ in range(_TRIES - 1):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(_WAIT_S)
    os.replace(temporary, path)
