"""Stands for the PyTorch extension's ``PyTorchUtils``, over the torch of this environment.

``state`` says what a test wants to meet: ``installed``, ``absent`` (torch is not there; installing it works),
``half installed`` (asking raises TypeError, as it does when torch's metadata lack their list of files), or ``declined``
(torch is not there, and the person says no).
"""

from __future__ import annotations

from typing import Any

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from slicer_host.noting import records

STATES = ("installed", "absent", "half installed", "declined")
state = "installed"


class PyTorchUtilsLogic(ScriptedLoadableModuleLogic):
    """Finds torch, or installs it."""

    def __init__(self) -> None:
        super().__init__()
        self._torch: Any = None

    @staticmethod
    def torchInstalled() -> bool:
        if state not in STATES:
            raise ValueError(f"{state!r} is none of {STATES}")
        if state == "half installed":
            raise TypeError("'NoneType' object is not iterable")
        return state == "installed"

    @property
    def torch(self) -> Any:
        if self._torch is None:
            self._torch = self.importTorch()
        return self._torch

    def importTorch(self) -> Any:
        if not self.torchInstalled():
            return self.installTorch()
        import torch

        return torch

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
        torchvisionVersionRequirement: str | None = None,
    ) -> Any:
        global state
        records.packages.append(
            {
                "call": "installTorch",
                "askConfirmation": askConfirmation,
                "torchVersionRequirement": torchVersionRequirement,
            }
        )
        if state == "declined":
            return None
        state = "installed"
        return self.importTorch()

    def getDevice(self) -> Any:
        return self.torch.device("cuda") if self.torch.cuda.is_available() else "cpu"

    @property
    def cuda(self) -> bool:
        return self.getDevice() != "cpu"
