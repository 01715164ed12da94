"""``osteoscreen dataset build`` and ``split``: from a manifest to a data set that can be trained on."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_subcommands(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands; see :mod:`.dataset`."""
    build = kinds.add_parser("build", help="cut the L1 and L2 slices from the CT that subjects.csv names")
    build.add_argument("dataset", metavar="DATASET", type=Path, help="the folder with subjects.csv")
    build.set_defaults(do=_build)
    split = kinds.add_parser("split", help="part the subjects into training, validation and test, and check for leaks")
    split.add_argument("dataset", metavar="DATASET", type=Path, help="the data set")
    split.add_argument(
        "--method", choices=("temporal", "random"), default="temporal",
        help="temporal: the latest 40 %% test, as in the study; random: 5:1:4 within each class (default: %(default)s)",
    )  # fmt: skip
    split.add_argument("--seed", type=int, default=1, help="the same seed gives the same split (default: 1)")
    split.add_argument("--name", help="what the split is called (default: its method)")
    split.set_defaults(do=_split)


def _build(arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.cli.console import ConsoleProgress

    from ..datasets.building import build_slices
    from ..datasets.folder import DataSet

    with ConsoleProgress() as progress:
        left_out = build_slices(arguments.dataset, progress)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    print(f"{len(DataSet(arguments.dataset).slices)} slices in {arguments.dataset / 'slices'}")
    return 0


def _split(arguments: argparse.Namespace) -> int:
    from OsteoScreenLib.errors import InputError

    from ..datasets.folder import DataSet
    from ..datasets.inclusion import include
    from ..datasets.splits import leaks, make_split, save_split, sizes

    data = DataSet(arguments.dataset)
    inclusion = include(data)
    split = make_split(arguments.method, inclusion.included, arguments.seed)
    found = leaks(data, split)
    if found:
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise InputError(
            f"The split was not saved, since it leaks: {'; '.join(found[:5])}{more}. Keep one study of each person in "
            "subjects.csv, and build the slices again."
        )
    path = save_split(data, arguments.name or arguments.method, split)
    print(f"{inclusion.total} subjects, {len(inclusion.included)} included")
    for reason, count in inclusion.excluded.items():
        print(f"  excluded: {reason}: {count}")
    for part, classes in sizes(split, data).items():
        print(f"{part}: {sum(classes.values())} ({', '.join(f'{name} {count}' for name, count in classes.items())})")
    print(f"saved: {path}")
    return 0
