"""The wheel holds all that the installed program needs, and runs by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

LIBRARIES = {"OsteoScreenLib": "OsteoScreen", "OsteoScreenTrainingLib": "OsteoScreenTraining"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository) -> Path:
    pytest.importorskip("setuptools", reason="building a wheel needs setuptools")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE.txt"):
        shutil.copy(repository / name, source)
    for name in LIBRARIES.values():
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "Testing"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(source / "dist"),
        str(source),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return next((source / "dist").glob("osteoscreen-*.whl"))


def test_it_holds_every_module_template_schema_and_shipped_bundle(wheel, repository):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = set()
    for library, module in LIBRARIES.items():
        root = repository / module / library
        wanted |= {
            f"{library}/{path.relative_to(root).as_posix()}"
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    models = repository / "OsteoScreen" / "Resources" / "Models"
    wanted |= {
        f"OsteoScreenLib/shipped_models/{path.relative_to(models).as_posix()}"
        for path in models.glob("*/*")
        if path.is_file()
    }
    assert not wanted - held
    assert not [name for name in held if "Testing" in name]


def test_it_runs_by_itself(wheel, repository, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OSTEOSCREEN_MODELS": str(tmp_path / "none")}
    command = [
        sys.executable,
        "-c",
        "import OsteoScreenLib as o, sys; print(o.__file__, file=sys.stderr)\n"
        "from OsteoScreenLib.cli import main; sys.exit(main(['models', 'list']))",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stderr
    assert str(tmp_path) in answer.stderr
    shipped = [path.parent.name for path in (repository / "OsteoScreen" / "Resources" / "Models").glob("*/bundle.json")]
    assert all(name in answer.stdout for name in shipped)
