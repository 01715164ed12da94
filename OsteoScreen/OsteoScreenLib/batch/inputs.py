"""Where a study's inputs are: fetched where they lie on a server, and told apart when they are missing or gone."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..scan_place import ScanPlace
from .study import BatchStudy

#: What a share says that is there no more, or not just now. No study's own fault, as far as is known.
_LOST = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENODEV", "ENXIO", "EREMOTEIO")
    if hasattr(errno, name)
)


#: How a folder of what was fetched is named, with the process that fetched it.
_FETCHED = "osteoscreen-fetched-"
#: How often it is swept: a process that ends may still be fetching meanwhile.
_SWEEPS = 3


@contextmanager
def scan_place(study: BatchStudy) -> Iterator[ScanPlace]:
    """Give the place of the study's scan; what was fetched for it is removed afterwards.

    Raises UsageError for an address that is none, PacsError for what the server does not give.
    """
    from ..pacs.address import is_address, parse_address

    if not is_address(study.ct):
        yield ScanPlace(study.ct)
        return
    from ..pacs.fetching import fetch_study
    from ..pacs.servers import find_server
    from ..pacs.transport import Connection

    address = parse_address(study.ct)
    # A stack of a series that holds several is named by the series and a number; see `OsteoScreenLib.ct`.
    series = address.series_uid or (study.series.partition("#")[0] if study.series else None)
    with (
        tempfile.TemporaryDirectory(prefix=f"{_FETCHED}{os.getpid()}-", ignore_cleanup_errors=True) as folder,
        Connection(find_server(address.server)) as connection,
    ):
        fetched = Path(folder) / address.study_uid
        fetch_study(connection, address.study_uid, fetched, series, threads=1)
        yield ScanPlace(str(fetched / series if series else fetched), connection.server, address)


def sweep_fetched(pid: int) -> None:
    """Remove what a process had fetched that was killed, or ends now: a patient's scans must not stay behind."""
    for _ in range(_SWEEPS):
        left = list(Path(tempfile.gettempdir()).glob(f"{_FETCHED}{pid}-*"))
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        if not left:
            return


def local_inputs(study: BatchStudy) -> list[str]:
    """Return the paths that the study is read from on this computer."""
    from ..pacs.address import is_address

    paths = (study.ct, study.levels_from, study.masks)
    return [path for path in paths if path is not None and not is_address(path)]


def found_at(study: BatchStudy) -> tuple[str, str] | None:
    """Return the device that the scan lies on and the scan's path, None where it is not there or on a server."""
    for path in local_inputs(study)[:1]:
        try:
            return str(os.stat(path).st_dev), path
        except (OSError, ValueError):
            return None
    return None


def bring_near(study: BatchStudy, *, whole: bool) -> None:
    """Have the system read what lies on this computer's disks and shares of a study; ``whole`` where every slice of the
    scan is needed."""
    from .near import bring_near as bring

    for path in local_inputs(study):
        bring(path, whole=whole or path != study.ct)


def missing_input(study: BatchStudy) -> bool:
    """Return whether anything that the study is read from is not there."""
    return not all(_is_there(path) for path in local_inputs(study))


def are_there(witnesses: Sequence[str]) -> bool:
    """Return whether the scans that were there before all still are."""
    return all(_is_there(path) for path in witnesses)


def is_server_away(study: BatchStudy) -> bool:
    """Return whether the scan lies on a server that does not even answer whether it has any study."""
    from ..pacs.address import is_address, parse_address
    from ..pacs.errors import PacsError, Temporary
    from ..pacs.servers import find_server
    from ..pacs.transport import Connection

    if not is_address(study.ct):
        return False
    try:
        with Connection(find_server(parse_address(study.ct).server)) as connection:
            connection.attempt(lambda: connection.ask("GET", f"{connection.server.url}/studies?limit=1"))
    except Temporary:
        return True
    except PacsError:
        return False
    return False


def is_lost(error: BaseException) -> bool:
    """Return whether an error, or what it came of, says that a share or a server could not be reached."""
    from ..pacs.errors import Temporary

    chained: BaseException | None = error
    while chained is not None:
        if isinstance(chained, Temporary) or (isinstance(chained, OSError) and chained.errno in _LOST):
            return True
        chained = chained.__cause__ or chained.__context__
    return False


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True
