"""A machine on which no bundle is installed, so that what takes part is what a test names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from OsteoScreenLib.models import locations


@contextmanager
def no_bundles(empty: Path) -> Iterator[None]:
    """No bundle ships and the user has none, meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(locations.USER_FOLDER_VARIABLE, str(empty / "own"))
        patch.setattr("OsteoScreenLib.models.store.shipped_folders", lambda: [empty / "shipped"])
        yield
