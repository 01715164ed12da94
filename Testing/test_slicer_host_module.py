"""A scripted module in the host: loaded, entered, reloaded, and its parameter node (see slicer_host/README.md)."""

from __future__ import annotations

import enum
import pathlib
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from slicer_host_data import EXAMPLE, a_ct, a_segmentation


class TestModule:
    def test_loading(self, host: Any, slicer: Any) -> None:
        module = host.load_module(EXAMPLE)
        assert module is slicer.modules.hostexample and slicer.moduleNames.HostExample == "HostExample"
        assert (module.title, module.categories) == ("Host example", ["Quantification"])
        assert type(slicer.modules.HostExampleInstance).__name__ == "HostExample"
        assert not hasattr(slicer.modules, "HostExampleWidget")
        assert [s["sampleName"] for s in host.records.sample_data] == ["One"]
        assert slicer.util.modulePath("HostExample") == str(EXAMPLE) and "HostExample" in slicer.util.moduleNames()
        with pytest.raises(AttributeError):
            module.categories = "Quantification"
        with pytest.raises(AttributeError):
            module.categorys = []
        widget = slicer.util.getModuleWidget("HostExample")
        assert widget is slicer.modules.HostExampleWidget and widget.parent.isEntered is False
        assert slicer.util.getModuleLogic("HostExample") is widget.logic
        assert slicer.util.getModuleLogic("Volumes") is slicer.modules.volumes.logic()

    def test_driving_the_panel(self, host: Any, slicer: Any, panel: Any) -> None:
        ui = panel.ui
        assert panel.parent.isEntered and ui.applyButton.visible and not ui.applyButton.enabled
        volume = a_ct(slicer)
        ui.inputSelector.setCurrentNode(volume)
        assert ui.applyButton.enabled and ui.applyButton.toolTip == "Count"
        ui.applyButton.click()
        host.process_events()
        assert ui.resultLabel.text == "12000" and ui.progressBar.value == 100
        assert host.records.status == ["12000 voxels"] and host.records.exceptions == []
        ui.thresholdSlider.value = 2500
        ui.applyButton.click()
        assert host.records.errors[0].startswith("The voxels could not be counted.")
        assert isinstance(host.records.exceptions[0], ValueError)
        ui.invertBox.checked = True  # connected in the .ui file
        assert not ui.countBox.enabled
        assert ui.folderEdit.filters == 0x11 and ui.advancedButton.collapsed and not ui.hiddenEdit.visible

    def test_entering_leaving_and_the_scene(self, host: Any, slicer: Any, panel: Any) -> None:
        slicer.util.selectModule("Volumes")
        assert host.records.selected_modules == ["Volumes"] and host.entered() is None
        assert panel.parent.isEntered is False and panel._parameterNode is None and not panel.ui.applyButton.visible
        assert host.enter("HostExample") is panel and panel._parameterNode is not None
        panel.ui.noteEdit.text = "changed"
        slicer.mrmlScene.Clear(False)
        assert panel._parameterNode is not None and panel.ui.noteEdit.text == "hello"

    def test_reloading_and_unloading(self, host: Any, slicer: Any, panel: Any) -> None:
        fresh = host.reload("HostExample")
        assert fresh is not panel and fresh is slicer.modules.HostExampleWidget and panel.Observations == []
        fresh.ui.inputSelector.setCurrentNode(a_ct(slicer))
        assert fresh.ui.applyButton.enabled and not panel.ui.applyButton.visible
        host.unload("HostExample")
        assert fresh.Observations == [] and not hasattr(slicer.modules, "hostexample")
        assert "HostExample" not in sys.modules
        host.load_module(EXAMPLE)
        assert host.enter("HostExample") is not fresh

    def test_its_own_tests_run(self, host: Any, slicer: Any) -> None:
        host.load_module(EXAMPLE)
        slicer.selfTests["HostExample"](msec=0)

    def test_pictures(self, host: Any, panel: Any, tmp_path: Path) -> None:
        from PIL import Image

        light = np.asarray(Image.open(host.screenshot("HostExample", tmp_path / "light.png")).convert("RGB"))
        dark = np.asarray(
            Image.open(host.screenshot(panel.parent, tmp_path / "dark.png", palette="dark")).convert("RGB")
        )
        assert light.shape[1] == 400 and light.shape[0] > 250
        assert light[2, 2].mean() > 200 and dark[2, 2].mean() < 80
        panel.ui.advancedButton.collapsed = False
        taller = Image.open(host.screenshot("HostExample", tmp_path / "open.png")).size[1]
        assert taller > light.shape[0]

    def test_going_to_the_segment_editor(self, host: Any, slicer: Any, panel: Any) -> None:
        volume = a_ct(slicer)
        segmentation = a_segmentation(slicer, volume)
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.SegmentEditorWidget.editor
        editor.setSegmentationNode(segmentation)
        editor.setSourceVolumeNode(volume)
        assert host.entered() == "SegmentEditor" and panel.parent.isEntered is False
        node = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        assert (node.GetSegmentationNode(), editor.sourceVolumeNode()) == (segmentation, volume)
        assert editor.currentSegmentID() == "L1"
        with pytest.raises(RuntimeError, match="NoSuchModule"):
            slicer.util.selectModule("NoSuchModule")


