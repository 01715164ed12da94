"""Stands for the SampleData module: notes the registered data, loads what lies on this machine, downloads nothing."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

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

    @staticmethod
    def sampleDataSourcesByCategory(category: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(**source) for source in records.sample_data if source["category"] == category]


def downloadSample(sampleName: str) -> Any:
    """Return the node of a registered sample that is one file on this machine; ValueError where it is not its sum."""
    import slicer

    source = next((source for source in records.sample_data if source.get("sampleName") == sampleName), None)
    if source is None or not isinstance(source["uris"], str) or urlsplit(source["uris"]).scheme != "file":
        raise RuntimeError(f"the host does not download sample data ({sampleName})")
    path = url2pathname(urlsplit(source["uris"]).path)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if source["checksums"] != f"SHA256:{digest}":
        raise ValueError(f"{path} has the checksum SHA256:{digest}, not {source['checksums']}")
    return slicer.util.loadNodeFromFile(path, source["loadFileTypes"], {"name": source["nodeNames"]})
