"""``osteoscreen batch-pages``: what a batch came to, written anew as pages and tables, and two of its sets compared."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .console import print_lines

if TYPE_CHECKING:
    from ..batch.store import Store

NAME = "batch-pages"
HELP = "Write the summary, the queue of levels and the tables of a batch anew, also while it runs; compare two sets."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``batch-pages`` to ``parser``."""
    parser.add_argument("output", metavar="OUT", help="the folder that `osteoscreen batch` wrote to")
    parser.add_argument("--set", metavar="SET", help="the set of results (the one that was begun last)")
    parser.add_argument("--compare", metavar="SET", nargs=2, help="compare two sets: the earlier, then the later")
    parser.add_argument(
        "--data-set", metavar="FOLDER", help="also write the set into a partitioned Parquet data set here"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for and say where it is."""
    if arguments.compare is not None and (arguments.set is not None or arguments.data_set is not None):
        raise UsageError("--compare names its two sets itself; leave --set and --data-set out.")
    from ..batch.store import Store

    with Store.read(arguments.output) as store:
        if arguments.compare is not None:
            print_lines(_compared(store, *arguments.compare))
            return 0
        set_id = _set_id(store, arguments.set)
        print_lines(overview_lines(store, set_id))
        if arguments.data_set is not None:
            from ..batch.export import write_data_set

            print_lines([f"Data set: {write_data_set(store.rows(set_id), set_id, arguments.data_set)}"])
    return 0


def write_pages(out: Path, set_id: str) -> list[str]:
    """Write the pages and tables of a set; returns lines that say where they are.  Raises OsteoScreenError."""
    from ..batch.store import Store

    with Store.read(out) as store:
        return overview_lines(store, set_id)


def overview_lines(store: Store, set_id: str) -> list[str]:
    """The same of an open store."""
    from ..batch.overview import QUEUE, STUDIES, SUMMARY, TABLE, write_overview

    named = {SUMMARY: "Summary", TABLE: "Table", STUDIES: "Which id is which scan", QUEUE: "Levels to set or confirm"}
    return [f"{named[path.name]}: {path}" for path in write_overview(store, set_id) if path.name in named]


def _compared(store: Store, before: str, after: str) -> list[str]:
    from ..batch.overview import write_comparison

    page, table = write_comparison(store, before, after)
    return [f"Comparison: {page}", f"Table: {table}"]


def _set_id(store: Store, given: str | None) -> str:
    if given is not None:
        return store.result_set(given).id
    sets = store.sets()
    if not sets:
        raise UsageError("The batch has no set of results yet; run `osteoscreen batch` first.")
    return sets[-1].id
