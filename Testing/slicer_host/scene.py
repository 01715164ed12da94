"""The true scene with the true logics of Slicer's modules, connected as the application connects them."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
import vtk

LOGICS = {  # Slicer's name of the module, and the class of its logic
    "Colors": "vtkSlicerColorLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Models": "vtkSlicerModelsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SceneViews": "vtkSlicerSceneViewsModuleLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Reformat": "vtkSlicerReformatLogic",
    "Annotations": "vtkSlicerAnnotationModuleLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
}


def make_scene(app: Any) -> tuple[Any, dict[str, Any]]:
    """Make the scene with the logics that Slicer's modules bring; return the application logic and the others."""
    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    app_logic = slicer.vtkSlicerApplicationLogic()
    app_logic.SetTemporaryPath(app.temporaryPath)
    app_logic.SetHomeDirectory(app.slicerHome)
    app_logic.SetShareDirectory("share")
    app_logic.SetSliceLogics(vtk.vtkCollection())
    app_logic.SetViewLogics(vtk.vtkCollection())
    # Scenes that are read need a cache and a data-IO manager, even where nothing is remote.
    remote, data_io = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(app.temporaryPath)
    data_io.SetMRMLApplicationLogic(app_logic)
    data_io.SetAndObserveDataIOManager(remote.GetDataIOManager())
    app_logic.SetMRMLSceneDataIO(scene, remote, data_io)
    app_logic.SetMRMLScene(scene)
    remote.AddDataIOToScene()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    logics: dict[str, Any] = {"": (remote, data_io)}
    # Slicer's own terminologies and colour files are not in slicer-core: the logics would print that they miss them.
    vtk.vtkObject.GlobalWarningDisplayOff()
    for name, class_name in LOGICS.items():
        logic = getattr(slicer, class_name)()
        logics[name] = logic
        if name == "Colors":
            app_logic.SetColorLogic(logic)
        if name == "Segmentations" and hasattr(logic, "SetTerminologiesLogic"):
            logic.SetTerminologiesLogic(logics["Terminologies"])
        logic.SetMRMLApplicationLogic(app_logic)
        app_logic.SetModuleLogic(name, logic)
        logic.SetMRMLScene(scene)
    vtk.vtkObject.GlobalWarningDisplayOn()
    return app_logic, logics


class SubjectHierarchyKeeper:
    """Stands for the subject hierarchy's plugin logic: nodes that people see get an item of their own."""

    OWNERS: ClassVar[dict[str, str]] = {
        "vtkMRMLSegmentationNode": "Segmentations",
        "vtkMRMLLabelMapVolumeNode": "LabelMaps",
        "vtkMRMLVolumeNode": "Volumes",
        "vtkMRMLMarkupsNode": "Markups",
        "vtkMRMLTableNode": "Tables",
        "vtkMRMLTextNode": "Texts",
        "vtkMRMLModelNode": "Models",
        "vtkMRMLTransformNode": "Transforms",
        "vtkMRMLPlotChartNode": "Charts",
    }

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        scene.AddObserver(scene.NodeAddedEvent, self._added)
        scene.AddObserver(scene.EndImportEvent, self._complete)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._removed)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, scene: Any, event: str, node: Any) -> None:
        if not scene.IsImporting():
            self._give(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _removed(self, scene: Any, event: str, node: Any) -> None:
        if scene.IsClosing() or node is None or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _complete(self, scene: Any, event: str) -> None:
        for index in range(scene.GetNumberOfNodes()):
            self._give(scene.GetNthNode(index))

    def _give(self, node: Any) -> None:
        owner = next((name for cls, name in self.OWNERS.items() if node.IsA(cls)), None)
        if owner is None or node.GetHideFromEditors():
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
            hierarchy.SetItemOwnerPluginName(item, owner)
