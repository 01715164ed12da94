"""The host's application and scene: views, pictures, files (see slicer_host/README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_host_data import EXAMPLE, a_ct, a_segmentation


class TestApplication:
    def test_what_modules_ask_of_it(self, slicer: Any) -> None:
        app = slicer.app
        assert (app.majorVersion, app.minorVersion) == (5, 13) and app.applicationName == "Slicer"
        assert app.applicationVersion.startswith("5.13") and app.os and app.revision and app.slicerHome
        assert app.applicationLogic().IsA("vtkSlicerApplicationLogic") and app.mrmlScene() is slicer.mrmlScene
        assert slicer.util.mainWindow() is app.mainWindow() and app.palette().window().color().isValid()
        app.clipboard().setText("copied")
        assert app.clipboard().text() == "copied"
        assert slicer.util.tempDirectory().startswith(app.temporaryPath)
        from slicer import app as imported

        assert imported is app and app.thread() is not None and app.errorLogModel().filePath.endswith(".log")

    def test_names_are_where_slicer_has_them(self, slicer: Any) -> None:
        import vtkSegmentationCorePython as vtkSegmentationCore
        from slicer import vtkMRMLScalarVolumeNode

        assert vtkMRMLScalarVolumeNode is slicer.vtkMRMLScalarVolumeNode
        assert vtkSegmentationCore.vtkSegmentation is slicer.vtkSegmentation
        assert slicer.vtkSlicerSegmentationsModuleLogic and slicer.vtkMRMLSegmentationNode
        assert not hasattr(slicer, "loadVolume")  # that is slicer.util's
        for name in ("volumes", "segmentations", "markups", "tables", "terminologies", "subjecthierarchy", "colors"):
            assert getattr(slicer.modules, name).logic().GetMRMLScene() is slicer.mrmlScene

    def test_layout(self, slicer: Any) -> None:
        seen: list[int] = []
        manager = slicer.app.layoutManager()
        manager.layoutChanged.connect(seen.append)
        assert set(manager.sliceViewNames()) >= {"Red", "Yellow", "Green"}
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
        assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView == seen[-1]
        red = manager.sliceWidget("Red")
        assert red.mrmlSliceNode().GetOrientation() == "Axial" and red.sliceViewName == "Red"
        assert slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red") is red.sliceLogic()
        assert manager.sliceWidget("Blue") is None
        volume = a_ct(slicer)
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        assert red.mrmlSliceCompositeNode().GetBackgroundVolumeID() == volume.GetID()
        red.sliceLogic().SetSliceOffset(-680)
        assert red.mrmlSliceNode().GetSliceOffset() == -680
        slicer.util.resetSliceViews()
        slicer.modules.markups.logic().JumpSlicesToLocation(0, 0, -660, False)
        assert red.sliceLogic().GetSliceOffset() == pytest.approx(-660)

    def test_what_a_slice_view_shows(self, host: Any, slicer: Any) -> None:
        if not host.can_render():
            pytest.skip("VTK finds neither EGL nor OSMesa here")
        volume = a_ct(slicer)
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(-670)
        inside, outside = (0.5, 5.0, -670.0), (30.0, -30.0, -670.0)
        plain = host.render_slice("Red", (300, 200))
        assert plain.shape == (200, 300, 3) and plain.dtype == np.uint8
        row, column = host.pixel_of("Red", inside, (300, 200))
        assert plain[row, column].min() == plain[row, column].max() > 150
        assert plain[host.pixel_of("Red", outside, (300, 200))].max() < 60
        a_segmentation(slicer, volume)
        drawn = host.render_slice("Red", (300, 200))
        red, green, _ = drawn[row, column].astype(int)
        assert red - green > 60, "the segment is drawn over the bone"
        assert (
            drawn[host.pixel_of("Red", outside, (300, 200))] == plain[host.pixel_of("Red", outside, (300, 200))]
        ).all()
        # the overlay covers the box: 40 mm by 30 mm
        tinted = (drawn[..., 0].astype(int) - drawn[..., 1]) > 40
        rows, columns = np.nonzero(tinted)
        top, left = host.pixel_of("Red", (20.5, 20.5, -670), (300, 200))
        bottom, right = host.pixel_of("Red", (-19.5, -9.5, -670), (300, 200))
        assert np.allclose([rows.min(), rows.max(), columns.min(), columns.max()], [top, bottom, left, right], atol=3)
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "P")
        points.CreateDefaultDisplayNodes()
        points.AddControlPoint(list(outside))
        assert (host.render_slice("Red", (300, 200)) != drawn).any()

    def test_files_and_scenes(self, host: Any, slicer: Any, tmp_path: Path) -> None:
        volume = a_ct(slicer)
        segmentation = a_segmentation(slicer, volume)
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Results")
        slicer.util.updateTableFromArray(table, [np.arange(3)], ["a"])
        assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"))
        assert slicer.util.saveNode(segmentation, str(tmp_path / "outlines.seg.nrrd"))
        assert slicer.util.saveNode(table, str(tmp_path / "results.csv"))
        host.load_module(EXAMPLE)
        widget = host.enter("HostExample")
        widget._parameterNode.inputVolume, widget._parameterNode.note = volume, "kept"
        assert slicer.util.saveScene(str(tmp_path / "scene")) and slicer.util.saveScene(str(tmp_path / "scene.mrb"))
        for saved in (tmp_path / "scene" / "scene.mrml", tmp_path / "scene.mrb"):
            slicer.mrmlScene.Clear(False)
            assert widget._parameterNode.note == "hello"
            slicer.util.loadScene(str(saved))
            again = slicer.util.getNode("CT")
            assert slicer.util.arrayFromVolume(again).sum() == 12000 * 200 - 228000 * 50
            outlines = slicer.util.getNode("Outlines")
            assert slicer.util.arrayFromSegmentBinaryLabelmap(outlines, "L1", again).sum() == 12000
            assert widget._parameterNode.inputVolume is again and widget.ui.noteEdit.text == "kept"
        slicer.mrmlScene.Clear(False)
        loaded = slicer.util.loadVolume(str(tmp_path / "ct.nrrd"), {"name": "mine"})
        assert loaded.GetName() == "mine" and loaded.GetSpacing() == (1.0, 1.0, 2.0)
        outlines = slicer.util.loadSegmentation(str(tmp_path / "outlines.seg.nrrd"))
        assert outlines.GetSegmentation().GetSegment("L1").GetName() == "L1"
        assert slicer.util.loadTable(str(tmp_path / "results.csv")).GetNumberOfRows() == 3
        with pytest.raises(RuntimeError, match="no file"):
            slicer.util.loadVolume(str(tmp_path / "none.nrrd"))
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        item = hierarchy.GetItemByDataNode(outlines)
        assert item and hierarchy.GetItemOwnerPluginName(item) == "Segmentations"

    def test_terminologies(self, slicer: Any) -> None:
        segmentation = a_segmentation(slicer, a_ct(slicer))
        tag = (
            "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
            "~SCT^66794005^L1 vertebra~^^~Anatomic codes - DICOM master list~^^~^^"
        )
        segment = segmentation.GetSegmentation().GetSegment("L1")
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
        entry = slicer.vtkSlicerTerminologyEntry()
        assert slicer.modules.terminologies.logic().DeserializeTerminologyEntry(tag, entry)
        assert entry.GetTypeObject().GetCodeMeaning() == "L1 vertebra"
