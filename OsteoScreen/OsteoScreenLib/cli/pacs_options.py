"""What the commands that talk to a DICOMweb server share: options, the connection, and what became of objects."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OsteoScreenError, UsageError
from ..progress import Progress
from .application import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from ..pacs.transport import Connection


def add_connection_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options of every command that talks to a server."""
    parser.add_argument("--ca-file", metavar="FILE", help="the certificates to trust (PEM), for a server of your own")
    parser.add_argument("--timeout", metavar="S", type=float, help="wait so long for a server that says nothing (30)")
    parser.add_argument(
        "--insecure-http", action="store_true", help="let plain http go over the network, unprotected as it is"
    )


class Interrupted(OsteoScreenError):
    """The user ended a transfer; the exit code is that of any interrupted command."""

    exit_code = EXIT_INTERRUPTED


@contextmanager
def resumable(what: str) -> Iterator[None]:
    """Say of an interruption what becomes of a transfer.  Raises Interrupted with ``what`` stays."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; {what}.") from None


def connected(arguments: argparse.Namespace, server: str) -> Connection:
    """A connection to a server by the options of `add_connection_options`.  Raises UsageError."""
    from ..pacs.servers import find_server
    from ..pacs.transport import Connection, Patience

    patience = Patience()
    if arguments.timeout is not None:
        if not 0 < arguments.timeout <= 3600:
            raise UsageError("A timeout is more than 0 and at most 3600 seconds; give another.")
        patience = Patience(connect_s=arguments.timeout, read_s=arguments.timeout)
    found = find_server(server, ca_file=arguments.ca_file, insecure_http=arguments.insecure_http)
    return Connection(found, patience)


def send(
    connection: Connection, paths: Sequence[Path], progress: Progress, say: Callable[[Iterable[str]], None]
) -> None:
    """Send files and say what became of each.  Raises PacsError where the server did not take them all."""
    from ..pacs.errors import PacsError
    from ..pacs.storing import send_objects

    results = send_objects(connection, paths, progress)
    say(f"{each.path.name}: {each.outcome}{f' ({each.reason})' if each.reason else ''}" for each in results)
    failed = [each for each in results if each.outcome == "failed"]
    if failed:
        raise PacsError(
            f"{connection.server.host} did not store {len(failed)} of {len(results)} objects ({failed[0].path.name}: "
            f"{failed[0].reason}); sent again, only those go."
        )
