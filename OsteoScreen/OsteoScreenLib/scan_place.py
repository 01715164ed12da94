"""Where a scan lies that is screened: on this computer, or fetched to it from a server for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pacs.address import Address
    from .pacs.servers import Server
    from .results import ScreeningResult


@dataclass(frozen=True)
class ScanPlace:
    """Where the scan lies on this computer; with the server's address of it where it does not stay here."""

    path: str
    server: Server | None = None
    address: Address | None = None

    def name_source(self, result: ScreeningResult) -> None:
        """Put the address on the server in the place of a folder that will be gone."""
        if self.server is None or self.address is None:
            return
        from .pacs.address import written

        series = result.input.series_instance_uid
        result.input = replace(result.input, path=written(self.server, self.address.study_uid, series))
