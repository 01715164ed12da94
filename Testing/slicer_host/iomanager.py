"""Stands for the IO manager: files go through MRML's own logics and storage nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk

# By the end of the name; the longest that fits counts.
TYPES = {
    ".nrrd": "VolumeFile",
    ".nhdr": "VolumeFile",
    ".nii": "VolumeFile",
    ".nii.gz": "VolumeFile",
    ".mha": "VolumeFile",
    ".mhd": "VolumeFile",
    ".dcm": "VolumeFile",
    ".seg.nrrd": "SegmentationFile",
    ".seg.nhdr": "SegmentationFile",
    ".mrk.json": "MarkupsFile",
    ".fcsv": "MarkupsFile",
    ".csv": "TableFile",
    ".tsv": "TableFile",
    ".txt": "TextFile",
    ".json": "TextFile",
    ".h5": "TransformFile",
    ".tfm": "TransformFile",
    ".vtk": "ModelFile",
    ".vtp": "ModelFile",
    ".stl": "ModelFile",
    ".ply": "ModelFile",
    ".obj": "ModelFile",
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
}

WRITERS = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLVolumeNode": "VolumeFile",
    "vtkMRMLMarkupsNode": "MarkupsFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLTextNode": "TextFile",
    "vtkMRMLTransformNode": "TransformFile",
    "vtkMRMLModelNode": "ModelFile",
}


class qSlicerCoreIOManager:
    """Loads and saves."""

    def fileType(self, path: str) -> str:
        name = str(path).lower()
        ends = [end for end in TYPES if name.endswith(end)]
        return TYPES[max(ends, key=len)] if ends else ""

    def fileWriterFileType(self, node: Any, path: str = "") -> str:
        return next((kind for cls, kind in WRITERS.items() if node.IsA(cls)), "NoFile")

    def loadNodes(self, kind: str, properties: dict, loaded: Any = None, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if not Path(path).exists():
            return self._fail(messages, f"there is no file {path}")
        loader = getattr(self, "_load" + kind, None)
        if loader is None:
            return self._fail(messages, f"the host does not load {kind}s ({path})")
        node = loader(path, properties, messages)
        if node is True or node is None or node is False:
            return bool(node)
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def saveNodes(self, kind: str, properties: dict, messages: Any = None) -> bool:
        path = Path(str(properties["fileName"]))
        if kind == "SceneFile":
            return self._save_scene(path, properties, messages)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node is None:
            return self._fail(messages, "there is no such node in the scene")
        storage = node.GetStorageNode()
        if storage is None or not storage.SupportedFileType(str(path)):
            if not node.AddDefaultStorageNode():
                return self._fail(messages, f"a {node.GetClassName()} cannot be saved")
            storage = node.GetStorageNode()
        if "useCompression" in properties:
            storage.SetUseCompression(properties["useCompression"])
        storage.SetFileName(str(path))
        return bool(storage.WriteData(node))

    @staticmethod
    def _fail(messages: Any, text: str) -> bool:
        if messages is not None:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
        return False

    @staticmethod
    def _name(path: str, properties: dict) -> str:
        name = Path(path).name
        for end in sorted(TYPES, key=len, reverse=True):
            if name.lower().endswith(end):
                name = name[: -len(end)]
                break
        return properties.get("name") or name

    def _loadVolumeFile(self, path: str, properties: dict, messages: Any) -> Any:
        logic = slicer.modules.volumes.logic()
        options = sum(
            bit
            for key, bit in [("labelmap", 1), ("center", 2), ("singleFile", 4), ("discardOrientation", 16)]
            if properties.get(key)
        )
        options |= 8 if properties.get("autoWindowLevel", True) else 0
        node = logic.AddArchetypeVolume(path, self._name(path, properties), options, None, messages)
        if node is not None and properties.get("show", True):
            selection = slicer.app.applicationLogic().GetSelectionNode()
            if node.IsA("vtkMRMLLabelMapVolumeNode"):
                selection.SetActiveLabelVolumeID(node.GetID())
            else:
                selection.SetActiveVolumeID(node.GetID())
            slicer.app.applicationLogic().PropagateVolumeSelection()
        return node

    def _loadSegmentationFile(self, path: str, properties: dict, messages: Any) -> Any:
        colors = slicer.mrmlScene.GetNodeByID(properties.get("colorNodeID") or "")
        logic = slicer.modules.segmentations.logic()
        opacities = properties.get("autoOpacities", True)
        return logic.LoadSegmentationFromFile(path, opacities, self._name(path, properties), colors, messages)

    def _loadMarkupsFile(self, path: str, properties: dict, messages: Any) -> Any:
        node_id = slicer.modules.markups.logic().LoadMarkups(path, self._name(path, properties), messages)
        return slicer.mrmlScene.GetNodeByID(node_id) if node_id else None

    def _loadTableFile(self, path: str, properties: dict, messages: Any) -> Any:
        return slicer.modules.tables.logic().AddTable(path, self._name(path, properties), True, None, messages)

    def _loadTransformFile(self, path: str, properties: dict, messages: Any) -> Any:
        return slicer.modules.transforms.logic().AddTransform(path, slicer.mrmlScene)

    def _loadModelFile(self, path: str, properties: dict, messages: Any) -> Any:
        return slicer.modules.models.logic().AddModel(path)

    def _loadTextFile(self, path: str, properties: dict, messages: Any) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", self._name(path, properties))
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextStorageNode")
        storage.SetFileName(path)
        node.SetAndObserveStorageNodeID(storage.GetID())
        if not storage.ReadData(node):
            slicer.mrmlScene.RemoveNode(node)
            return None
        return node

    def _loadSceneFile(self, path: str, properties: dict, messages: Any) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            folder = slicer.util.tempDirectory()
            if properties.get("clear"):
                scene.Clear(False)
            return bool(slicer.app.applicationLogic().OpenSlicerDataBundle(path, folder))
        scene.SetURL(path)
        return bool(scene.Connect(messages) if properties.get("clear") else scene.Import(messages))

    def _save_scene(self, path: Path, properties: dict, messages: Any) -> bool:
        scene = slicer.mrmlScene
        if path.suffix.lower() == ".mrml":
            scene.SetURL(str(path))
            scene.SetRootDirectory(str(path.parent))
            return bool(scene.Commit(str(path), messages))
        if path.suffix.lower() == ".mrb":
            return bool(scene.WriteToMRB(str(path), None, messages))
        path.mkdir(parents=True, exist_ok=True)
        return bool(slicer.app.applicationLogic().SaveSceneToSlicerDataBundleDirectory(str(path), None, messages))
