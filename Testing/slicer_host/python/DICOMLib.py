"""Stands for ``DICOMLib`` and ``slicer.dicomDatabase``: files that are registered or imported, read with pydicom."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


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


class DICOMUtils:
    """Slicer's functions (a module there) for importing into a database, and for loading a series of even axial CT."""

    @staticmethod
    def openTemporaryDatabase(directory: str | None = None) -> Any:
        """Put an empty database with a folder of its own in the place of the present one, which is returned."""
        import slicer

        before, slicer.dicomDatabase = slicer.dicomDatabase, ctkDICOMDatabase()
        folder = directory or tempfile.mkdtemp(prefix="TempDICOMDatabase-")
        slicer.dicomDatabase.databaseFilename = str(Path(folder) / "ctkDICOM.sql")
        return before

    @staticmethod
    def closeTemporaryDatabase(originalDatabaseDir: Any, cleanup: bool = True) -> bool:
        """Put the database of before back, which `openTemporaryDatabase` returned."""
        import slicer

        folder = Path(slicer.dicomDatabase.databaseFilename).parent
        slicer.dicomDatabase = originalDatabaseDir
        if cleanup:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    @staticmethod
    def importDicom(dicomDataDir: str, dicomDatabase: Any = None, copyFiles: bool = False) -> bool:
        """Register the DICOM files below a folder, or copies of them in the database's folder."""
        import slicer

        database = dicomDatabase or slicer.dicomDatabase
        files = [path for path in sorted(Path(dicomDataDir).rglob("*")) if path.is_file() and _is_dicom(path)]
        if copyFiles:
            folder = Path(database.databaseFilename).parent / "dicom"
            folder.mkdir(parents=True, exist_ok=True)
            files = [Path(shutil.copyfile(path, folder / f"{_uid(path)}.dcm")) for path in files]
        database.register(*files)
        return True

    @staticmethod
    def loadSeriesByUID(seriesUIDs: list[str], messages: Any = None, progressCallback: Any = None) -> list[str]:
        """Load series as scalar volumes, below their patient and study in the subject hierarchy."""
        import slicer

        return [_load(slicer.dicomDatabase.filesForSeries(uid)).GetID() for uid in seriesUIDs]


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _uid(path: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def _load(files: list[str]) -> Any:
    """The volume of a series whose slices are even and axial."""
    import pydicom
    import slicer

    slices = sorted((pydicom.dcmread(path) for path in files), key=lambda s: float(s.ImagePositionPatient[2]))
    first = slices[0]
    hu = np.empty((len(slices), first.Rows, first.Columns), np.int16)
    for plane, s in zip(hu, slices, strict=True):
        plane[:] = s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept)
    step = (float(slices[-1].ImagePositionPatient[2]) - float(first.ImagePositionPatient[2])) / max(len(slices) - 1, 1)
    x, y, z = (float(value) for value in first.ImagePositionPatient)
    row, column = (float(value) for value in first.PixelSpacing)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", str(first.get("SeriesDescription", "CT")))
    slicer.util.updateVolumeFromArray(node, hu)
    matrix = [[-column, 0, 0, -x], [0, -row, 0, -y], [0, 0, step, z], [0, 0, 0, 1]]
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.array(matrix, dtype=float)))
    node.CreateDefaultDisplayNodes()
    node.SetAttribute("DICOM.instanceUIDs", " ".join(str(s.SOPInstanceUID) for s in slices))
    _place(node, first)
    return node


def _place(node: Any, header: Any) -> None:
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    scene, name = hierarchy.GetSceneItemID(), constants.GetDICOMUIDName()
    patient = hierarchy.GetItemByUID(name, str(header.PatientID))
    if not patient:
        patient = hierarchy.CreateSubjectItem(scene, str(header.PatientName))
        hierarchy.SetItemUID(patient, name, str(header.PatientID))
        hierarchy.SetItemAttribute(patient, constants.GetDICOMPatientIDAttributeName(), str(header.PatientID))
    study = hierarchy.GetItemByUID(name, str(header.StudyInstanceUID))
    if not study:
        study = hierarchy.CreateStudyItem(patient, str(header.get("StudyDescription", "")))
        hierarchy.SetItemUID(study, name, str(header.StudyInstanceUID))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)
