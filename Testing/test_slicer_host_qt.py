"""PythonQt's manners, as the host has them (see slicer_host/README.md)."""

from __future__ import annotations

import sys
from typing import Any

import pytest


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
        host.process_events()
        assert host.records.exceptions == []
        qt.QTimer.singleShot(0, lambda: seen.append("late"))
        host.reset()  # what is still to come in one test does not come in the next
        host.process_events()
        assert "late" not in seen

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
