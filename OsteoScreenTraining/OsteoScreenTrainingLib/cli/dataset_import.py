"""``osteoscreen dataset import-…``: data sets from public collections of CT with vertebra masks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..datasets.public.cases import FoundCases

#: Reasons that are printed; all of them are in import.csv.
_SHOWN = 12


def add_subcommands(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands; see :mod:`.dataset`."""
    verse = _parser(kinds, "import-verse", "centre slices and outlines from VerSe's CT and masks", _verse)
    _metadata(verse, "a CSV or TSV table of the subjects (default: participants.tsv in FOLDER, where it is)")
    total = _parser(
        kinds, "import-totalsegmentator", "the same from the TotalSegmentator data set, or from its results", _total
    )
    _metadata(total, "a table in the place of FOLDER/meta.csv")
    total.add_argument("--labels", metavar="NAME", help="the label map's name in each scan's folder")
    total.add_argument(
        "--numbering", choices=("auto", "v1", "v2"), default="auto",
        help="of the label map; auto is by its own table or by where the labels lie (default: %(default)s)",
    )  # fmt: skip
    spine = _parser(kinds, "import-ctspine1k", "the same from CTSpine1K's CT and labels", _spine)
    _metadata(spine, "a CSV or TSV table of the scans; the collection has none")
    spine.add_argument("--split-file", type=Path, metavar="FILE", help="data_split.txt, where it is not in FOLDER")


def _parser(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, do: object
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=text, description=f"Make a data set: {text}.")
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
    parser.set_defaults(do=do)
    return parser


def _metadata(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--metadata", type=Path, metavar="FILE", help=text)


def _verse(arguments: argparse.Namespace) -> int:
    from ..datasets.public.verse import find_verse

    return _import(arguments, find_verse(arguments.folder, arguments.metadata))


def _total(arguments: argparse.Namespace) -> int:
    from ..datasets.public.totalsegmentator import find_totalsegmentator

    found = find_totalsegmentator(
        arguments.folder, labels=arguments.labels, numbering=arguments.numbering, metadata=arguments.metadata
    )
    return _import(arguments, found)


def _spine(arguments: argparse.Namespace) -> int:
    from ..datasets.public.ctspine1k import find_ctspine1k

    return _import(arguments, find_ctspine1k(arguments.folder, split=arguments.split_file, metadata=arguments.metadata))


def _import(arguments: argparse.Namespace, found: FoundCases) -> int:
    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..datasets.public.importing import import_cases
    from ..datasets.public.results import ImportOptions
    from ..datasets.public.writing import REPORT, SOURCES

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
