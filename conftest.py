"""What every test may use: the real CT beside the repository, where it is there, and quiet libraries."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Before torch or matplotlib is imported: tests run in parallel, one thread each, and without a display.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

REPOSITORY = Path(__file__).resolve().parent

# Tests that a shell started in its background ignore interrupts, and so would every command that they interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real CT that lies beside the repository (never inside it), or skip."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real CT is not on this machine: no {folder}")
    return folder
