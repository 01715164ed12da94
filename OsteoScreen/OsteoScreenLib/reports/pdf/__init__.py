"""The report as a PDF of one A4 sheet: the page in short, for paper, for a file beside the scan, and for DICOM."""

from __future__ import annotations

from .sheet import render_pdf, write_pdf

__all__ = ["render_pdf", "write_pdf"]
