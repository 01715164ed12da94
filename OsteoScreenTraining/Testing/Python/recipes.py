"""The files that the documentation gives as examples, as if they lay in the package that they are written for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest


def recipe(repository: Path, section: str) -> str:
    """Return the first block of Python below a heading of Docs/extending.md."""
    text = (repository / "Docs" / "extending.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {section}\n.*?```python\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"Docs/extending.md has no section {section!r} with an example"
    return found[1]


@contextmanager
def lying_in(package: ModuleType, module: str, text: str, folder: Path, find: Callable[[], None]) -> Iterator[None]:
    """Let a module lie in ``package`` as far as imports go, and be found by ``find``; it is forgotten afterwards."""
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        find()
        try:
            yield
        finally:
            sys.modules.pop(f"{package.__name__}.{module}", None)
            if hasattr(package, module):
                delattr(package, module)
