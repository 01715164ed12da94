"""``osteoscreen batch``: many studies, on one computer or a cluster; the same command goes on where it was."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..reports.kinds import chosen_kinds
from .batch_pages import write_pages
from .console import print_error, print_lines

if TYPE_CHECKING:
    from ..batch.cluster import Cluster
    from ..batch.running import Batch
    from ..batch.settings import BatchSettings
    from ..batch.study import State

NAME = "batch"
HELP = "Screen many studies, on one computer or a cluster; stopped anyhow, the same command goes on."

#: How long one study may take [s]: a whole scan whose levels are suggested takes some seconds; a share may be slow.
DEFAULT_TIMEOUT_S = 900.0
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_LONGEST_TIMEOUT_S = 86400.0
_MOST_WORKERS = 1024
_MOST_GATHERED = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``batch`` to ``parser``."""
    parser.add_argument(
        "manifest",
        metavar="MANIFEST",
        help="the studies: a list (CSV or Parquet, one row each), a folder tree, or dicomweb:SERVER?StudyDate=…",
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the folder of the store and the outputs")
    finding = parser.add_argument_group("what of a folder tree; see `OsteoScreenLib.batch.tree`")
    finding.add_argument(
        "--ct-pattern", metavar="PATTERN", help="the names of volume files that are CTs: 'ct.nii.gz' (all)"
    )
    finding.add_argument(
        "--levels-pattern",
        metavar="PATTERN",
        help="take the levels from the segmentation beside each scan: '{name}_vertebrae.nii.gz', 'seg/{name}.nrrd'",
    )
    workers = parser.add_argument_group("who screens")
    workers.add_argument("--workers", metavar="N", type=int, help="processes on this computer (one for each core)")
    workers.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler that runs: tcp://HOST:PORT, or its scheduler file"
    )
    screening = parser.add_argument_group("how; other values begin a second set of results beside the first")
    screening.add_argument("--suggest", action="store_true", help="suggest the levels of studies that come with none")
    screening.add_argument("--snap", action="store_true", help="move given slices to the middle of their vertebrae")
    screening.add_argument("--segmentation-model", metavar="NAME|DIR", help="the segmentation bundle")
    screening.add_argument("--classification-model", metavar="NAME|DIR", help="the classification bundle")
    screening.add_argument("--localisation-model", metavar="NAME|DIR", help="the localisation bundle, for --suggest")
    screening.add_argument("--calibration", metavar="FILE", help="your scanner's calibration from HU to BMD (JSON)")
    screening.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute")
    screening.add_argument("--force", action="store_true", help="screen studies that would be refused")
    screening.add_argument(
        "--write", metavar="KIND[,KIND…]", action="append", default=[], help="write this too; as in `screen`"
    )
    running = parser.add_argument_group("running")
    running.add_argument(
        "--timeout",
        metavar="S",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        help=f"give one study so many seconds ({DEFAULT_TIMEOUT_S:g}), without those in which it waits for others of "
        "its process; past them it is tried once more, alone",
    )
    running.add_argument(
        "--in-flight",
        metavar="N",
        type=int,
        help="studies that each process has in hand: one computes while others are read and written (3, or 16 with "
        "--device cuda or mps)",
    )
    running.add_argument(
        "--gather",
        metavar="N",
        type=int,
        help="let the networks see up to N slices of the studies in hand in one pass (64 on a GPU, 1 on the CPU)",
    )
    running.add_argument(
        "--again",
        metavar="STATE[,STATE…]",
        help="screen once more what ended so: failed, refused, needs-levels or screened",
    )


def run(arguments: argparse.Namespace) -> int:
    """Screen what waits; returns 0 when every study is final, 130 when it was interrupted."""
    _check(arguments)
    batch = _batch(arguments)
    try:
        with _terminable():
            result_set, counts = batch.run()
    except KeyboardInterrupt:
        print_error("Interrupted; what is finished stays, and the same command goes on.")
        return EXIT_INTERRUPTED
    told = ", ".join(f"{state.value} {count}" for state, count in counts.items() if count) or "no study"
    print_lines([f"{told}", f"Results: {batch.out / result_set.id}", *write_pages(batch.out, result_set.id)])
    return 0


