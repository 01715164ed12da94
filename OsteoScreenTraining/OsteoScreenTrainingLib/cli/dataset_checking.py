"""``osteoscreen dataset check``: what is wrong with a data set, before training finds it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..datasets.checking import CheckReport, Finding

#: Findings of one kind beyond this many are counted on the console; all are in the JSON.
MOST_ALIKE = 3
#: Exit code where there is an error.
EXIT_ERRORS = 1


def add_subcommands(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand; see :mod:`.dataset`."""
    parser = kinds.add_parser(
        "check",
        help="find what is wrong before training does",
        description="Find what is wrong with a data set before training does: files, outlines, levels, BMD, subjects "
        "twice, splits, classes. The exit code is 0 where no error was found (warnings are none), 1 where one was, and "
        "4 where subjects.csv cannot be read at all.",
    )
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="the folder with subjects.csv, built or not")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path,
        help="also write a page with all findings, distributions and a contact sheet to OUT/index.html, and "
        "OUT/check.json",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.set_defaults(do=_check)


def _check(arguments: argparse.Namespace) -> int:
    import json
    import os

    from OsteoScreenLib.cli.console import ConsoleProgress, print_lines

    from ..datasets.checking import check_data_set

    with ConsoleProgress() as progress:
        report = check_data_set(arguments.dataset, progress, workers=os.cpu_count() or 1)
    if arguments.output is not None:
        _write(report, arguments.output)
    if arguments.json:
        print_lines([json.dumps(report.to_dict(), indent=1)])
    else:
        print_lines(_table(report, arguments.output))
    return EXIT_ERRORS if report.count("error") else 0


def _write(report: CheckReport, output: Path) -> None:
    from OsteoScreenLib.cli.output import staged_output

    from ..datasets.checking.page import PAGE_FILES, page_files

    with staged_output(output, PAGE_FILES) as folder:
        page_files(report, folder)


def _table(report: CheckReport, output: Path | None) -> Iterator[str]:
    import shutil
    import textwrap

    findings = list(_alike_together(report.findings))
    names = max([len(finding.subject or "-") for finding, _ in findings], default=0)
    columns = max([len(finding.column or "-") for finding, _ in findings], default=0)
    width = max(shutil.get_terminal_size((120, 40)).columns - names - columns - 13, 40)
    for finding, more in findings:
        words = f"{finding.message} {finding.advice}" + (f" (and {more} more like this)" if more else "")
        first, *rest = textwrap.wrap(words, width)
        yield f"{finding.severity:7}  {finding.subject or '-':{names}}  {finding.column or '-':{columns}}  {first}"
        yield from (" " * (names + columns + 13) + text for text in rest)
    if findings:
        yield ""
    included = "slices not built yet" if report.included is None else f"{report.included} included"
    yield f"{len(report.evidence.subjects)} subjects, {included}, {len(report.evidence.measures)} outlined slices"
    for group, counted in report.classes.items():
        yield f"{group}: {sum(counted.values())} ({', '.join(f'{name} {n}' for name, n in counted.items())})"
    yield ", ".join(f"{report.count(name)} {name}s" for name in ("error", "warning", "note"))
    if output is not None:
        yield f"The page: {(output / 'index.html').resolve()}"


def _alike_together(findings: Sequence[Finding]) -> Iterator[tuple[Finding, int]]:
    """Yield the first few findings of each kind; with the last of them, how many more there are."""
    kinds: dict[tuple[str, str, str | None, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.severity, finding.check, finding.column, finding.advice), []).append(finding)
    for alike in kinds.values():
        shown = alike[:MOST_ALIKE] if len(alike) > MOST_ALIKE + 1 else alike
        yield from ((finding, 0) for finding in shown[:-1])
        yield shown[-1], len(alike) - len(shown)
