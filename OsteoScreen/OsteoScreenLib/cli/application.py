"""From the words on the command line to a command's exit code; the only place where errors become sentences."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NoReturn, Protocol, cast

from .. import __version__
from ..errors import OsteoScreenError, UsageError, is_disk_full, system_reason
from .console import flush_quietly, print_error, write_error_log

#: Exit codes beside those of :mod:`OsteoScreenLib.errors`.
EXIT_UNEXPECTED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_TRAINING = "OsteoScreenTrainingLib"
_DESCRIPTION = (
    "Outline and measure the trabecular bone of L1 and L2 on a chest CT. Research use only: "
    "a screening aid, not a medical device, and not DXA."
)


class Command(Protocol):
    """What a command's module offers; see :mod:`OsteoScreenLib.cli`."""

    NAME: str
    HELP: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are our errors, so that they end in one sentence like all others."""

    _words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        hint = ""
        if "expected one argument" in message and self._is_followed_by_a_minus(message):
            hint = " A value that begins with a minus sign is written with an equals sign, as in --l1=-812.5."
        raise UsageError(f"{message[:1].upper()}{message[1:]}.{hint} See `{self.prog} --help`.")

    def _is_followed_by_a_minus(self, message: str) -> bool:
        """Whether the option that the message names is followed by a word with a minus that is no option."""
        names = message.removeprefix("argument ").partition(":")[0].split("/")
        after = [following for word, following in pairwise(self._words) if word in names]
        return any(word.startswith("-") and word.partition("=")[0] not in self._option_string_actions for word in after)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never raises, except for ``--help`` and ``--version`` neither.

    Parameters
    ----------
    argv : the words after the program's name; ``sys.argv[1:]`` when None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A console that cannot show a character (Windows code pages, LANG=C) must not end the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with _quiet_libraries():
        code = _run(words)
    return flush_quietly(code)


def _run(words: list[str]) -> int:
    try:
        arguments = _parse(words)
        return int(arguments.run(arguments))
    except SystemExit as end:  # argparse's way out of --help and --version
        return end.code if isinstance(end.code, int) else 0
    except OsteoScreenError as error:
        print_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        print_error("Interrupted; nothing was written.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (`osteoscreen … | head`); what counts is on disk already.
        return 0
    except MemoryError:
        print_error("There is not enough memory for this; close other programs, or use a smaller scan.")
        return EXIT_UNEXPECTED
    except Exception as error:
        print_error(_refused_by_the_system(error) or _ours(error, words))
        return EXIT_UNEXPECTED


def _refused_by_the_system(error: Exception) -> str | None:
    """What the system refused, where none of the readers and writers has said it in its own words."""
    if isinstance(error, PermissionError):
        place = f"{error.filename} may not be opened" if error.filename else "A file may not be opened"
        return f"{place} ({system_reason(error)}); ask for the right to, or name another one."
    return "The disk is full; make room on it, then give the same command again." if is_disk_full(error) else None


def _ours(error: Exception, words: Sequence[str]) -> str:
    log = write_error_log(error, words)
    where = f" The details are in {log}; please report them." if log else ""
    return f"Something went wrong inside OsteoScreen ({type(error).__name__}).{where}"


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="osteoscreen", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"osteoscreen {__version__}")
    group = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=_Parser)
    for command in _commands(words):
        sub = group.add_parser(command.NAME, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        group.choices.get(arguments.command, parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command is None:
        parser.print_help()
        raise SystemExit(UsageError.exit_code)
    return arguments


def _commands(words: list[str]) -> list[Command]:
    """The named command alone when it is there, else every command; so nothing is imported that is not used."""
    names = _command_modules()
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name in names:
        if wanted is not None and name.rpartition(".")[2] == wanted.replace("-", "_"):
            names = [name]
            break
    return [cast(Command, importlib.import_module(name)) for name in names]


def _command_modules() -> list[str]:
    from . import COMMANDS

    names = list(COMMANDS)
    if importlib.util.find_spec(_TRAINING) is not None:
        names += getattr(importlib.import_module(f"{_TRAINING}.cli"), "COMMANDS", ())
    return names


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the libraries' own warnings off the console: what matters of them is said by a check or an error."""
    root = logging.getLogger()
    handler = logging.NullHandler()
    root.addHandler(handler)  # without any handler, logging prints warnings to stderr
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
