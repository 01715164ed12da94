"""The fixture ``host``: Slicer's scripted modules without Slicer (see slicer_host/README.md).

The host starts in the first test that asks for it; a process whose tests do not ask for it never imports Qt or VTK.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def started_host() -> Any:
    """Start the host once in a process, or skip where its packages are not installed."""
    import slicer_host

    lacking = slicer_host.missing()
    if lacking:
        pytest.skip(f"the Slicer host cannot start: {lacking}")
    slicer_host.start()
    return slicer_host


@pytest.fixture
def host(started_host: Any) -> Iterator[Any]:
    """Give the host with an empty scene, no module and nothing noted; take down what the test leaves."""
    started_host.reset()
    yield started_host
    started_host.reset()


@pytest.fixture
def slicer(host: Any) -> Any:
    """Give the package ``slicer``, which can be imported once the host is there."""
    import slicer

    return slicer


@pytest.fixture
def panel(host: Any) -> Any:
    """Give the widget of the host's example module, entered."""
    from slicer_host_data import EXAMPLE

    host.load_module(EXAMPLE)
    return host.enter("HostExample")
