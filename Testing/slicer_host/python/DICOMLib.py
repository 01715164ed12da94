"""Stands for ``DICOMLib`` and ``slicer.dicomDatabase``: the files that a test registers, read with pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class ctkDICOMDatabase:
    """The questions that modules ask of Slicer's DICOM database."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}  # SOP instance UID to path
        self._read: dict[str, Any] = {}
        self.isOpen = True
        self.databaseFilename = ""

    def register(self, *paths: str | Path) -> list[str]:
        """Register files and folders (a test calls this); return the instances' UIDs."""
        uids = []
        for path in map(Path, paths):
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    uid = str(self._dataset(str(file)).SOPInstanceUID)
                    self._files[uid] = str(file)
                    uids.append(uid)
        return uids

    def clear(self) -> None:
        """Forget every file (a test calls this)."""
        self._files.clear()
        self._read.clear()

    def fileForInstance(self, uid: str) -> str:
        return self._files.get(uid, "")

    def instanceForFile(self, path: str) -> str:
        return next((uid for uid, file in self._files.items() if file == path), "")

    def instanceValue(self, uid: str, tag: str) -> str:
        path = self.fileForInstance(uid)
        return self.fileValue(path, tag) if path else ""

    def fileValue(self, path: str, tag: str) -> str:
        """Return a value by its tag (``"0008,0060"``); parts are joined by backslashes, what is missing is empty."""
        group, element = (int(part, 16) for part in tag.split(","))
        found = self._dataset(path).get((group, element))
        value = "" if found is None or found.value is None else found.value
        return (
            "\\".join(map(str, value))
            if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
            else str(value)
        )

    def _values(self, keyword: str, **wanted: str) -> list[str]:
        sets = [self._dataset(path) for path in self._files.values()]
        fits = [s for s in sets if all(str(s.get(key, "")) == value for key, value in wanted.items())]
        return list(dict.fromkeys(str(s.get(keyword, "")) for s in fits))

    def patients(self) -> list[str]:
        return self._values("PatientID")

    def studiesForPatient(self, patient: str) -> list[str]:
        return self._values("StudyInstanceUID", PatientID=patient)

    def seriesForStudy(self, study: str) -> list[str]:
        return self._values("SeriesInstanceUID", StudyInstanceUID=study)

    def instancesForSeries(self, series: str) -> list[str]:
        return self._values("SOPInstanceUID", SeriesInstanceUID=series)

    def filesForSeries(self, series: str) -> list[str]:
        return [self._files[uid] for uid in self.instancesForSeries(series)]

    def _dataset(self, path: str) -> Any:
        if path not in self._read:
            import pydicom

            self._read[path] = pydicom.dcmread(path, stop_before_pixels=True)
        return self._read[path]
