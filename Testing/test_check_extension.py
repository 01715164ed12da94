"""What Slicer's extension index checks holds here, and each check fails where the thing that it looks at is broken."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parent))
import check_extension
from extension_index import CHECKS, Extension, NotChecked

ENTRY, CMAKE, MODULE = "Resources/OsteoScreen.json", "CMakeLists.txt", "OsteoScreen/OsteoScreen.py"
LIST, ICON = "OsteoScreen/CMakeLists.txt", "OsteoScreen/Resources/Icons/OsteoScreen.png"
URL = "https://raw.githubusercontent.com/OsteoScreen/SlicerOsteoScreen/main"

#: Changes the copy of the repository at the folder that it is given.
Break = Callable[[Path], None]


def edit(path: str, old: str, new: str) -> Break:
    """Return a break that replaces a part of a file that is surely there."""

    def change(root: Path) -> None:
        content = (root / path).read_bytes()
        assert old.encode() in content, f"{path} has no {old!r}"
        (root / path).write_bytes(content.replace(old.encode(), new.encode(), 1))

    return change


def write(path: str, content: bytes) -> Break:
    """Return a break that writes a file."""
    return lambda root: (root / path).write_bytes(content) and None


def remove(path: str) -> Break:
    """Return a break that removes a file."""
    return lambda root: (root / path).unlink()


def small_icon(root: Path) -> None:
    Image.new("RGBA", (64, 64)).save(root / ICON)


def no_pages(root: Path) -> None:
    (root / "README.md").write_text("# OsteoScreen\n")
    shutil.rmtree(root / "Docs")


def huge_history(root: Path) -> None:
    """Commit a file that packs well and unpacks to more than a clone may have."""
    with open(root / "huge.dat", "wb") as file:
        file.truncate(101_000_000)
    git(root, "add", "huge.dat")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "huge", "--", "huge.dat")


def large_file(root: Path) -> None:
    with open(root / "large.dat", "wb") as file:
        file.truncate(16_000_000)


def git(root: Path, *words: str) -> str:
    """Return what git prints, whatever its user's settings and the hook that may have started the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


#: (check, what is broken, part of the sentence that tells it)
BREAKS: list[tuple[str, Break, str]] = [
    ("entry", edit(ENTRY, '"tier": 3', '"tier": 6'), "$.tier"),
    ("entry", edit(ENTRY, '"tier": 3', '"tier": 3, "homepage": ""'), "homepage"),
    ("entry", edit(ENTRY, "v1.0.2", "v1.0.1"), "$['$schema']"),
    ("entry", edit(ENTRY, "\n", "\r\n"), "carriage return"),
    ("entry", edit(ENTRY, "{", ""), "not JSON"),
    ("entry", write("Resources/Other.json", b"{}"), "2 JSON files"),
    ("name", edit(CMAKE, "project(OsteoScreen)", "project(OsteoScan)"), "project(OsteoScan)"),
    ("category", edit(ENTRY, "Quantification", "Bones"), "'Bones'"),
    ("repository", edit(ENTRY, "/SlicerOsteoScreen.git", "/OsteoScreen.git"), "begin with Slicer"),
    ("repository", edit(ENTRY, '"main"', '"0123abc"'), "branch main"),
    ("repository", edit(CMAKE, "/SlicerOsteoScreen", "/Other"), "EXTENSION_HOMEPAGE"),
    ("dependencies", edit(ENTRY, '"PyTorch"', '"PyTorch", "Caffe"'), "No extension Caffe"),
    ("dependencies", edit(CMAKE, 'DEPENDS "PyTorch"', 'DEPENDS "NA"'), "EXTENSION_DEPENDS says []"),
    ("metadata", edit(CMAKE, f'ICONURL "{URL}', f'ICONURL\n  "{URL}'), "EXTENSION_ICONURL has to be set, on one line"),
    ("metadata", edit(CMAKE, "set(EXTENSION_CONTRIBUTORS", "#"), "EXTENSION_CONTRIBUTORS"),
    (
        "metadata",
        edit(CMAKE, "set(EXTENSION_DEPENDS", 'set(EXTENSION_CATEGORY "X")\nset(EXTENSION_DEPENDS'),
        "no effect",
    ),
    ("description", edit(CMAKE, "For research", "One. For research"), "3 sentences"),
    ("description", edit(CMAKE, "For research", "x" * 300), "characters"),
    ("icon", remove(ICON), "no such file"),
    ("icon", write(ICON, b"not a picture"), "not an image"),
    ("icon", small_icon, "(64, 64)"),
    (
        "icon",
        edit(CMAKE, f"{URL}/OsteoScreen/Res", "https://example.org/Res"),
        "is not under raw.githubusercontent.com",
    ),
    ("screenshots", edit(CMAKE, f"{URL}/Resources/Screenshots/", f"{URL}/Resources/None/"), "no such file"),
    (
        "screenshots",
        edit(CMAKE, f"{URL}/Resources/Screenshots/", f"{URL}/README.md {URL}/Resources/Screenshots/"),
        "not an",
    ),
    ("clone size", huge_history, "at most 100 MB"),
    ("large files", large_file, "large.dat has 16 MB"),
    ("large files", write("OsteoScreen/Resources/weights.pkl", b"x"), "weights.pkl is a program"),
    ("line ends", write("LICENSE.txt", b"Apache License\r\n"), "LICENSE.txt has lines that end with CRLF"),
    ("line ends", edit(".gitattributes", "* text=auto eol=lf\n", ""), ".gitattributes does not keep"),
    ("licence", remove("LICENSE.txt"), "No licence file"),
    ("licence", write("README.md", b"# OsteoScreen\n"), "does not name the licence"),
    ("packaging", edit(LIST, "  OsteoScreenLib/errors.py\n", ""), "does not list OsteoScreenLib/errors.py"),
    (
        "packaging",
        edit(LIST, "  OsteoScreenLib/errors.py\n", "  OsteoScreenLib/lost.py\n"),
        "lists OsteoScreenLib/lost.py",
    ),
    ("packaging", edit(LIST, "  OsteoScreenLib/errors.py\n", "  OsteoScreenLib/errors.py\n" * 2), "errors.py twice"),
    (
        "packaging",
        edit("OsteoScreenTraining/CMakeLists.txt", "requirements-training.txt", "requirements.txt"),
        "Two modules package Resources/requirements.txt",
    ),
    ("packaging", edit("OsteoScreen/Testing/Slicer/CMakeLists.txt", "  PanelTest.py\n", ""), "does not run"),
    ("packaging", edit(LIST, "slicerMacroBuildScriptedModule", "noSuchMacro"), "cannot configure"),
    ("imports", edit(MODULE, "\nimport slicer\n", "\nimport slicer\nimport torch\n"), "OsteoScreen.py imports torch"),
    (
        "imports",
        edit(
            "OsteoScreen/OsteoScreenSlicerLib/Errors.py",
            "class",
            "try:\n    import pydicom\nexcept ImportError:\n    pass\nclass",
        ),
        "Errors.py imports pydicom",
    ),
    (
        "imports",
        edit(MODULE, "\nimport slicer\n", "\nimport slicer\nfrom OsteoScreenLib.networks import unet\n"),
        "OsteoScreenLib/networks/unet.py imports torch",
    ),
    ("file scope", edit(MODULE, "\nimport slicer\n", '\nimport slicer\nprint("here")\n'), "does something"),
    ("file scope", edit(MODULE, "\nimport slicer\n", '\nimport slicer\nX = open("f").read()\n'), "does something"),
    (
        "torch",
        edit(MODULE, "\nclass ", '\n\ndef f():\n    slicer.util.pip_install("torch")\n\n\nclass '),
        "installs torch",
    ),
    ("torch", edit("OsteoScreen/Resources/requirements.txt", "safetensors", "torch"), "lists torch"),
    ("readme", edit("README.md", "# OsteoScreen\n", "# A program\n"), "does not begin with the name"),
    ("readme", edit("README.md", "\n", "\n\n[Licence](LICENCE)\n"), "links to LICENCE"),
    ("readme", write("README.md", b"# OsteoScreen\n\nShort.\n"), "a summary in a sentence or two"),
    ("readme", write("README.md", b"# OsteoScreen\n\nShort.\n"), "README.md lacks a link to the tutorial"),
    ("readme", write("README.md", b"# OsteoScreen\n\nShort.\n"), "does not name the module OsteoScreenTraining"),
    ("readme", no_pages, "The documentation lacks how to remove it"),
]


