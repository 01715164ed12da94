"""What `osteoscreen batch` is given, in one word: a manifest, a folder tree, or a query to a DICOMweb server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..errors import UsageError
from .ids import hashed_id
from .study import BatchStudy

if TYPE_CHECKING:
    from ..pacs.finding import Wanted

_SCHEME = "dicomweb:"
#: What a query may ask for, by DICOM's keywords, and the part of `Wanted` that it is.
_KEYS = {
    "Modality": "modality",
    "StudyDate": "study_date",
    "PatientID": "patient_id",
    "AccessionNumber": "accession",
}
_QUERY_FORM = f"dicomweb:SERVER?{'&'.join(f'{key}=…' for key in _KEYS)}"


def read_studies(
    source: str,
    *,
    levels_pattern: str | None = None,
    ct_pattern: str | None = None,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    tell: Callable[[str], None] = lambda sentence: None,
) -> Iterator[BatchStudy]:
    """Give the studies of a batch one by one: of a list (:mod:`.manifest`), below a folder (:mod:`.tree`), or on a
    server (`query_studies`).

    ``levels_pattern``, ``ct_pattern`` and ``leave_out`` are those of `tree_studies`. ``tell`` is given a sentence on
    all that is left out: it may name files, so it is for the user's eyes and for no log.

    Raises UsageError for what is none of the three or does not go with a pattern, InputError for what cannot be read
    or a list with wrong rows, and PacsError for a server that does not answer as it should; also while studies are
    given.
    """
    if source.lower().startswith((_SCHEME, "https://", "http://")):
        _refuse_patterns(levels_pattern, ct_pattern)
        return query_studies(source)
    place = Path(source)
    if place.is_dir():
        from .tree import tree_studies

        return tree_studies(
            place,
            levels_pattern=levels_pattern,
            ct_pattern=ct_pattern,
            leave_out=leave_out,
            tell=lambda skipped: tell(f"Left out: {skipped.path}. {skipped.reason}"),
        )
    if not place.exists():
        raise UsageError(
            f"{source} is not there; name a manifest (CSV or Parquet), a folder, or a query such as {_QUERY_FORM}."
        )
    _refuse_patterns(levels_pattern, ct_pattern)
    from .manifest import read_manifest

    return read_manifest(place, tell)


def _refuse_patterns(*patterns: str | None) -> None:
    if any(pattern is not None for pattern in patterns):
        raise UsageError("Patterns are for a folder tree; a list and a server say themselves what is what.")


def query_studies(source: str) -> Iterator[BatchStudy]:
    """Give the studies that a server finds, each as its address there; what of it is fetched is decided later.

    The query is written as `dicomweb:SERVER?Modality=CT&StudyDate=20240101-20240630`, and asks for CT where it names no
    modality. The server is asked at once, and answers with at most 20000 studies.

    Raises UsageError for a query that cannot be, or that finds nothing, and PacsError where the server fails.
    """
    from ..pacs.address import written
    from ..pacs.errors import PacsError
    from ..pacs.finding import MOST_INSTANCES, find_studies
    from ..pacs.servers import find_server
    from ..pacs.transport import Connection

    server, wanted = _parsed(source)
    with Connection(find_server(server)) as connection:
        studies, more = find_studies(connection, wanted, MOST_INSTANCES)
        if more:
            raise PacsError(
                f"{connection.server.host} finds more than {MOST_INSTANCES} studies; narrow the dates and make several "
                "batches."
            )
        if not studies:
            raise UsageError(f"{connection.server.host} finds no such study; widen the query.")
        return iter(
            [BatchStudy(hashed_id(study.uid), written(connection.server, study.uid, None)) for study in studies]
        )


def _parsed(source: str) -> tuple[str, Wanted]:
    from ..pacs.finding import Wanted

    rest = source[len(_SCHEME) :] if source.lower().startswith(_SCHEME) else source
    server, _, query = rest.partition("?")
    if not server or re.search(r"/studies(/|$)", server):
        raise UsageError(f"A query to a server is written as {_QUERY_FORM}; a single study is screened by `screen`.")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=20)
    except ValueError:
        raise UsageError(f"The query cannot be read; write it as {_QUERY_FORM}.") from None
    keys = {key.lower(): key for key in _KEYS}
    values = {"modality": "CT"}
    for key, value in pairs:
        if key.lower() not in keys:
            raise UsageError(f"A query may ask for {', '.join(_KEYS)}, and not for {key[:40]!r}.")
        values[_KEYS[keys[key.lower()]]] = value
    return server, Wanted(**values)
