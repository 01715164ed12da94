"""What the documentation names exists: options, commands, links, headings, files, bundles, pictures."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from functools import lru_cache
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

from documented.blocks import REPOSITORY, blocks_of, inline_code, pages, prose

from OsteoScreenLib import __version__
from OsteoScreenLib.cli.application import _command_modules

#: Options of programs that are not ours, and that of the importer which Docs/extending.md adds (--scanner).
OTHERS = {
    "--scanner",
    "--nthreads", "--preload", "--no-dashboard", "--standalone", "--nproc-per-node", "--testing",
    "--no-main-window", "--python-code", "--python-script",
}  # fmt: skip
#: Programs of this repository that take options of their own.
BESIDE = ("Resources/batch_on_*.py", "Testing/*.py", "Testing/benchmarks/*.py", "run.py")
#: No larger picture may be shown: a clone carries them all.
LARGEST_PICTURE = 250_000

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_REPOSITORY_PATH = re.compile(r"^(?:OsteoScreen|OsteoScreenTraining|Testing|Docs|Resources)/[\w./*-]*$")

PAGES = [*pages(), *(page for page in [REPOSITORY / "CHANGELOG.md"] if page.exists())]


@lru_cache(maxsize=1)
def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command's parser by its name."""
    found = {}
    for name in _command_modules():
        module = importlib.import_module(name)
        found[module.NAME] = argparse.ArgumentParser(prog=module.NAME)
        module.add_arguments(found[module.NAME])
    return found


def parts(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command and of all of its parts."""
    own = {option for action in parser._actions for option in action.option_strings}
    return own.union(*(options(part) for part in parts(parser).values()))


@lru_cache(maxsize=1)
def known_options() -> frozenset[str]:
    ours = set().union(*(options(parser) for parser in commands().values()))
    beside = {
        option
        for pattern in BESIDE
        for path in REPOSITORY.glob(pattern)
        for option in re.findall(r"[\"'](--[a-z][a-z0-9-]*)[\"']", path.read_text(encoding="utf-8"))
    }
    return frozenset(ours | beside | OTHERS | {"--version"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_is_named_exists(page: Path) -> None:
    wrong = [
        (number, option)
        for number, code in inline_code(page)
        for option in _OPTION.findall(code)
        if option not in known_options()
    ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_text_exists_with_its_options(page: Path) -> None:
    wrong = []
    for number, code in inline_code(page):
        said = re.match(r"(?:python3 run\.py|osteoscreen|PythonSlicer -m OsteoScreenLib) ([a-z].*)", code)
        if said is None or (words := shlex.split(said.group(1)))[0] == "test":
            continue
        at, path = commands().get(words[0]), words[:1]
        for word in words[1:]:
            if at is not None and parts(at) and not word.startswith(("-", "…")):
                at, path = parts(at).get(word), [*path, word]
        if at is None:
            wrong.append((number, " ".join(path)))
            continue
        wrong += [(number, option) for option in _OPTION.findall(code) if option not in options(at)]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for number, line in prose(page):
        for target in _LINK.findall(line):
            if target.startswith(("https://", "http://", "mailto:")):
                continue
            path, _, heading = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (heading and heading not in headings(file)):
                wrong.append((number, target))
    assert wrong == []


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for _, line in prose(page):
        if line.startswith("#"):
            text = re.sub(r"[`*]", "", line.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_repository_that_is_named_is_there(page: Path) -> None:
    wrong = []
    for number, code in inline_code(page):
        for word in code.split():
            if _REPOSITORY_PATH.match(word) and not list(REPOSITORY.glob(word.rstrip("/"))):
                wrong.append((number, word))
            inside = re.fullmatch(r"(OsteoScreen\w*Lib)/([\w./]+)", word)
            if inside and not list(REPOSITORY.glob(f"*/{inside.group(1)}/{inside.group(2)}")):
                wrong.append((number, word))
    assert wrong == []


def test_pictures_that_are_shown_are_small() -> None:
    for page in PAGES:
        for number, line in prose(page):
            for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", line):
                assert (page.parent / target).stat().st_size <= LARGEST_PICTURE, (page.name, number, target)


def test_every_shipped_bundle_is_documented_and_no_other_is_named() -> None:
    shipped = {path.parent.name for path in (REPOSITORY / "OsteoScreen/Resources/Models").glob("*/bundle.json")}
    assert shipped
    named = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named |= set(re.findall(r"--(?:segmentation-|classification-|localisation-)?model[ =]([a-z][\w.-]+)", text))
        named |= set(re.findall(r"models (?:show|verify|export) ([a-z][\w.-]+)", text))
        named |= {name for name in shipped if name in text}
    assert named - {"model1", "model2"} == shipped  # these two are the choices of `train --model`


def test_every_language_of_a_block_is_one_that_tests_know() -> None:
    for page in pages():
        for block in blocks_of(page):
            assert block.language in ("", "text", "sh", "bash", "python", "json", "csv", "mermaid"), block.place


def test_the_version_is_the_same_wherever_it_is_said() -> None:
    cited = re.search(r"^version: (\S+)$", (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited and cited.group(1) == __version__
    assert f"## [{__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_code_names_only_pages_that_are_there() -> None:
    # ../shared/data holds public CT beside the repository; README says so.
    wrong = [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in sorted(REPOSITORY.glob("OsteoScreen*/*Lib/**/*.py"))
        for name in re.findall(r"\b(?:[\w.-]+/)*[\w-]+\.md\b", path.read_text(encoding="utf-8"))
        if not name.startswith("shared/data/") and not (REPOSITORY / name).is_file()
    ]
    assert not wrong
