"""``osteoscreen train``: train a network, go on with a training, or export its bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.tasks import TASKS, open_task

if TYPE_CHECKING:
    from ..training.config import TrainingConfig
    from ..training.task import Task

NAME = "train"
HELP = "Train a network on a data set and export it as a model bundle."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("task", choices=TASKS, help="what to train")
    parser.add_argument(
        "--data", type=Path, nargs="+", action="extend", metavar="DATASET",
        help="data sets; to go on or to export, those that the run began with, unless others are named",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="the run's folder")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--config", type=Path, metavar="FILE", help="JSON configuration; what it omits is the default")
    start.add_argument("--preset", choices=("quick", "study"), help="quick: minutes on a laptop; study: the paper's")
    parser.add_argument("--model", choices=("model1", "model2"), help="of a classification: L1 and L2, or L1 alone")
    parser.add_argument("--split", metavar="NAME", help="hold out the validation part of this split of the data set")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--init", type=Path, metavar="BUNDLE|RUN", help="start from these weights (fine-tuning)")
    parser.add_argument("--steps", type=int, help="budget in steps")
    parser.add_argument("--minutes", type=float, help="budget in minutes")
    parser.add_argument("--batch", type=int, help="global batch size")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int, help="threads on the CPU")
    parser.add_argument("--device", help="auto, cpu, cuda or mps")
    parser.add_argument("--export", action="store_true", help="only export the run's weights as a bundle now")
    card = parser.add_argument_group("the bundle's card")
    card.add_argument("--name", help="what the bundle is called: small letters, digits, dots and dashes")
    card.add_argument("--version", metavar="X.Y.Z", help="its version")
    card.add_argument("--description", metavar="TEXT", help="what it is")
    card.add_argument("--licence", metavar="TEXT", help="its licence")
    parser.add_argument("--print-config", action="store_true", help="print the configuration and stop")


def run(arguments: argparse.Namespace) -> int:
    """Train, or only export; return the exit code."""
    from ..training import config as configuration

    config = _configuration(arguments)
    if arguments.print_config:
        import json

        print(json.dumps(configuration.to_dict(config), indent=2))
        return 0
    from ..training.stopping import StopRequests

    # Before anything that takes long: what comes after this is meant.
    StopRequests(arguments.output).forget()
    _check_arguments(arguments)
    from ..control.exporting import apply_card
    from ..training.running import export, saved_data

    card = _card(arguments)
    data = arguments.data or saved_data(arguments.output)
    task = open_task(config, data)
    if not arguments.export and not _train(arguments, config, task, data):
        return 0
    bundle = export(config, task, arguments.output)
    apply_card(bundle, card)
    print(bundle)
    return 0


def _train(arguments: argparse.Namespace, config: TrainingConfig, task: Task, data: list[Path]) -> bool:
    """Train; return whether there is something to export for this process: what is not finished is no bundle."""
    from ..training.export import initial_weights
    from ..training.running import save_data, train

    save_data(data, arguments.output)
    initial = initial_weights(arguments.init) if arguments.init else None
    ending = train(config, task, arguments.output, initial=initial, resume=arguments.resume)
    if ending is not None:
        print(f"Training ended: {ending.reason}.", file=sys.stderr)
    return ending is not None and not ending.interrupted


def _card(arguments: argparse.Namespace) -> dict[str, str]:
    from ..control.exporting import FIELDS, check_card

    # What it was trained on, the run itself knows: there is no option for it.
    card = {name: value for name in FIELDS if (value := getattr(arguments, name, None)) is not None}
    check_card(card)
    return card


def _configuration(arguments: argparse.Namespace) -> TrainingConfig:
    from OsteoScreenLib.errors import UsageError

    from ..training import config as configuration

    saved = arguments.output / "config.json"
    if arguments.config:
        config = configuration.load_config(arguments.config)
    elif (arguments.resume or arguments.export) and saved.is_file():
        config = configuration.load_config(saved)
    elif arguments.preset:
        from ..control.presets import KINDS, preset

        config = preset(KINDS.get(arguments.task, (arguments.task,))[0], arguments.preset)
    else:
        config = configuration.defaults(arguments.task)
    if config.task != arguments.task:
        raise UsageError(f"The configuration is for {config.task}, not for {arguments.task}.")
    if arguments.model and config.task != "classification":
        raise UsageError("--model is that of a classification; leave it out.")
    if arguments.model:
        config = configuration.with_model(config, arguments.model)
    if arguments.split:
        config = configuration.with_split(config, arguments.split)
    names = ("steps", "minutes", "batch", "seed", "threads", "device")
    given: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    return configuration.replace(config, **{name: value for name, value in given.items() if value is not None})


def _check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what makes no sense before any data is opened."""
    from OsteoScreenLib.errors import UsageError

    from ..training.checkpoints import find_checkpoint
    from ..training.running import saved_data

    if not arguments.data:
        saved_data(arguments.output)
    if arguments.resume and arguments.init:
        raise UsageError("--resume goes on with a run and --init starts one; use one of them.")
    goes_on = arguments.resume or arguments.export
    if not goes_on and find_checkpoint(arguments.output) is not None:
        raise UsageError(f"{arguments.output} already holds a run; use --resume or another folder.")


def main() -> int:
    """Run this command alone."""
    from OsteoScreenLib.errors import OsteoScreenError

    parser = argparse.ArgumentParser(prog="osteoscreen train", description=HELP)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except OsteoScreenError as error:
        print(f"osteoscreen: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
