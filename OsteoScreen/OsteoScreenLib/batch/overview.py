"""Everything that is written of a whole set, and of two sets: pages and tables, from the store."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from . import compare, export, manifest, queue, summary
from .store import Store

SUMMARY, QUEUE, QUEUE_LIST = "summary.html", "levels-queue.html", "levels-queue.csv"
TABLE, PARQUET = "results.csv", "results.parquet"
#: Which id is which scan: the only file beside the queue's list that holds paths.
STUDIES = "studies.csv"


def write_overview(store: Store, set_id: str) -> list[Path]:
    """Write the summary, the queue of levels, the tables and the list of the studies of a set into its folder; returns
    their paths.

    It may be called while a batch runs: each file is there as a whole, and shows the rows of that moment. Where no
    level is open, there is no queue.

    Raises InputError where there is no such set, UsageError where pyarrow is not installed, StoreError and
    OsteoScreenError where reading or writing fails.
    """
    folder, result_set = store.out / set_id, store.result_set(set_id)
    written = [
        summary.write_summary(store.rows(set_id), result_set, folder / SUMMARY),
        export.write_csv(store.rows(set_id), set_id, folder / TABLE),
        manifest.write_manifest(((row.study, {}) for row in store.rows(set_id)), folder / STUDIES),
    ]
    cases = queue.open_cases(store.rows(set_id), set_id)
    if cases:
        written += [
            queue.write_queue_page(cases, result_set, folder / QUEUE),
            queue.write_queue_list(cases, folder / QUEUE_LIST),
        ]
    else:
        for name in (QUEUE, QUEUE_LIST):
            (folder / name).unlink(missing_ok=True)
    # Last, because it alone needs a package that may be missing.
    return [*written, export.write_parquet(store.rows(set_id), set_id, folder / PARQUET)]


def write_comparison(store: Store, before: str, after: str) -> list[Path]:
    """Compare two sets and write the page and the table into the output folder; returns their paths.

    Raises UsageError where both are the same set, and otherwise as `write_overview`.
    """
    if before == after:
        raise UsageError("A set is the same as itself; name two sets.")
    first, second = store.result_set(before), store.result_set(after)
    found = compare.compare(store.rows(before), store.rows(after))
    name = f"comparison-{before}-{after}"
    return [
        compare.write_comparison_page(found, first, second, store.out / f"{name}.html"),
        compare.write_comparison_table(found, store.out / f"{name}.csv"),
    ]
