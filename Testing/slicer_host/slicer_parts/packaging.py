"""Stands for ``slicer.packaging``: says what is installed, and never installs; a test can see what was asked for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import slicer
from packaging.requirements import Requirement
from slicer_host.noting import records


def load_requirements(path: str | Path) -> list[Requirement]:
    """Read a requirements file; comments and options are left out."""
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def _requirements(given: Any) -> list[Requirement]:
    if isinstance(given, str):
        return [Requirement(text) for text in given.split()]
    return [Requirement(str(one)) for one in ([given] if isinstance(given, Requirement) else given)]


def pip_check(req: Any) -> bool:
    """Say whether requirements are met here (extras are not looked into)."""
    for requirement in _requirements(req):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            if version(requirement.name) not in requirement.specifier:
                return False
        except PackageNotFoundError:
            return False
    return True


def pip_ensure(
    requirements: Any,
    constraints: Any = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> None:
    """Ask, as the real one does, whether to install what is missing; then raise, for the host does not install."""
    missing = [str(r) for r in _requirements(requirements) if not pip_check(r)]
    records.packages.append({"call": "pip_ensure", "missing": missing, "requester": requester})
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return
    if prompt_install and not slicer.util.confirmOkCancelDisplay(
        f"{len(missing)} Python packages are missing. Install?",
        f"{requester or ''} - install",
        detailedText="\n".join(missing),
    ):
        raise RuntimeError("the installation of Python packages was declined")
    pip_install(missing, requester=requester)


def pip_install(requirements: Any, **options: Any) -> None:
    """Refuse, and note it."""
    records.packages.append({"call": "pip_install", "requirements": requirements, **options})
    raise RuntimeError(f"the host does not install packages ({requirements})")


def pip_uninstall(requirements: Any, **options: Any) -> None:
    """Refuse, and note it."""
    records.packages.append({"call": "pip_uninstall", "requirements": requirements, **options})
    raise RuntimeError(f"the host does not remove packages ({requirements})")
