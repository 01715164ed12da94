"""Stands for CTK's widgets, as far as scripted modules use them (see the table in slicer_host/README.md)."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QRect, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QToolButton,
    QWidget,
)
from slicer_host.pythonqt import private, qt_property, stand_in, wire


@stand_in
class ctkCollapsibleButton(QAbstractButton):
    """A titled box that hides its children while it is collapsed."""

    contentsCollapsed = Signal(bool)

    def __init__(self, text: Any = "", parent: Any = None) -> None:
        if isinstance(text, QWidget):
            text, parent = "", text
        super().__init__(parent)
        private(self, _collapsed=False, _flat=False, _height=14, _forcing=False, _maximum=self.maximumHeight)
        self.setCheckable(True)
        self.setChecked(True)
        self.setText(text or "")
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._header(), 0, 0)
        self.setMinimumHeight(self._header())
        wire(self.toggled, self._onToggled)

    def isCollapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def setFlat(self, flat: bool) -> None:
        private(self, _flat=bool(flat))
        self.update()

    def setCollapsedHeight(self, height: int) -> None:
        private(self, _height=height)

    collapsed = qt_property(bool, isCollapsed, setCollapsed)
    flat = qt_property(bool, lambda self: self._flat, setFlat)
    collapsedHeight = qt_property(int, lambda self: self._height, setCollapsedHeight)

    def _header(self) -> int:
        return self.fontMetrics().height() + 8

    def _onToggled(self, checked: bool) -> None:
        self._collapse(not checked)

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        private(self, _collapsed=collapsed)
        if collapsed:
            private(self, _maximum=self.maximumHeight)
        self.setMaximumHeight(self._header() if collapsed else self._maximum)
        for child in self.children():
            if isinstance(child, QWidget):
                self._follow(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _follow(self, child: Any) -> None:
        """Hide or show a child, without making it look as if the module had asked for it."""
        wanted = child.property("visibilityToParent") is not False
        private(self, _forcing=True)
        child.setVisible(wanted and not self._collapsed)
        if wanted:
            child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        private(self, _forcing=False)

    def childEvent(self, event: Any) -> None:
        child = event.child()
        if event.type() == QEvent.Type.ChildPolished and isinstance(child, QWidget):
            child.installEventFilter(self)
            if child.isHidden() and child.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide):
                child.setProperty("visibilityToParent", False)
            if self._collapsed:
                self._follow(child)
        super().childEvent(event)

    def eventFilter(self, child: Any, event: Any) -> bool:
        if event.type() in (QEvent.Type.ShowToParent, QEvent.Type.HideToParent) and not self._forcing:
            wanted = event.type() == QEvent.Type.ShowToParent
            child.setProperty("visibilityToParent", wanted)
            if wanted and self._collapsed:
                self._follow(child)
        return super().eventFilter(child, event)

    def hitButton(self, position: Any) -> bool:
        return position.y() < self._header()

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width, self._header())
        option.state |= QStyle.StateFlag.State_Sunken if self.isDown() else QStyle.StateFlag.State_Raised
        style = self.style()
        if not self._flat:
            style.drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow = QStyleOption(option)
        arrow.rect = QRect(6, (self._header() - 12) // 2, 12, 12)
        primitive = "PE_IndicatorArrowRight" if self._collapsed else "PE_IndicatorArrowDown"
        style.drawPrimitive(getattr(QStyle.PrimitiveElement, primitive), arrow, painter, self)
        place = option.rect.adjusted(24, 0, -4, 0)
        alignment = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextShowMnemonic
        role = self.palette.ColorRole.ButtonText
        style.drawItemText(painter, place, int(alignment), self.palette, self.enabled, self.text, role)


@stand_in
class ctkSliderWidget(QWidget):
    """A slider and a spin box of one floating-point value."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        slider, box = QSlider(Qt.Orientation.Horizontal, self), QDoubleSpinBox(self)
        private(self, _slider=slider, _box=box, _value=0.0, _tracking=True, _page=10.0, _held=0.0, _tick=0.0)
        box.setRange(0.0, 100.0)
        box.setKeyboardTracking(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(slider, 1)
        layout.addWidget(box)
        wire(slider.valueChanged, self._onSlider)
        wire(slider.sliderPressed, self._onPressed)
        wire(slider.sliderReleased, self._onReleased)
        wire(box.valueChanged, self.setValue)
        self._place()

    def slider(self) -> Any:
        return self._slider

    def spinBox(self) -> Any:
        return self._box

    def setValue(self, value: float) -> None:
        value = min(max(float(value), self.minimum), self.maximum)
        value = round(value, self.decimals)
        changed = value != self._value
        private(self, _value=value)
        self._place()
        if changed:
            self.valueChanged.emit(value)

    def setMinimum(self, minimum: float) -> None:
        self.setRange(minimum, max(minimum, self.maximum))

    def setMaximum(self, maximum: float) -> None:
        self.setRange(min(self.minimum, maximum), maximum)

    def setRange(self, minimum: float, maximum: float) -> None:
        blocked = self._box.blockSignals(True)
        self._box.setRange(float(minimum), float(maximum))
        self._box.blockSignals(blocked)
        self.setValue(self._value)

    def setSingleStep(self, step: float) -> None:
        self._box.setSingleStep(float(step))
        self._place()

    def setPageStep(self, step: float) -> None:
        private(self, _page=float(step))
        self._place()

    def setDecimals(self, decimals: int) -> None:
        blocked = self._box.blockSignals(True)
        self._box.setDecimals(decimals)
        self._box.blockSignals(blocked)
        self.decimalsChanged.emit(decimals)
        self.setValue(self._value)

    def setTracking(self, tracking: bool) -> None:
        private(self, _tracking=bool(tracking))

    value = qt_property(float, lambda self: self._value, setValue)
    minimum = qt_property(float, lambda self: self._box.minimum, setMinimum)
    maximum = qt_property(float, lambda self: self._box.maximum, setMaximum)
    singleStep = qt_property(float, lambda self: self._box.singleStep, setSingleStep)
    pageStep = qt_property(float, lambda self: self._page, setPageStep)
    decimals = qt_property(int, lambda self: self._box.decimals, setDecimals)
    prefix = qt_property(str, lambda self: self._box.prefix, lambda self, text: self._box.setPrefix(text))
    suffix = qt_property(str, lambda self: self._box.suffix, lambda self, text: self._box.setSuffix(text))
    tracking = qt_property(bool, lambda self: self._tracking, setTracking)
    tickInterval = qt_property(float, lambda self: self._tick, lambda self, tick: private(self, _tick=float(tick)))
    spinBoxVisible = qt_property(
        bool, lambda self: not self._box.isHidden(), lambda self, shown: self._box.setVisible(shown)
    )

    def _onSlider(self, position: int) -> None:
        value = self.minimum + position * self.singleStep
        if self._tracking or not self._slider.isSliderDown():
            self.setValue(value)
        else:
            private(self, _value=min(max(value, self.minimum), self.maximum))
            self.valueIsChanging.emit(self._value)

    def _onPressed(self) -> None:
        private(self, _held=self._value)

    def _onReleased(self) -> None:
        if self._value != self._held and not self._tracking:
            self.valueChanged.emit(self._value)

    def _place(self) -> None:
        """Bring both halves to the value, quietly."""
        steps = max(1, round((self.maximum - self.minimum) / (self.singleStep or 1.0)))
        for part in (self._slider, self._box):
            part.blockSignals(True)
        self._slider.setRange(0, min(steps, 2**30))
        self._slider.setPageStep(max(1, round(self._page / (self.singleStep or 1.0))))
        self._slider.setValue(round((self._value - self.minimum) / (self.singleStep or 1.0)))
        self._box.setValue(self._value)
        for part in (self._slider, self._box):
            part.blockSignals(False)


@stand_in
class ctkDoubleSpinBox(QDoubleSpinBox):
    """A spin box of a floating-point value."""


@stand_in
class ctkPathLineEdit(QWidget):
    """A line for a file's or a folder's path, with a button to browse."""

    Dirs, Files, Drives, NoSymLinks, AllEntries = 0x1, 0x2, 0x4, 0x8, 0x7
    Readable, Writable, Executable, Hidden, System = 0x10, 0x20, 0x40, 0x100, 0x200
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        line, button = QLineEdit(self), QToolButton(self)
        private(self, _line=line, _button=button, _filters=self.AllEntries, _names=[], _label="", _key="", _options=0)
        button.setText("...")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(line, 1)
        layout.addWidget(button)
        self.setFocusProxy(line)
        wire(line.textChanged, self.currentPathChanged)
        wire(button.clicked, self.browse)

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    def setNameFilters(self, filters: list[str]) -> None:
        private(self, _names=list(filters))

    def addCurrentPathToHistory(self) -> None:
        """Do nothing: the host keeps no history."""

    def browse(self) -> None:
        """Ask for a path as the real one does: for a folder if files are not among the filters."""
        if self._filters & self.Files:
            ask = QFileDialog.getSaveFileName if self._filters & self.Writable else QFileDialog.getOpenFileName
            path = ask(self, self._label, self.currentPath, ";;".join(self._names))
        else:
            path = QFileDialog.getExistingDirectory(self, self._label, self.currentPath)
        if path:
            self.setCurrentPath(path)

    currentPath = qt_property(str, lambda self: self._line.text, setCurrentPath)
    nameFilters = qt_property("QStringList", lambda self: self._names, setNameFilters)
    filters = qt_property(int, lambda self: self._filters, lambda self, value: private(self, _filters=int(value)))
    options = qt_property(int, lambda self: self._options, lambda self, value: private(self, _options=int(value)))
    label = qt_property(str, lambda self: self._label, lambda self, text: private(self, _label=text))
    settingKey = qt_property(str, lambda self: self._key, lambda self, text: private(self, _key=text))
    showHistoryButton = qt_property(bool, lambda self: False, lambda self, value: None)
    showBrowseButton = qt_property(
        bool, lambda self: not self._button.isHidden(), lambda self, shown: self._button.setVisible(shown)
    )


@stand_in
class ctkDirectoryButton(QPushButton):
    """A button that shows a folder and asks for another when it is clicked."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        private(self, _directory="")
        wire(self.clicked, self.browse)

    def setDirectory(self, path: str) -> None:
        if path != self._directory:
            private(self, _directory=path)
            self.setText(path)
            self.directoryChanged.emit(path)

    def browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "", self._directory)
        if path:
            self.setDirectory(path)
            self.directorySelected.emit(path)

    directory = qt_property(str, lambda self: self._directory, setDirectory)


@stand_in
class ctkComboBox(QComboBox):
    """A combo box with a text for when nothing is chosen."""

    defaultText = qt_property(str, lambda self: self.placeholderText, lambda self, text: self.setPlaceholderText(text))


@stand_in
class ctkCheckBox(QCheckBox):
    """A check box."""


@stand_in
class ctkCheckablePushButton(QPushButton):
    """A button with a check box; here a button that can be checked."""

    def __init__(self, text: Any = "", parent: Any = None) -> None:
        super().__init__(*([text] if isinstance(text, QWidget) else [text, parent]))
        private(self, _controls=False)

    checkBoxControlsButton = qt_property(bool, lambda self: True, lambda self, value: None)
    checkBoxControlsButtonToggleState = qt_property(
        bool, lambda self: self._controls, lambda self, value: private(self, _controls=bool(value))
    )


@stand_in
class ctkMessageBox(QMessageBox):
    """A message box that can be told not to show itself again."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        private(self, _key="", _again=False)

    dontShowAgain = qt_property(bool, lambda self: self._again, lambda self, value: private(self, _again=bool(value)))
    dontShowAgainVisible = qt_property(bool, lambda self: bool(self._key), lambda self, value: None)
    dontShowAgainSettingsKey = qt_property(str, lambda self: self._key, lambda self, key: private(self, _key=key))


class ctkWidgetsUtils:
    """Pictures of widgets."""

    @staticmethod
    def grabWidget(widget: Any, rectangle: Any = None) -> Any:
        return widget.grab().toImage()


__all__ = [name for name in dir() if name.startswith("ctk")]
