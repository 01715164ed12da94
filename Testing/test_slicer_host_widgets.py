"""The host's dialogs, and its ctk and MRML widgets (see slicer_host/README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slicer_host_data import a_ct


class TestDialogs:
    def test_messages_are_noted(self, host: Any, slicer: Any) -> None:
        slicer.util.infoDisplay("done", windowTitle="Title")
        slicer.util.warningDisplay("careful")
        slicer.util.errorDisplay("broken", detailedText="how")
        kinds = [(m.kind, m.text, m.detail) for m in host.records.messages]
        assert kinds == [("information", "done", ""), ("warning", "careful", ""), ("error", "broken", "how")]
        assert host.records.messages[0].title == "Title" and host.records.errors == ["broken"]

    def test_questions_are_answered(self, host: Any, slicer: Any) -> None:
        import qt

        assert slicer.util.confirmYesNoDisplay("go on?") is True
        host.answers.confirm = False
        assert slicer.util.confirmYesNoDisplay("go on?") is False
        assert slicer.util.confirmOkCancelDisplay("really?") is False
        host.answers.to("delete", True)
        assert slicer.util.confirmYesNoDisplay("delete it?") is True
        assert [m.answer for m in host.records.messages] == ["Yes", "No", "Cancel", "Yes"]
        host.answers.to("static", qt.QMessageBox.Yes)
        assert qt.QMessageBox.question(None, "t", "static question") == qt.QMessageBox.Yes
        box = qt.QMessageBox()
        box.text = "which?"
        keep, drop = box.addButton("Keep", qt.QMessageBox.AcceptRole), box.addButton("Drop", qt.QMessageBox.RejectRole)
        host.answers.to("which", "Drop")
        box.exec_()
        assert box.clickedButton() is drop and keep is not drop

    def test_errors_of_a_handler(self, host: Any, slicer: Any) -> None:
        import qt

        with pytest.raises(ValueError, match="inner"), slicer.util.tryWithErrorDisplay("It failed.", waitCursor=True):
            raise ValueError("inner")
        assert host.records.errors == ["It failed.\n\ninner"] and "Traceback" in host.records.messages[0].detail
        assert qt.QApplication.overrideCursor() is None
        with slicer.util.WaitCursor():
            assert qt.QApplication.overrideCursor().shape() == qt.Qt.WaitCursor
        host.records.clear()
        slicer.app.commandOptions().testingEnabled = True
        assert slicer.app.testingEnabled()
        with pytest.raises(ValueError, match="x"), slicer.util.tryWithErrorDisplay("It failed."):
            raise ValueError("x")
        assert host.records.errors == []
        # slicer.util means to say yes here, but compares True with the button's number: so do the host and Slicer.
        assert slicer.util.confirmYesNoDisplay("?") is False and host.records.messages == []

    def test_other_dialogs_do_not_wait(self, host: Any, slicer: Any) -> None:
        import qt

        host.answers.files += ["/a/ct.nrrd", "/out"]
        assert qt.QFileDialog.getOpenFileName(None, "Open", "", "*.nrrd") == "/a/ct.nrrd"
        assert qt.QFileDialog.getExistingDirectory(None, "Folder") == "/out"
        assert qt.QFileDialog.getSaveFileName(None, "Save") == ""
        dialog = qt.QDialog()
        assert dialog.exec_() == 0 and host.records.dialogs == [dialog]
        host.answers.dialog = lambda shown: shown.accept() or 1
        assert dialog.exec_() == 1
        slicer.util.delayDisplay("wait", 2000)
        qt.QDesktopServices.openUrl(qt.QUrl("https://example.org/"))
        assert host.records.urls == ["https://example.org/"]

    def test_status_bar(self, host: Any, slicer: Any) -> None:
        assert slicer.util.showStatusMessage("working", 1000) is True
        assert host.records.status == ["working"]


class TestWidgets:
    def test_collapsible_button(self, host: Any, slicer: Any) -> None:
        import ctk
        import qt

        seen = []
        button = ctk.ctkCollapsibleButton()
        button.text = "Advanced"
        button.contentsCollapsed.connect(seen.append)
        layout = qt.QFormLayout(button)
        one, two = qt.QLineEdit(), qt.QLineEdit()
        layout.addRow("One", one)
        layout.addRow("Two", two)
        two.hide()
        button.show()
        host.process_events()
        assert one.visible and not two.visible
        button.collapsed = True
        assert seen == [True] and button.collapsed and not one.visible and button.maximumHeight < 40
        one.visible = True  # asked for while collapsed: shown once it opens
        two.visible = True
        assert not one.visible and not two.visible
        one.visible = False
        button.setCollapsed(False)
        assert seen == [True, False] and two.visible and not one.visible and button.maximumHeight > 1000
        button.click()
        assert button.collapsed and button.property("collapsed") is True

    def test_slider_widget(self, slicer: Any) -> None:
        import ctk

        seen: list[float] = []
        slider = ctk.ctkSliderWidget()
        slider.valueChanged.connect(seen.append)
        slider.minimum, slider.maximum, slider.singleStep, slider.decimals = -1000, 0, 0.5, 1
        slider.suffix = " mm"
        seen.clear()
        slider.value = -812.5
        slider.value = -812.5
        slider.connect("valueChanged(double)", lambda value: seen.append(("signature", value)))
        slider.value = 20
        assert seen == [-812.5, 0.0, ("signature", 0.0)] and slider.value == 0.0
        slider.blockSignals(True)
        slider.value = -5
        assert seen[-1] == ("signature", 0.0) and slider.value == -5.0
        slider.blockSignals(False)
        slider.slider().value = 0  # as by hand
        assert slider.value == -1000.0
        slider.spinBox().value = -3.5
        assert slider.value == -3.5 and slider.property("suffix") == " mm"

    def test_path_line(self, host: Any, slicer: Any) -> None:
        import ctk

        seen: list[str] = []
        line = ctk.ctkPathLineEdit()
        line.currentPathChanged.connect(seen.append)
        line.currentPath = "/a"
        line.filters = ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Writable
        host.answers.files.append("/b")
        line.browse()
        assert seen == ["/a", "/b"] and line.currentPath == "/b"

    def test_node_combo_box(self, host: Any, slicer: Any) -> None:
        import qt

        seen: list[Any] = []
        box = slicer.qMRMLNodeComboBox()
        box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        box.noneEnabled, box.addEnabled, box.removeEnabled = True, False, False
        box.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
        flags: list[bool] = []
        box.connect("currentNodeChanged(bool)", flags.append)
        assert not box.enabled and box.currentNode() is None
        box.setMRMLScene(slicer.mrmlScene)
        assert box.enabled
        one, two = a_ct(slicer, "one"), a_ct(slicer, "two")
        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
        hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        hidden.UnRegister(None)
        hidden.SetHideFromEditors(True)
        slicer.mrmlScene.AddNode(hidden)
        assert [n.GetName() for n in box.nodes()] == ["one", "two", "labels"] and box.currentNodeID == ""
        box.showChildNodeTypes = False
        assert box.nodeCount() == 2 and labels not in box.nodes()
        box.setCurrentNode(two)
        assert seen == [two] and flags == [True] and box.currentNodeID == two.GetID()
        two.SetName("renamed")
        assert "renamed" in [c.currentText for c in box.findChildren(qt.QComboBox)]
        slicer.mrmlScene.RemoveNode(two)
        assert box.currentNode() is one and seen[-1] is one
        box.setCurrentNode(None)
        assert seen[-1] is None
        box.addAttribute("vtkMRMLScalarVolumeNode", "Mine", "1")
        assert box.nodeCount() == 0
        one.SetAttribute("Mine", "1")
        one.Modified()
        assert box.nodes() == [one]
        box.setCurrentNodeID(one.GetID())
        box.sortFilterProxyModel().hiddenNodeIDs = [one.GetID()]
        assert box.nodes() == [] and box.currentNode() is None
        box.sortFilterProxyModel().hiddenNodeIDs = []
        box.setCurrentNodeID(one.GetID())
        assert box.currentNode() is one
        slicer.mrmlScene.Clear(False)
        assert box.nodeCount() == 0 and box.currentNode() is None and seen[-1] is None

    def test_node_combo_box_without_none_takes_the_first(self, host: Any, slicer: Any) -> None:
        box = slicer.qMRMLNodeComboBox()
        box.nodeTypes, box.addEnabled, box.removeEnabled = ["vtkMRMLScalarVolumeNode"], False, False
        box.setMRMLScene(slicer.mrmlScene)
        one = a_ct(slicer, "one")
        a_ct(slicer, "two")
        assert box.currentNode() is one
        other = slicer.qMRMLNodeComboBox()
        other.nodeTypes, other.addEnabled = ["vtkMRMLScalarVolumeNode"], True
        other.setMRMLScene(slicer.mrmlScene)
        assert other.currentNode() is one
        made = other.addNode()
        assert other.currentNode() is made and made.IsA("vtkMRMLScalarVolumeNode")
        other.removeCurrentNode()
        assert other.currentNode() is not None

    def test_an_unknown_widget_in_a_ui_file_is_an_error(self, slicer: Any, tmp_path: Path) -> None:
        text = '<ui version="4.0"><class>x</class><widget class="{}" name="x"/>{}</ui>'
        (tmp_path / "a.ui").write_text(text.format("ctkNoSuchWidget", ""))
        with pytest.raises(RuntimeError, match="ctkNoSuchWidget"):
            slicer.util.loadUI(str(tmp_path / "a.ui"))
        wires = (
            "<connections><connection><sender>x</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>"
            "<receiver>y</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections>"
        )
        (tmp_path / "b.ui").write_text(text.format("qMRMLWidget", wires))
        with pytest.raises(RuntimeError, match="'y'"):
            slicer.util.loadUI(str(tmp_path / "b.ui"))
        with pytest.raises(RuntimeError, match="not found"):
            slicer.util.loadUI(str(tmp_path / "c.ui"))
