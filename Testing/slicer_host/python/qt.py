"""Stands for PythonQt's module ``qt``: the classes of Qt, in PythonQt's manner (see slicer_host/pythonqt.py)."""

from slicer_host import pythonqt as _pythonqt
from slicer_host.uiloader import QUiLoader as _QUiLoader

for _module in _pythonqt.MODULES:
    for _name in dir(_module):
        # PythonQt has no signals and properties for Python classes: Slicer crashes on qt.Signal.
        if not _name.startswith("_") and _name not in ("Signal", "SignalInstance", "Slot", "Property"):
            globals()[_name] = getattr(_module, _name)

QUiLoader = _QUiLoader