def _batch(arguments: argparse.Namespace) -> Batch:
    from ..batch.display import Display
    from ..batch.running import Batch
    from ..batch.settings import Pace
    from ..batch.sources import read_studies

    settings = _settings(arguments)
    return Batch(
        out=Path(arguments.output),
        studies=lambda: read_studies(
            arguments.manifest,
            levels_pattern=arguments.levels_pattern,
            ct_pattern=arguments.ct_pattern,
            leave_out=[arguments.output],
            tell=print_error,
        ),
        settings=settings,
        open_workers=lambda: _cluster(arguments),
        listen=Display,
        pace=Pace(arguments.timeout, arguments.in_flight or settings.in_flight, arguments.gather),
        again=_again(arguments.again),
    )


def _settings(arguments: argparse.Namespace) -> BatchSettings:
    from ..batch.settings import BatchSettings

    return BatchSettings(
        suggest=arguments.suggest,
        snap=arguments.snap,
        segmentation_model=_absolute(arguments.segmentation_model),
        classification_model=_absolute(arguments.classification_model),
        localisation_model=_absolute(arguments.localisation_model),
        calibration=_absolute(arguments.calibration),
        device=arguments.device,
        force=arguments.force,
        write=tuple(chosen_kinds(arguments.write)),
    )


def _absolute(named: str | None) -> str | None:
    """A path as any process finds it; the name of an installed bundle stays as it is."""
    return None if named is None else str(Path(named).absolute()) if Path(named).exists() else named


def _cluster(arguments: argparse.Namespace) -> Cluster:
    try:
        from ..batch.cluster import Cluster
    except ImportError as error:
        raise _no_dask(error) from error
    try:
        if arguments.scheduler is not None:
            return Cluster.connect(arguments.scheduler)
        return Cluster.start_local(arguments.workers or _cores())
    except ImportError as error:
        raise _no_dask(error) from error


def _no_dask(error: ImportError) -> UsageError:
    return UsageError(
        f"The package {error.name or 'distributed'} is not installed, which a batch runs on; install "
        "`osteoscreen[batch]`."
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _again(words: str | None) -> list[State]:
    from ..batch.study import State

    names = {state.value.replace(" ", "-"): state for state in State if state.is_final}
    wanted = [word.strip().lower() for word in (words or "").split(",") if word.strip()]
    unknown = [word for word in wanted if word not in names]
    if unknown:
        raise UsageError(f"There is no final state {unknown[0]!r:.40}; there are {', '.join(names)}.")
    return [names[word] for word in wanted]


def _check(arguments: argparse.Namespace) -> None:
    from ..batch.settings import MOST_IN_FLIGHT
    from .output import refuse_overwriting

    # Its own files beside the scans are no scans, but an archive stays as it was given.
    refuse_overwriting(arguments.output, [], [arguments.manifest])
    if arguments.workers is not None and arguments.scheduler is not None:
        raise UsageError("--workers starts processes here, and --scheduler uses a cluster that runs; give one of them.")
    if arguments.workers is not None and not 1 <= arguments.workers <= _MOST_WORKERS:
        raise UsageError(f"--workers is from 1 to {_MOST_WORKERS}; for more, start a cluster and give --scheduler.")
    if arguments.in_flight is not None and not 1 <= arguments.in_flight <= MOST_IN_FLIGHT:
        raise UsageError(f"--in-flight is from 1 to {MOST_IN_FLIGHT}.")
    if arguments.gather is not None and not 1 <= arguments.gather <= _MOST_GATHERED:
        raise UsageError(f"--gather is from 1 (no gathering) to {_MOST_GATHERED} slices.")
    if not 0 < arguments.timeout <= _LONGEST_TIMEOUT_S:
        raise UsageError(f"--timeout is more than 0 and at most {_LONGEST_TIMEOUT_S:g} seconds.")


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a system that shuts down, or a queue that takes the machine away, end it as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
