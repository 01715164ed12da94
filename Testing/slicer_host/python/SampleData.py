"""Stands for the SampleData module: notes the registered data, downloads nothing."""

from __future__ import annotations

from typing import Any

from slicer_host.noting import records

KNOWN = {
    "category",
    "sampleName",
    "uris",
    "fileNames",
    "nodeNames",
    "customDownloader",
    "thumbnailFileName",
    "loadFileTypes",
    "loadFiles",
    "loadFileProperties",
    "sampleDescription",
    "checksums",
}


class SampleDataLogic:
    """Where modules register their sample data."""

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str = "", **more: Any) -> None:
        records.sample_data.append({"category": category, "title": title, **more})

    @staticmethod
    def registerCustomSampleDataSource(**source: Any) -> None:
        unknown = set(source) - KNOWN
        if unknown:
            raise TypeError(f"sample data have no {sorted(unknown)}")
        records.sample_data.append(source)


def downloadSample(name: str) -> Any:
    """Raise: the host downloads nothing."""
    raise RuntimeError(f"the host does not download sample data ({name})")
