"""What every test may use: the real CT beside the repository, where it is there, and quiet libraries."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch or matplotlib is imported: tests run in parallel, one thread each, and without a display.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples in every run, and no bounds on time: neither luck nor a busy machine fails a test. Others are tried
# with --hypothesis-profile=default.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

REPOSITORY = Path(__file__).resolve().parent

# Tests that a shell started in its background ignore interrupts, and so would every command that they interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, each process with its share of them: none is then left to run alone at the end."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        items[:] = _slow_first(items, processes)


def _slow_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests in as many equal parts, as xdist's worksteal deals them out, with slow ones at each part's head.

    Slow tests that are marked ``together`` share what is costly to set up, and stay in one part.
    """
    slow: dict[object, list[pytest.Item]] = {}
    for item in items:
        marker = item.get_closest_marker("slow")
        if marker is not None:
            slow.setdefault(item.path if marker.kwargs.get("together") else item.nodeid, []).append(item)
    heads = [[item for group in list(slow.values())[part::processes] for item in group] for part in range(processes)]
    others = iter([item for item in items if item.get_closest_marker("slow") is None])
    ordered: list[pytest.Item] = []
    for part, head in enumerate(heads):
        end = len(items) * (part + 1) // processes
        ordered += [*head, *itertools.islice(others, max(end - len(ordered) - len(head), 0))]
    return [*ordered, *others]


@pytest.fixture(scope="session", autouse=True)
def _no_step_is_long() -> None:
    """Let no command tell of a step that takes a second, as any does on a busy machine: what is long, tests say."""
    from OsteoScreenLib.cli import console

    console.QUIET_S = 3600.0


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


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Return what runs Chromium without a screen, in a new profile, and returns what it printed; or skip."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        pytest.skip("no Chromium on this machine")

    def run(*arguments: str) -> bytes:
        profile = tmp_path_factory.mktemp("profile")
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--disable-dev-shm-usage",  # containers often have 64 MB there
            f"--user-data-dir={profile}", *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "HOME": str(profile)}
        return subprocess.run(command, capture_output=True, timeout=300, check=True, env=environment).stdout

    return run
