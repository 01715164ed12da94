"""The host itself: what each stand-in promises (slicer_host/README.md)."""

from __future__ import annotations

import enum
import pathlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parent / "slicer_host" / "example" / "HostExample.py"


@pytest.fixture
def slicer(host: Any) -> Any:
    import slicer

    return slicer


@pytest.fixture
def panel(host: Any) -> Any:
    host.load_module(EXAMPLE)
    return host.enter("HostExample")


def a_ct(slicer: Any, name: str = "CT") -> Any:
    """Return a volume of a bright box, at chest-like positions."""
    import vtk

    array = np.full((30, 80, 100), -50, np.int16)
    array[10:20, 20:50, 30:70] = 200
    to_ras = vtk.vtkMatrix4x4()
    for axis, (step, origin) in enumerate([(-1.0, 50.0), (-1.0, 40.0), (2.0, -700.0)]):
        to_ras.SetElement(axis, axis, step)
        to_ras.SetElement(axis, 3, origin)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=to_ras, name=name)


def a_segmentation(slicer: Any, volume: Any) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Outlines")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("L1", "L1", [1.0, 0.0, 0.0])
    mask = (slicer.util.arrayFromVolume(volume) > 100).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, "L1", volume)
    return node


# A process -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["torch", "host"])
def test_a_process_ends_well_whichever_of_torch_and_the_host_comes_first(host: Any, first: str) -> None:
    code = f"""
import sys, time
sys.path.insert(0, {str(EXAMPLE.parents[2])!r})
import slicer_host
torch_first = {first!r} == "torch"
if torch_first:
    import torch
began = time.monotonic()
slicer = slicer_host.start()
took = time.monotonic() - began
assert slicer_host.start() is slicer
import torch, numpy, SimpleITK
assert torch.nn.functional.conv2d(torch.ones(1, 1, 8, 8), torch.ones(1, 1, 3, 3)).sum() == 324
slicer_host.load_module({str(EXAMPLE)!r})
slicer_host.enter("HostExample")
volume = slicer.util.addVolumeFromArray(numpy.zeros((4, 8, 8), numpy.int16))
slicer.util.setSliceViewerLayers(background=volume, fit=True)
if slicer_host.can_render():
    slicer_host.render_slice("Red", (64, 64))
print("ended", took)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ended")
    assert done.stderr == ""


# qt ------------------------------------------------------------------------------------------------------------------


class TestQt:
    def test_properties_are_attributes(self, slicer: Any) -> None:
        import qt

        label, button, box = qt.QLabel("a"), qt.QPushButton("b"), qt.QCheckBox()
        assert label.text == "a"
        label.text = "c"
        assert (label.text, label.property("text")) == ("c", "c")
        label.setText("d")
        assert label.text == "d"
        button.enabled = False
        assert button.enabled is False and button.isEnabled() is False
        box.checked = True
        assert box.checked is True and box.isChecked() is True
        button.toolTip = "why"
        assert button.toolTip == "why"
        button.visible = True
        assert button.visible is True
        button.hide()
        assert button.visible is False
        assert button.font.pointSize() == 9 and button.size.width() > 0
        label.name = "mine"
        assert (label.objectName, label.name) == ("mine", "mine")
        label.alignment = qt.Qt.AlignRight | qt.Qt.AlignVCenter
        assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignVCenter

    def test_the_usual_widgets(self, slicer: Any) -> None:
        import qt

        combo = qt.QComboBox()
        combo.addItem("one", 1)
        combo.addItem("two", {"k": 2})
        combo.currentIndex = 1
        assert (combo.count, combo.currentText, combo.currentData) == (2, "two", {"k": 2})
        assert combo.findData(1) == 0 and combo.itemData(0) == 1
        slider, bar, line = qt.QSlider(qt.Qt.Horizontal), qt.QProgressBar(), qt.QLineEdit("x")
        slider.maximum = 500
        slider.value = 300
        bar.format, bar.maximum, bar.value = "%v", 7, 3
        assert (slider.value, bar.value, bar.text, line.text) == (300, 3, "3", "x")
        table = qt.QTableWidget()
        table.rowCount, table.columnCount = 2, 1
        table.setItem(0, 0, qt.QTableWidgetItem("cell"))
        assert table.rowCount == 2 and table.item(0, 0).text() == "cell"
        tree = qt.QTreeWidget()
        tree.columnCount = 1
        tree.addTopLevelItem(qt.QTreeWidgetItem(["row"]))
        assert tree.topLevelItemCount == 1
        browser = qt.QTextBrowser()
        browser.html = "<b>bold</b>"
        assert browser.plainText == "bold" == browser.toPlainText()
        action = qt.QAction("act", None)
        action.shortcut = qt.QKeySequence("Ctrl+K")
        assert action.shortcut.toString() == "Ctrl+K"

    def test_cpp_objects_take_no_new_attributes_and_no_wrong_values(self, slicer: Any) -> None:
        import qt

        label = qt.QLabel()
        for name, value in [("colour", "red"), ("setText", 1), ("linkActivated", 1), ("_private", 1)]:
            with pytest.raises(AttributeError):
                setattr(label, name, value)
        with pytest.raises(AttributeError, match="cannot be written"):
            qt.QProgressBar().text = "x"
        with pytest.raises(AttributeError, match="does not take"):
            label.enabled = object()
        with pytest.raises(AttributeError, match="no attribute"):
            label.texts  # noqa: B018
        assert not hasattr(label, "nothing")

        class Mine(qt.QLabel):  # a Python class of one's own may
            pass

        mine = Mine("t")
        mine.extra = 1
        mine.text = "u"
        assert (mine.extra, mine.property("text")) == (1, "u")

    def test_dynamic_properties_and_children_are_attributes(self, slicer: Any) -> None:
        import qt

        parent = qt.QWidget()
        parent.setProperty("mine", 3)
        child = qt.QLabel("x", parent)
        child.objectName = "label7"
        assert parent.mine == 3 and parent.label7 is child
        parent.mine = 4
        assert parent.property("mine") == 4
        assert parent.className() == "QWidget" and child.inherits("QFrame")
        assert parent.findChild(qt.QLabel, "label7") is child
        assert slicer.util.findChild(parent, "label7") is child

    def test_signals(self, host: Any, slicer: Any) -> None:
        import qt

        seen: list[Any] = []
        button = qt.QPushButton("x")
        button.checkable = True

        def bare() -> None:
            seen.append("bare")

        def wants(checked: bool) -> None:
            seen.append(checked)

        assert button.connect("clicked()", bare) is True
        button.connect("clicked(bool)", wants)
        button.clicked.connect(lambda checked=False: seen.append(("new", checked)))
        button.click()
        assert seen == ["bare", True, ("new", True)]
        assert button.disconnect("clicked()", bare) is True
        assert button.disconnect("clicked()", bare) is False
        button.clicked.disconnect()
        seen.clear()
        button.click()
        assert seen == []
        with pytest.raises(RuntimeError, match="no signal"):
            button.connect("klicked()", bare)
        with pytest.raises(RuntimeError, match="no signal"):
            button.connect("clicked(int)", bare)
        label = qt.QLabel()
        line = qt.QLineEdit()
        line.connect("textChanged(QString)", label, "setText(QString)")
        line.text = "typed"
        assert label.text == "typed"
        line.blockSignals(True)
        line.text = "more"
        assert label.text == "typed"
        qt.QObject.connect(button, "clicked()", bare)
        button.click()
        assert seen == ["bare"]

    def test_a_connection_keeps_its_function_alive_and_not_its_sender(self, host: Any, slicer: Any) -> None:
        import gc
        import weakref

        import qt

        seen = []

        class Listener:
            def hear(self, checked: bool) -> None:
                seen.append(checked)

        button = qt.QPushButton()
        button.clicked.connect(Listener().hear)
        button.connect("pressed()", lambda: seen.append("pressed"))
        gc.collect()
        button.click()
        assert seen == ["pressed", False]
        timer = qt.QTimer()
        timer.timeout.connect(lambda: seen.append("fired"))
        timer.connect("timeout()", lambda: seen.append("fired"))
        timer.start(0)
        del timer  # nobody holds it: it is gone, as in Slicer
        gc.collect()
        host.process_events()
        assert seen == ["pressed", False]
        box = slicer.qMRMLNodeComboBox()
        box.setMRMLScene(slicer.mrmlScene)
        gone = weakref.ref(box)
        del box
        gc.collect()
        assert gone() is None

    def test_what_a_slot_raises_is_noted(self, host: Any, slicer: Any, capsys: Any) -> None:
        import qt

        button = qt.QPushButton()
        button.connect("clicked()", lambda: 1 / 0)
        button.click()
        qt.QTimer.singleShot(0, lambda: [][0])
        host.process_events()
        assert [type(e) for e in host.records.exceptions] == [ZeroDivisionError, IndexError]
        assert "ZeroDivisionError" in capsys.readouterr().err

    def test_timers(self, host: Any, slicer: Any) -> None:
        import qt

        seen = []
        timer = qt.QTimer()
        timer.interval = 1
        timer.setSingleShot(True)
        timer.timeout.connect(lambda: seen.append(1))
        with pytest.raises(AttributeError):
            timer.singleShot = True  # as in PythonQt, where the static function hides the property
        assert timer.active is False
        timer.start()
        assert timer.active is True
        qt.QTimer.singleShot(0, lambda: seen.append(2))
        host.wait_until(lambda: len(seen) == 2)
        assert timer.active is False
        dialog = qt.QDialog()
        qt.QTimer.singleShot(0, dialog.close)
        dialog.delete()
        qt.QTimer.singleShot(20, lambda: seen.append("late"))
        host.process_events()
        assert host.records.exceptions == []
        host.reset()  # what is still to come in one test does not come in the next
        with pytest.raises(TimeoutError):
            host.wait_until(lambda: "late" in seen, timeout_s=0.1)

    def test_processes(self, host: Any, slicer: Any) -> None:
        import qt

        output, ends = [], []
        process = qt.QProcess()
        process.readyReadStandardOutput.connect(lambda: output.append(process.readAllStandardOutput().data()))
        process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ends.append((code, status)))
        environment = qt.QProcessEnvironment.systemEnvironment()
        environment.insert("HOST_TEST", "yes")
        process.setProcessEnvironment(environment)
        code = "import os,sys; print(sys.stdin.read() + os.environ['HOST_TEST']); sys.exit(3)"
        process.start(sys.executable, ["-c", code])
        assert process.waitForStarted() and process.state() == qt.QProcess.Running
        process.write(b"hello ")
        process.closeWriteChannel()
        host.wait_until(lambda: ends)
        assert b"".join(output) == b"hello yes\n" and type(output[0]) is bytes
        assert ends[0][0] == 3 and ends[0][1] == qt.QProcess.NormalExit == 0
        missing = []
        process = qt.QProcess()
        process.errorOccurred.connect(missing.append)
        process.start("/no/such/program", [])
        host.wait_until(lambda: missing)
        assert missing == [qt.QProcess.FailedToStart]
        process = qt.QProcess()
        process.start(sys.executable, ["-c", "import time; time.sleep(60)"])
        assert process.waitForStarted()
        process.kill()
        assert process.waitForFinished(5000) and process.exitStatus() == qt.QProcess.CrashExit

    def test_settings_are_the_test_s_own(self, host: Any, slicer: Any) -> None:
        import qt

        qt.QSettings().setValue("OsteoScreen/Device", "cpu")
        assert slicer.util.settingsValue("OsteoScreen/Device", "auto") == "cpu"
        assert slicer.app.temporaryPath.startswith(slicer.app.slicerHome)
        assert qt.QSettings().fileName().startswith(slicer.app.slicerHome)
        host.reset()
        assert slicer.util.settingsValue("OsteoScreen/Device", "auto") == "auto"

    def test_no_signals_and_properties_for_python_classes(self, slicer: Any) -> None:
        import qt

        for name in ("Signal", "Slot", "Property"):
            assert not hasattr(qt, name)

    def test_enums_are_numbers(self, slicer: Any) -> None:
        import qt

        assert qt.Qt.Checked == 2 and int(qt.Qt.Checked) == 2 and qt.Qt.UserRole + 1 == 257
        assert qt.QMessageBox.Yes != qt.QMessageBox.No and qt.QMessageBox.No
        assert qt.QEvent.Close == 19


# Dialogs -------------------------------------------------------------------------------------------------------------


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


# ctk and MRML widgets ------------------------------------------------------------------------------------------------


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


# A module ------------------------------------------------------------------------------------------------------------


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


# The parameter node --------------------------------------------------------------------------------------------------


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


# The application and the scene ---------------------------------------------------------------------------------------


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


# The rest ------------------------------------------------------------------------------------------------------------


class TestServices:
    def test_packages_are_never_installed(self, host: Any, slicer: Any, tmp_path: Path) -> None:
        import slicer.packaging

        (tmp_path / "requirements.txt").write_text(
            "# why\nnumpy>=1\n-c other.txt\nno-such-package-here>=2 ; python_version>'3'\n"
        )
        wanted = slicer.packaging.load_requirements(tmp_path / "requirements.txt")
        assert [r.name for r in wanted] == ["numpy", "no-such-package-here"]
        assert slicer.packaging.pip_check(wanted[0]) and not slicer.packaging.pip_check(wanted)
        slicer.packaging.pip_ensure("numpy", requester="Mine")
        assert host.records.messages == []
        host.answers.confirm = False
        with pytest.raises(RuntimeError, match="declined"):
            slicer.packaging.pip_ensure(wanted, requester="Mine")
        host.answers.confirm = True
        with pytest.raises(RuntimeError, match="does not install"):
            slicer.packaging.pip_ensure(wanted, requester="Mine")
        with pytest.raises(RuntimeError, match="does not install"):
            slicer.util.pip_install("x")
        assert [p["call"] for p in host.records.packages] == ["pip_ensure"] * 3 + ["pip_install"] * 2
        slicer.app.commandOptions().testingEnabled = True
        slicer.packaging.pip_ensure(wanted)

    def test_torch_in_all_its_states(self, host: Any) -> None:
        import PyTorchUtils

        logic = PyTorchUtils.PyTorchUtilsLogic()
        assert logic.torchInstalled() and logic.torch.__name__ == "torch" and str(logic.getDevice()) in ("cpu", "cuda")
        PyTorchUtils.state = "absent"
        logic = PyTorchUtils.PyTorchUtilsLogic()
        assert (
            not logic.torchInstalled()
            and logic.installTorch(askConfirmation=True) is not None
            and logic.torchInstalled()
        )
        PyTorchUtils.state = "declined"
        logic = PyTorchUtils.PyTorchUtilsLogic()
        assert not logic.torchInstalled() and logic.installTorch() is None and logic.torch is None
        PyTorchUtils.state = "half installed"
        with pytest.raises(TypeError):
            PyTorchUtils.PyTorchUtilsLogic().torchInstalled()
        host.reset()
        assert PyTorchUtils.state == "installed"

    def test_dicom_database(self, host: Any, slicer: Any, tmp_path: Path) -> None:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, "1.2.3.4"
        data.PatientID, data.StudyInstanceUID, data.SeriesInstanceUID = "p", "1.2.3", "1.2.3.1"
        data.Modality, data.PatientAge, data.PixelSpacing = "CT", "067Y", [0.7, 0.7]
        data.save_as(tmp_path / "one.dcm", enforce_file_format=True)
        database = slicer.dicomDatabase
        assert database.isOpen and database.fileForInstance("1.2.3.4") == ""
        assert database.register(tmp_path) == ["1.2.3.4"]
        path = database.fileForInstance("1.2.3.4")
        assert path == str(tmp_path / "one.dcm") and database.fileValue(path, "0008,0060") == "CT"
        assert database.instanceValue("1.2.3.4", "0028,0030") == "0.7\\0.7"
        assert database.instanceValue("1.2.3.4", "0010,0040") == "" and database.instanceForFile(path) == "1.2.3.4"
        assert database.filesForSeries(database.seriesForStudy(database.studiesForPatient("p")[0])[0]) == [path]

    def test_console_processes(self, host: Any, slicer: Any) -> None:
        lines, codes = [], []
        slicer.util.launchConsoleProcess(
            [sys.executable, "-c", "print('from there')"],
            blocking=False,
            logCallback=lines.append,
            completedCallback=codes.append,
        )
        host.wait_until(lambda: codes)
        assert (lines, codes) == (["from there"], [0])

    def test_a_test_leaves_nothing(self, host: Any, slicer: Any) -> None:
        import qt

        host.load_module(EXAMPLE)
        host.enter("HostExample")
        a_ct(slicer)
        slicer.util.infoDisplay("x")
        host.answers.confirm = False
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        host.reset()
        assert host.records.messages == [] and host.answers.confirm and slicer.app.overrideCursor() is None
        assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == [] and not hasattr(
            slicer.modules, "hostexample"
        )
