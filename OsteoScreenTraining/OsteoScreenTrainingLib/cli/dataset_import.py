"""``osteoscreen dataset import-…``: data sets from public collections of CT with vertebra masks."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..datasets.public.importers import IMPORTERS

#: Reasons that are printed; all of them are in import.csv.
_SHOWN = 12


def add_subcommands(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add a subcommand for each importer; see :mod:`.dataset`."""
    for name, importer in IMPORTERS.items():
        parser = kinds.add_parser(
            f"import-{name}", help=importer.words, description=f"Make a data set: {importer.words}."
        )
        _add_options(parser)
        for option, takes in importer.options.items():
            parser.add_argument(f"--{option.replace('_', '-')}", **takes)
        parser.set_defaults(do=partial(_import, name))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where the collection was unpacked")
    parser.add_argument("-o", "--output", metavar="DATASET", type=Path, required=True, help="the new data set's folder")
    parser.add_argument("--keep-split", action="store_true", help="also write the collection's own split, as 'public'")
    parser.add_argument(
        "--kvp", type=float, metavar="KV", help="tube voltage of the scans that do not say it, where you know it"
    )
    parser.add_argument(
        "--bmd-from-hu", action="store_true",
        help="fill an empty BMD from the scan's own HU by the nominal line: no reference, good to try the classifier",
    )  # fmt: skip
    parser.add_argument("--most", type=int, default=0, metavar="N", help="only the first N scans, to try it")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")


def _import(name: str, arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..datasets.public.importing import import_cases
    from ..datasets.public.results import ImportOptions
    from ..datasets.public.writing import REPORT, SOURCES

    importer = IMPORTERS[name]
    found = importer.find(arguments.folder, **{option: getattr(arguments, option) for option in importer.options})
    options = ImportOptions(
        keep_split=arguments.keep_split, kvp=arguments.kvp, bmd_from_hu=arguments.bmd_from_hu, most=arguments.most,
        workers=arguments.workers,
    )  # fmt: skip
    with ConsoleProgress() as progress:
        report = import_cases(found, arguments.output, options, progress)
    print(f"{report.subjects} subjects, {report.complete} with L1 and L2 outlined")
    for reason, count in list(report.rejected.items())[:_SHOWN]:
        print(f"  rejected: {count} x {reason}")
    if report.problems:
        name, reason = next(iter(report.problems.items()))
        print(f"  not usable: {len(report.problems)} scans, such as {name}: {reason}")
    print(f"licence of the outlines, as of the collection: {found.collection.licence} ({arguments.output / SOURCES})")
    print(f"every level and its reason: {arguments.output / REPORT}")
    for path in report.splits:
        print(f"split: {path}")
    print(f"next: osteoscreen dataset build {arguments.output}")
    return 0
