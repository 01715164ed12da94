"""In and out of a PACS by DICOMweb: find studies, fetch them, send results.  Nothing is sent unless it is asked for.

HTTP is that of requests, searches are those of dicomweb-client. Objects are fetched and stored here, because that
client parses and encodes them anew on the way (so that they are not the bytes that were stored), takes a message that
is cut short for a whole one, and does not try again after a lost connection.
"""

from __future__ import annotations

from .address import Address, is_address, parse_address, written
from .errors import PacsError
from .fetching import Fetched, fetch_study
from .finding import FoundSeries, FoundStudy, Wanted, find_series, find_studies
from .servers import Server, find_server
from .storing import Stored, objects_at, send_objects
from .transport import Connection, Patience

__all__ = [
    "Address",
    "Connection",
    "Fetched",
    "FoundSeries",
    "FoundStudy",
    "PacsError",
    "Patience",
    "Server",
    "Stored",
    "Wanted",
    "fetch_study",
    "find_series",
    "find_server",
    "find_studies",
    "is_address",
    "objects_at",
    "parse_address",
    "send_objects",
    "written",
]