@pytest.fixture(scope="module")
def copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own with what lies in this one: it may be broken."""
    root = tmp_path_factory.mktemp("extension")
    try:
        files = Extension(repository).files
    except NotChecked as reason:
        pytest.skip(str(reason))
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / name, root / name)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "copy")
    return root


@functools.cache
def whole(copy: Path, name: str) -> list[str]:
    """Return what a check says of the copy before anything in it is broken."""
    return CHECKS[name](Extension(copy))


@contextlib.contextmanager
def broken(root: Path, what: Break) -> Iterator[None]:
    """Break a copy, and mend it afterwards."""
    head = git(root, "rev-parse", "HEAD").strip()
    what(root)
    try:
        yield
    finally:
        git(root, "reset", "-q", "--hard", head)
        git(root, "clean", "-q", "-f", "-d")


def test_this_repository_passes_every_check(repository: Path) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = check_extension.main([str(repository)])
    assert code == 0, said.getvalue()
    assert len(said.getvalue().splitlines()) == len(CHECKS)


def test_every_check_is_broken_below() -> None:
    assert {name for name, _, _ in BREAKS} == set(CHECKS)


@pytest.mark.parametrize(("name", "what", "sentence"), BREAKS, ids=[f"{n}: {s}" for n, _, s in BREAKS])
def test_a_check_fails_where_its_thing_is_broken(copy: Path, name: str, what: Break, sentence: str) -> None:
    if name == "packaging" and shutil.which("cmake") is None:
        pytest.skip("cmake is not on this machine")
    before = whole(copy, name)
    with broken(copy, what):
        found = CHECKS[name](Extension(copy))
    assert any(sentence in problem for problem in found), found
    assert not any(sentence in problem for problem in before), before


def test_an_import_inside_a_function_or_for_types_is_none_at_start_up(copy: Path) -> None:
    late = "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import torch\n"
    with broken(copy, edit(MODULE, "\nimport slicer\n", f"\nimport slicer\n{late}")):
        assert CHECKS["imports"](Extension(copy)) == []


@pytest.mark.skipif(os.name != "posix", reason="it makes a PATH of links")
def test_no_compiler_is_needed(copy: Path, tmp_path: Path, monkeypatch) -> None:
    for name in ("cmake", "make", "ninja", "git"):
        if (program := shutil.which(name)) is not None:
            (tmp_path / name).symlink_to(program)
    if not (tmp_path / "cmake").exists():
        pytest.skip("cmake is not on this machine")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [problem for problem in CHECKS["packaging"](Extension(copy)) if "cannot configure" in problem]


def test_a_folder_that_is_no_extension_fails_without_a_traceback(tmp_path: Path, capsys) -> None:
    assert check_extension.main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "name          FAILED" in said and "clone size    -       not checked" in said
