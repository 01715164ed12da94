"""``osteoscreen screen`` from and to a DICOMweb server."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OsteoScreenError, UsageError
from ..progress import Progress
from ..reports.kinds import chosen_kinds, dicom_kinds
from ..scan_place import ScanPlace
from .console import ConsoleProgress, print_lines
from .pacs_options import add_connection_options, connected, resumable, send

if TYPE_CHECKING:
    from ..pacs.address import Address


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `screen` can be told of a server."""
    group = parser.add_argument_group("from and to a PACS (DICOMweb; see `osteoscreen pacs --help`)")
    group.add_argument("--send", metavar="SERVER", help="send the DICOM objects that were written to this server")
    group.add_argument("--keep-fetched", metavar="FOLDER", help="keep a CT that came from a server here")
    add_connection_options(group)


@contextmanager
def ct_place(arguments: argparse.Namespace, progress: Progress) -> Iterator[ScanPlace]:
    """Give the place of the CT, fetched if it is on a server; what was fetched is removed afterwards, unless kept.

    Raises UsageError for options that do not go together, and PacsError for what the server does not give.
    """
    from ..pacs.address import is_address, parse_address

    address = parse_address(arguments.ct) if is_address(arguments.ct) else None
    _check(arguments, address)
    if address is None:
        yield ScanPlace(arguments.ct)
        return
    if arguments.keep_fetched is not None:
        yield ScanPlace(_fetched(arguments, address, Path(arguments.keep_fetched), progress).path)
        return
    with tempfile.TemporaryDirectory(prefix="osteoscreen-fetched-", ignore_cleanup_errors=True) as folder:
        yield _fetched(arguments, address, Path(folder), progress)


def _check(arguments: argparse.Namespace, address: Address | None) -> None:
    from ..pacs.credentials import refuse_shared
    from ..pacs.servers import find_server

    if arguments.send is not None and not dicom_kinds().intersection(chosen_kinds(arguments.write)):
        raise UsageError("A server takes DICOM objects, and none would be written; add `--write dicom` to --send.")
    if arguments.keep_fetched is not None and address is None:
        raise UsageError("--keep-fetched is for a CT that comes from a server; leave it out.")
    if address is not None and address.series_uid and arguments.series:
        raise UsageError("The series stands in the CT's address already; leave --series out.")
    names = [name for name in (address and address.server, arguments.send) if name]
    servers = [find_server(name, insecure_http=arguments.insecure_http) for name in names]
    refuse_shared(servers)


def _fetched(arguments: argparse.Namespace, address: Address, folder: Path, progress: Progress) -> ScanPlace:
    from ..pacs.fetching import fetch_study

    # A stack of a series that holds several is named by the series and a number; see `OsteoScreenLib.ct`.
    series = address.series_uid or (arguments.series.partition("#")[0] if arguments.series else None)
    study = folder / address.study_uid
    with connected(arguments, address.server) as connection:
        fetch_study(connection, address.study_uid, study, series, progress)
        return ScanPlace(str(study / series if series else study), connection.server, address)


def dicom_objects(folder: Path) -> list[str]:
    """The names of the DICOM objects that a run wrote into its folder."""
    return sorted(path.name for path in folder.glob("*.dcm"))


def send_output(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Send what this run wrote, and nothing else that lies in the output folder.

    Raises what `pacs send` raises, saying where the results are, and how to send them without screening again, which
    would make other objects of them.
    """
    folder = Path(arguments.output)
    try:
        with (
            resumable("what was sent stays"),
            connected(arguments, arguments.send) as connection,
            ConsoleProgress() as progress,
        ):
            send(connection, [folder / name for name in names], progress, _silent if arguments.json else print_lines)
    except OsteoScreenError as problem:
        again = f"`osteoscreen pacs send {arguments.send} {folder}`"
        raise type(problem)(
            f"The results are in {folder}, but were not all sent ({again} sends them): {problem}"
        ) from None


def _silent(lines: Iterable[str]) -> None:
    """Standard output is the result's, where it is JSON."""
    for _ in lines:
        pass
