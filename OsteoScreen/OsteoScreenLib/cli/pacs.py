"""``osteoscreen pacs``: find, fetch and send on a DICOMweb server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .console import ConsoleProgress, print_error, print_lines
from .pacs_options import add_connection_options, connected, resumable, send

if TYPE_CHECKING:
    from ..pacs.finding import FoundSeries, FoundStudy

NAME = "pacs"
HELP = "Find and fetch studies on a DICOMweb server (a PACS), and send results to it."

_SERVER = "the server: its URL (https://host/dicom-web) or the name that `pacs add` gave it"
#: Longer descriptions are cut in a table.
_LONGEST_CELL = 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options to ``parser``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _add_find(actions.add_parser("find", help="list studies and their series, without patients' names and numbers"))
    fetch = actions.add_parser(
        "fetch", help="fetch a series, or all CT series of a study; goes on where it was stopped"
    )
    fetch.add_argument("server", metavar="SERVER", help=_SERVER)
    fetch.add_argument("study", metavar="STUDY_UID", help="the Study Instance UID, as `pacs find` shows it")
    fetch.add_argument("series", metavar="SERIES_UID", nargs="?", help="the Series Instance UID, of any modality")
    fetch.add_argument("-o", "--output", metavar="FOLDER", required=True, help="the folder to fetch into")
    add_connection_options(fetch)
    sending = actions.add_parser("send", help="send DICOM files; what the server has accepted before is not sent again")
    sending.add_argument("server", metavar="SERVER", help=_SERVER)
    sending.add_argument("path", metavar="FILE|FOLDER", nargs="+", help="DICOM files, or folders that hold *.dcm")
    add_connection_options(sending)
    login = actions.add_parser("login", help="ask for a user's name and password, and store them in the keyring")
    login.add_argument("server", metavar="SERVER", help=_SERVER)
    login.add_argument("--token", action="store_true", help="ask for an access token (Bearer) instead")
    login.add_argument("--insecure-http", action="store_true", help="for a server that has no https")
    logout = actions.add_parser("logout", help="remove a server's credentials from the keyring")
    logout.add_argument("server", metavar="SERVER", help=_SERVER)
    actions.add_parser("servers", help="list the servers that have a name")
    add = actions.add_parser("add", help="give a server a name")
    add.add_argument("name", metavar="NAME", help="letters, digits, dots, dashes, underscores")
    add.add_argument("url", metavar="URL", help="where its DICOMweb services begin, as https://host/dicom-web")
    add.add_argument("--ca-file", metavar="FILE", help="the certificates to trust (PEM), for this server")
    add.add_argument("--insecure-http", action="store_true", help="for a server that has no https")
    remove = actions.add_parser("remove", help="forget a server's name")
    remove.add_argument("name", metavar="NAME", help="the name that `pacs add` gave it")


def _add_find(find: argparse.ArgumentParser) -> None:
    find.add_argument("server", metavar="SERVER", help=_SERVER)
    find.add_argument("--patient-id", metavar="ID", default="", help="the patient's number (* and ? stand for any)")
    find.add_argument("--accession", metavar="NUMBER", default="", help="the accession number")
    find.add_argument(
        "--study-date", metavar="FROM-TO", default="", help="a day, 20240131, or a range, 20240101-20240630"
    )
    find.add_argument(
        "--modality", metavar="CT", default="", help="studies that hold this modality, and its series alone"
    )
    find.add_argument("--limit", metavar="N", type=int, default=50, help="at most so many studies (default: 50)")
    find.add_argument(
        "--with-identity", action="store_true", help="show patients' names, numbers and accession numbers"
    )
    add_connection_options(find)


def run(arguments: argparse.Namespace) -> int:
    """Run one action; returns 0.  Raises UsageError, PacsError (an InputError) or OsteoScreenError with the reason."""
    return _ACTIONS[arguments.action](arguments)


def _find(arguments: argparse.Namespace) -> int:
    from ..pacs.finding import Wanted, find_series, find_studies

    if arguments.limit < 1:
        raise UsageError("At least one study is looked for; give --limit 1 or more.")
    wanted = Wanted(arguments.patient_id, arguments.accession, arguments.study_date, arguments.modality)
    with connected(arguments, arguments.server) as connection, ConsoleProgress() as progress:
        progress("Asking the server", 0, 0)
        studies, more = find_studies(connection, wanted, arguments.limit)
        lines = []
        for n, study in enumerate(studies):
            progress("Asking the server", n, len(studies))
            series = find_series(connection, study.uid)
            shown = [s for s in series if arguments.modality in ("", s.modality)]
            lines += _study_lines(study, shown, arguments.with_identity)
    print_lines(lines)
    if not studies:
        print_error("No study fits, or you may not see any.")
    if more:
        print_error(f"There are more studies than {arguments.limit}; narrow the search, or give --limit.")
    return 0


def _study_lines(study: FoundStudy, series: Sequence[FoundSeries], with_identity: bool) -> list[str]:
    date = study.date if len(study.date) == 8 and study.date.isdigit() else "no date"
    modalities = ",".join(_cell(each) for each in study.modalities) or "-"
    lines = [f"study {study.uid}  {_cell(date)}  {modalities}  {_cell(study.description)}".rstrip()]
    if with_identity:
        named = (("patient", study.patient_name), ("number", study.patient_id), ("accession", study.accession))
        lines.append("  " + "  ".join(f"{what} {_cell(value) or '-'}" for what, value in named))
    rows = [
        (
            f"series {each.uid}",
            _cell(each.modality) or "-",
            f"{'?' if each.instances is None else each.instances} {'slices' if each.modality == 'CT' else 'objects'}",
            f"{_cell(each.thickness_mm)} mm" if each.thickness_mm else "-",
            _cell(each.kernel) or "-",
            _cell(each.description),
        )
        for each in series
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines


def _cell(text: str) -> str:
    from ..printable import one_line

    return one_line(text, _LONGEST_CELL)


def _fetch(arguments: argparse.Namespace) -> int:
    from ..pacs.fetching import fetch_study

    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name a folder with -o.")
    with (
        resumable("what came stays, and the same command goes on from there"),
        connected(arguments, arguments.server) as connection,
        ConsoleProgress() as progress,
    ):
        fetched = fetch_study(connection, arguments.study, folder, arguments.series, progress)
    lines = [f"series {uid}: {count} instances" for uid, count in fetched.series.items()]
    print_lines([*lines, f"{fetched.came} came and {fetched.were_there} were there already: {folder}"])
    return 0


def _send(arguments: argparse.Namespace) -> int:
    from ..pacs.storing import objects_at

    paths = objects_at([Path(each) for each in arguments.path])
    with (
        resumable("what was sent stays, and the same command goes on from there"),
        connected(arguments, arguments.server) as connection,
        ConsoleProgress() as progress,
    ):
        send(connection, paths, progress, print_lines)
    return 0


def _login(arguments: argparse.Namespace) -> int:
    from getpass import getpass

    from ..pacs.credentials import Credentials, store
    from ..pacs.servers import find_server

    server = find_server(arguments.server, insecure_http=arguments.insecure_http)
    if not sys.stdin.isatty():
        raise UsageError(
            "A password is asked for on a terminal; in a script set OSTEOSCREEN_DICOMWEB_USER and _PASSWORD."
        )
    try:
        if arguments.token:
            credentials = Credentials(token=getpass(f"Access token for {server.url}: "))
        else:
            user = input(f"User name for {server.url}: ")
            credentials = Credentials(user, getpass(f"Password of {user}: "))
    except EOFError:
        raise UsageError("Nothing was typed, so nothing was stored; try again.") from None
    store(server.url, credentials)
    print_lines([f"Stored in this computer's keyring for {server.url}."])
    return 0


def _logout(arguments: argparse.Namespace) -> int:
    from ..pacs.credentials import forget
    from ..pacs.servers import find_server

    server = find_server(arguments.server, insecure_http=True)
    found = forget(server.url)
    print_lines([f"{'Removed' if found else 'There was nothing'} in this computer's keyring for {server.url}."])
    return 0


def _servers(arguments: argparse.Namespace) -> int:
    from ..pacs.servers import named_servers, settings_file

    known = named_servers()
    lines = [f"{name}  {entry['url']}" for name, entry in sorted(known.items())]
    print_lines(lines or [f"No server has a name; `osteoscreen pacs add NAME URL` writes one into {settings_file()}."])
    return 0


def _add(arguments: argparse.Namespace) -> int:
    from ..pacs.servers import name_server

    path = name_server(arguments.name, arguments.url, arguments.ca_file, insecure_http=arguments.insecure_http)
    print_lines([f"{arguments.name} is in {path}; `osteoscreen pacs login {arguments.name}` stores credentials."])
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from ..pacs.servers import forget_server

    print_lines([f"{arguments.name} is no longer in {forget_server(arguments.name)}."])
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "find": _find,
    "fetch": _fetch,
    "send": _send,
    "login": _login,
    "logout": _logout,
    "servers": _servers,
    "add": _add,
    "remove": _remove,
}
