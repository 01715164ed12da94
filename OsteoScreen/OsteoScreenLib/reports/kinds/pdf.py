"""pdf: the report on one sheet."""

from __future__ import annotations

from .registry import Output, OutputKind, writes

FILE = "report.pdf"


@writes({"pdf": OutputKind((FILE,), "the report on one sheet", packages=("reportlab",))})
def write_sheet(output: Output) -> None:
    """Write the sheet."""
    from ...results_io import write_bytes_atomically

    write_bytes_atomically(output.sheet, output.folder / FILE)
