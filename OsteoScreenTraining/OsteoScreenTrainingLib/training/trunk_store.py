"""Simulated trunks for the localiser, each made once, when it is first asked for, and kept in a folder."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.localisation.channels import CHANNELS, GRID_MM
from OsteoScreenLib.results_io import write_text_atomically

from ..simulation.trunk3d import GENERATOR, simulate_trunk
from .localisation_targets import make_targets, upright

HEADER = "trunks.json"
SCHEMA = "osteoscreen-localisation-trunks/1"


@dataclass(frozen=True)
class Trunk:
    """A trunk from foot to head: HU (slices, rows, columns) int16, and the targets that :func:`make_targets` makes."""

    hu: NDArray[np.int16]
    targets: NDArray[np.uint8]


class TrunkStore:
    """The trunks of the stream ``seed`` in ``folder``; several processes may share it.

    ``workers`` are processes that simulate ahead of need; with 0 a trunk is simulated when it is read.

    Raises:
        UsageError: the folder holds something else.
    """

    def __init__(self, folder: Path, seed: int, workers: int = 0):
        self.folder, self.seed = Path(folder), seed
        _claim(self.folder)
        self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) if workers else None
        self._made: dict[int, Future[None]] = {}

    def ask(self, indices: Sequence[int]) -> None:
        """Have trunks simulated that will be read soon."""
        if self._pool is None:
            return
        for index in indices:
            if index not in self._made and not self._paths(index)[1].is_file():
                self._made[index] = self._pool.submit(partial(_make, self.folder, self.seed, index))

    def read(self, index: int) -> Trunk:
        """Return trunk ``index``, simulated first where it is not there yet.

        Raises:
            InputError: its files are damaged.
            OsteoScreenError: it cannot be written.
        """
        hu, targets = self._paths(index)
        asked = self._made.pop(index, None)
        if asked is not None:
            asked.result()
        elif not targets.is_file():
            _make(self.folder, self.seed, index)
        try:
            # Mapped: a step reads a part of a trunk.
            return Trunk(np.load(hu, mmap_mode="r"), np.load(targets, mmap_mode="r"))
        except (OSError, ValueError) as error:
            raise InputError(f"{hu.name} is damaged; delete the folder {self.folder}, it is made again.") from error

    def check_still_there(self) -> None:
        """Raise InputError when the folder is gone."""
        if not (self.folder / HEADER).is_file():
            raise InputError(f"The folder of simulated trunks {self.folder} is no longer there.")

    def _paths(self, index: int) -> tuple[Path, Path]:
        return _paths(self.folder, self.seed, index)


def _claim(folder: Path) -> None:
    """Make the folder, or find that it holds trunks of this generator."""
    wanted = {
        "schema": SCHEMA, "kind": "simulated", "generator": GENERATOR, "grid_mm": list(GRID_MM),
        "channels": len(CHANNELS),
    }  # fmt: skip
    header = folder / HEADER
    if header.is_file():
        try:
            found = json.loads(header.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{header} cannot be read: {error}.") from error
        if found != wanted:
            raise UsageError(f"{folder} holds trunks of another generator or grid; name another folder with --data.")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something other than simulated trunks; name a new folder with --data.")
    write_text_atomically(json.dumps(wanted, indent=1) + "\n", header)


def _paths(folder: Path, seed: int, index: int) -> tuple[Path, Path]:
    return tuple(folder / f"trunk-{seed}-{index:05d}.{part}.npy" for part in ("hu", "targets"))  # type: ignore[return-value]


def _make(folder: Path, seed: int, index: int) -> None:
    """Simulate one trunk and write it; its second file appears last, and each one whole or not at all."""
    trunk = simulate_trunk(seed, index, spacing_mm=GRID_MM)
    hu, labels, matrix = upright(trunk)
    arrays: tuple[NDArray, NDArray] = (hu, make_targets(labels, matrix, trunk.truth))
    for path, array in zip(_paths(folder, seed, index), arrays, strict=True):
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("wb") as stream:
            np.save(stream, array)
        os.replace(temporary, path)
