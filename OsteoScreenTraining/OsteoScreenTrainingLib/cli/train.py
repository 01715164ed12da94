"""``osteoscreen train``: train a network, go on with a training, or export its bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.tasks import TASKS, open_task

if TYPE_CHECKING:
    from ..training.config import TrainingConfig

NAME = "train"
HELP = "train a network on a data set and export it as a model bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("task", choices=TASKS, help="what to train")
    parser.add_argument("--data", type=Path, nargs="+", action="extend", metavar="DATASET", help="data sets")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="the run's folder")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON configuration; what it omits is the default")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--init", type=Path, metavar="BUNDLE|RUN", help="start from these weights (fine-tuning)")
    parser.add_argument("--steps", type=int, help="budget in steps")
    parser.add_argument("--minutes", type=float, help="budget in minutes")
    parser.add_argument("--batch", type=int, help="global batch size")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int, help="threads on the CPU")
    parser.add_argument("--device", help="auto, cpu, cuda or mps")
    parser.add_argument("--export", action="store_true", help="only export the run's weights as a bundle now")
    parser.add_argument("--print-config", action="store_true", help="print the configuration and stop")


def run(arguments: argparse.Namespace) -> int:
    """Train, or only export; return the exit code."""
    from ..training import config as configuration

    config = _configuration(arguments)
    if arguments.print_config:
        import json

        print(json.dumps(configuration.to_dict(config), indent=2))
        return 0
    _check_arguments(arguments)
    from ..training.export import initial_weights
    from ..training.running import export, train

    task = open_task(config, arguments.data)
    if not arguments.export:
        initial = initial_weights(arguments.init) if arguments.init else None
        ending = train(config, task, arguments.output, initial=initial, resume=arguments.resume)
        if ending is None:
            return 0
        print(f"Training ended: {ending.reason}.", file=sys.stderr)
    print(export(config, task, arguments.output))
    return 0


def _configuration(arguments: argparse.Namespace) -> TrainingConfig:
    from OsteoScreenLib.errors import UsageError

    from ..training import config as configuration

    saved = arguments.output / "config.json"
    if arguments.config:
        config = configuration.load_config(arguments.config)
    elif (arguments.resume or arguments.export) and saved.is_file():
        config = configuration.load_config(saved)
    else:
        config = configuration.defaults(arguments.task)
    if config.task != arguments.task:
        raise UsageError(f"The configuration is for {config.task}, not for {arguments.task}.")
    names = ("steps", "minutes", "batch", "seed", "threads", "device")
    given: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    return configuration.replace(config, **{name: value for name, value in given.items() if value is not None})


def _check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what makes no sense before any data is opened."""
    from OsteoScreenLib.errors import UsageError

    from ..training.checkpoints import find_checkpoint

    if not arguments.data:
        raise UsageError("Say what to train on with --data DATASET.")
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
