"""csv: one row for a spreadsheet."""

from __future__ import annotations

from .registry import Output, OutputKind, writes

FILE = "result.csv"


@writes({"csv": OutputKind((FILE,), "one row for a spreadsheet")})
def write_row(output: Output) -> None:
    """Write the screening as a table of one row."""
    from ..table import write_table

    write_table([output.screening.result], output.folder / FILE)