class Side(enum.Enum):
    LEFT = "l"
    RIGHT = "r"


class TestParameterNode:
    @pytest.fixture
    def made(self, slicer: Any) -> Any:
        from slicer.parameterNodeWrapper import Choice, Default, Maximum, WithinRange, parameterNodeWrapper

        class Parameters:
            volume: slicer.vtkMRMLScalarVolumeNode
            level: Annotated[float, WithinRange(-10, 10)] = 1.5
            count: Annotated[int, Maximum(5), Default(2)]
            on: bool = True
            text: str
            kind: Annotated[str, Choice(["a", "b"])] = "b"
            side: Side = Side.RIGHT
            path: pathlib.Path
            maybe: float | None
            other: slicer.vtkMRMLNode | None
            names: list[str]

        Parameters.__annotations__ = {
            "volume": slicer.vtkMRMLScalarVolumeNode,
            "level": Annotated[float, WithinRange(-10, 10)],
            "count": Annotated[int, Maximum(5), Default(2)],
            "on": bool,
            "text": str,
            "kind": Annotated[str, Choice(["a", "b"])],
            "side": Side,
            "path": pathlib.Path,
            "maybe": float | None,
            "other": slicer.vtkMRMLNode | None,
            "names": list[str],
        }
        return parameterNodeWrapper(Parameters)

    def test_what_is_stored(self, slicer: Any, made: Any) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        parameters = made(node)
        volume = a_ct(slicer)
        assert (parameters.level, parameters.count, parameters.on, parameters.text) == (1.5, 2, True, "")
        assert (parameters.volume, parameters.maybe, parameters.other) == (None, None, None)
        assert parameters.names == [] and parameters.path == pathlib.Path() and parameters.side is Side.RIGHT
        parameters.volume, parameters.level, parameters.on, parameters.side = volume, 2, False, Side.LEFT
        parameters.maybe, parameters.other, parameters.path = 3.25, volume, pathlib.Path("/a/b")
        parameters.names = ["x", "y"]
        parameters.names.append("z")
        del parameters.names[0]
        stored = {name: node.GetParameter(name) for name in node.GetParameterNames()}
        assert stored == {
            "volume": "", "level": "2", "count": "2", "on": "False", "text": "", "kind": "b", "side": "LEFT",
            "path": "/a/b", "maybe.0": "3.25", "other.0": "", "names.len": "2", "names.0": "y", "names.1": "z",
        }  # fmt: skip
        assert node.GetNodeReferenceID("volume") == volume.GetID() == node.GetNodeReferenceID("other.0")
        parameters.maybe = None
        assert node.GetParameter("maybe.1") == "True" and not node.HasParameter("maybe.0")
        again = made(node)
        assert again.volume is volume and again.names == ["y", "z"] and again.maybe is None and again.level == 2.0

    def test_what_is_refused(self, slicer: Any, made: Any) -> None:
        from slicer.parameterNodeWrapper import parameterNodeWrapper

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        parameters = made(node)
        refused = [
            ("level", 11, ValueError), ("level", "1", TypeError), ("level", None, ValueError), ("count", 6, ValueError),
            ("count", 1.0, TypeError), ("on", 1, TypeError), ("kind", "c", ValueError), ("side", "LEFT", TypeError),
            ("path", "/a", TypeError), ("volume", slicer.vtkMRMLTableNode(), TypeError), ("maybe", "x", TypeError),
            ("names", ["a", 1], TypeError), ("text", None, ValueError),
        ]  # fmt: skip
        for name, value, error in refused:
            before = getattr(parameters, name)
            with pytest.raises(error):
                setattr(parameters, name, value)
            assert getattr(parameters, name) == before, name
        node.SetParameter("side", "UP")
        with pytest.raises(ValueError, match="UP"):
            made(node)
        with pytest.raises(ValueError, match="no parameter"):
            parameters.getValue("nothing")
        with pytest.raises(Exception, match="cannot be stored"):
            parameterNodeWrapper(type("Bad", (), {"__annotations__": {"x": complex}}))
        with pytest.raises(ValueError, match="name of the wrapper"):
            parameterNodeWrapper(type("Bad", (), {"__annotations__": {}, "getValue": 1}))

    def test_it_is_observed(self, slicer: Any, made: Any) -> None:
        import vtk

        parameters = made(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
        mixin, seen = slicer.util.VTKObservationMixin(), []

        def changed(caller: Any, event: str) -> None:
            seen.append(caller)

        mixin.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, changed)
        parameters.level = 3
        parameters.level = 3  # no change: no event
        assert seen == [parameters.parameterNode]
        with slicer.util.NodeModify(parameters):
            parameters.level, parameters.text = 4, "x"
        assert len(seen) == 2
        mixin.removeObserver(parameters, vtk.vtkCommand.ModifiedEvent, changed)
        parameters.level = 5
        assert len(seen) == 2 and parameters.isCached("level") and parameters.default("level").value == 1.5

    def test_widgets_follow_and_lead(self, slicer: Any, panel: Any) -> None:
        import HostExample

        ui, parameters = panel.ui, panel._parameterNode
        assert ui.thresholdSlider.value == 100.0 and ui.thresholdSlider.maximum == 3000.0
        assert (ui.countBox.value, ui.countBox.minimum, ui.noteEdit.text) == (3, 0, "hello")
        assert [ui.sideBox.itemText(i) for i in range(ui.sideBox.count)] == ["Above", "Below"]
        parameters.side, parameters.threshold, parameters.flavour = HostExample.Side.BELOW, 250, "strong"
        assert (ui.sideBox.currentText, ui.thresholdSlider.value) == ("Below", 250.0)
        assert ui.flavourBox.currentText == "strong"
        ui.sideBox.currentIndex, ui.countBox.value, ui.invertBox.checked = 0, 9, True
        ui.folderEdit.currentPath, ui.noteEdit.text = "/data", "typed"
        assert (parameters.side, parameters.count, parameters.invert) == (HostExample.Side.ABOVE, 9, True)
        assert (parameters.folder, parameters.note) == (pathlib.Path("/data"), "typed")
        volume = a_ct(slicer)
        ui.inputSelector.setCurrentNode(volume)
        assert parameters.inputVolume is volume
        parameters.inputVolume = None
        assert ui.inputSelector.currentNode() is None
        panel.exit()
        ui.countBox.value = 1
        assert parameters.count == 9

    def test_which_widget_shows_which_type(self, slicer: Any) -> None:
        import ctk
        import qt
        from slicer.parameterNodeWrapper import Choice, WithinRange, createGuiConnector

        good = [
            (qt.QCheckBox, bool), (qt.QPushButton, bool), (qt.QSpinBox, int), (qt.QDoubleSpinBox, float),
            (ctk.ctkSliderWidget, Annotated[float, WithinRange(0, 1)]), (qt.QSlider, Annotated[int, WithinRange(0, 9)]),
            (qt.QComboBox, Side), (qt.QComboBox, Annotated[str, Choice(["a"])]), (qt.QLineEdit, str),
            (qt.QTextEdit, str),
            (qt.QLabel, str), (ctk.ctkPathLineEdit, pathlib.Path), (slicer.qMRMLNodeComboBox, slicer.vtkMRMLTextNode),
        ]  # fmt: skip
        for widget, kind in good:
            assert createGuiConnector(widget(), kind).widget() is not None
        bad = [
            (ctk.ctkSliderWidget, float), (qt.QSlider, int), (qt.QComboBox, str), (ctk.ctkPathLineEdit, str),
            (qt.QLineEdit, float), (qt.QCheckBox, str), (qt.QDoubleSpinBox, float | None), (qt.QTextBrowser, str),
        ]  # fmt: skip
        for widget, kind in bad:
            with pytest.raises(RuntimeError):
                createGuiConnector(widget(), kind)
        with pytest.raises(TypeError):
            createGuiConnector(qt.QComboBox(), str | None)
