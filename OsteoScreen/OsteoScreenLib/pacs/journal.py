"""Which objects a server has accepted, written beside them, so that a repeated command sends what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from ..errors import OsteoScreenError, UsageError, system_reason
from .servers import Server, write_json

#: In the folder of the objects.
JOURNAL = "sent.json"


class Journal:
    """The journal of one folder and one server.

    An object is known by its SOP Instance UID and by the SHA-256 of its file, so that one that was written anew is
    sent anew.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        """Raises UsageError where the journal is damaged."""
        self.path = folder / JOURNAL
        self._url = server.url
        self._servers = self._read()

    def _read(self) -> dict[str, dict[str, dict[str, str]]]:
        try:
            servers = json.loads(self.path.read_text(encoding="utf-8"))["accepted"]
            if all(isinstance(e["sha256"], str) for entries in servers.values() for e in entries.values()):
                return dict(servers)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        raise UsageError(f"{self.path} is damaged, so it is not known what was sent; delete it to send all again.")

    def has(self, instance_uid: str, sha256: str) -> bool:
        """Whether the server has accepted just this object."""
        entry: Mapping[str, str] = self._servers.get(self._url, {}).get(instance_uid, {})
        return entry.get("sha256") == sha256

    def note(self, instance_uid: str, sha256: str) -> None:
        """Write down that the server has accepted an object.  Raises OsteoScreenError where that cannot be written."""
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._servers.setdefault(self._url, {})[instance_uid] = {"sha256": sha256, "when": when}
        self.write()

    def write(self) -> None:
        """Write the journal as it is.  Raises OsteoScreenError where the folder cannot be written to."""
        try:
            write_json(self.path, {"accepted": self._servers})
        except OSError as problem:
            raise OsteoScreenError(
                f"What was sent cannot be written down in {self.path}: {system_reason(problem)}; send from a folder "
                "that can be written to."
            ) from problem
