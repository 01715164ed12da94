"""The host as a whole: in a process, and what stands in for packages, DICOM and processes (slicer_host/README.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slicer_host_data import EXAMPLE, a_ct


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ended")
    assert done.stderr == ""


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
