"""Where the GPU's memory ends, the CPU goes on.

No GPU is needed: the runners here say that they are on one until they fell back, and all else is as it is.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from phantom_ct import make_phantom
from tiny_bundle import write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib import loaded
from OsteoScreenLib.classification import Classifier
from OsteoScreenLib.ct import Acquisition, ct_from_array
from OsteoScreenLib.memory_limits import is_out_of_memory
from OsteoScreenLib.models import load_bundle
from OsteoScreenLib.outlining import outline
from OsteoScreenLib.screening import ScreeningRequest, screen
from OsteoScreenLib.segmentation import Segmenter

SPACING = (1.5, 1.5)


class OnGpu:
    """Says that it runs on a GPU until it fell back."""

    def _is_on_gpu(self):
        return not self.fell_back


class GpuSegmenter(OnGpu, Segmenter):
    pass


class GpuClassifier(OnGpu, Classifier):
    pass


class GpuTooSmallForTheWeights(GpuSegmenter):
    """Its weights do not fit the first time that they are placed."""

    placed = 0

    def _place(self, device):
        self.placed += 1
        if self.placed == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return super()._place(device)


def fill_memory(runner, error=None, after=0):
    """Let passes of the runner's network fail after the first ``after``; the one on the CPU is another network."""
    calls = []

    def fail(*_):
        calls.append(1)
        if len(calls) > after:
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    runner.network.register_forward_pre_hook(fail)
    return calls


@pytest.fixture(scope="module")
def phantom():
    return make_phantom()


@pytest.fixture(scope="module")
def outliner(tmp_path_factory):
    return load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "outliner"), "segmentation")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_bundle(write_tiny_classifier(tmp_path_factory.mktemp("bundle") / "classifier"), "classification")


@pytest.fixture
def request_(phantom, outliner, classifier):
    acquisition = Acquisition(modality="CT", kvp=120.0, slice_thickness_mm=3.0, contrast=False, age_years=60.0)
    return ScreeningRequest(
        ct_from_array(phantom.hu, phantom.ijk_to_ras, acquisition),
        l1="#18",
        l2="#6",
        segmentation_model=outliner.path,
        classification_model=classifier.path,
        device="cpu",
        force=True,
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("expected scalar type Half but found Float"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error, says):
    assert is_out_of_memory(error) is says


@pytest.mark.parametrize("after", [0, 1])
def test_the_same_slice_is_outlined_on_the_cpu(phantom, outliner, after):
    expected = Segmenter(outliner, "cpu").segment(phantom.hu[18], SPACING)
    runner = GpuSegmenter(outliner, "cpu")
    on_gpu = runner.network
    calls = fill_memory(runner, after=after)
    found = runner.segment(phantom.hu[18], SPACING)
    assert (runner.fell_back, runner.device.type, runner.dtype) == (True, "cpu", torch.float32)
    assert runner.network is not on_gpu
    assert len(calls) == after + 1
    np.testing.assert_array_equal(found.probability, expected.probability)
    runner.segment(phantom.hu[6], SPACING)
    assert len(calls) == after + 1


def test_weights_that_do_not_fit_are_loaded_on_the_cpu(phantom, outliner):
    runner = GpuTooSmallForTheWeights(outliner, "cpu")
    assert (runner.fell_back, runner.placed) == (True, 2)
    runner.warm_up()
    assert runner.segment(phantom.hu[18], SPACING).mask.any()


def test_warming_up_falls_back_too(outliner, classifier):
    for runner in (GpuSegmenter(outliner, "cpu"), GpuClassifier(classifier, "cpu")):
        fill_memory(runner)
        runner.warm_up()
        assert runner.fell_back


def test_two_levels_that_run_out_of_memory_together_fall_back_once(phantom, outliner):
    runner = GpuSegmenter(outliner, "cpu")
    placed = []
    place = runner._place
    runner._place = lambda device: placed.append(device) or place(device)
    both = threading.Barrier(2)

    def fail(*_):
        both.wait(timeout=30)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    runner.network.register_forward_pre_hook(fail)
    found = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: runner.segment(phantom.hu[k], SPACING)})) for k in (18, 6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert set(found) == {18, 6}
    assert len(placed) == 1


def test_other_errors_and_errors_on_the_cpu_are_raised(phantom, outliner):
    other = GpuSegmenter(outliner, "cpu")
    fill_memory(other, RuntimeError("expected scalar type Half but found Float"))
    with pytest.raises(RuntimeError, match="Half"):
        other.segment(phantom.hu[18], SPACING)
    on_cpu = Segmenter(outliner, "cpu")
    fill_memory(on_cpu, RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    with pytest.raises(RuntimeError, match="allocate"):
        on_cpu.segment(phantom.hu[18], SPACING)
    assert not other.fell_back and not on_cpu.fell_back


def full_gpu(kind):
    def load(bundle, device):
        runner = kind(bundle, device)
        fill_memory(runner)
        return runner

    return loaded.LastLoaded(load)


def device_check(result):
    return next((check for check in result.eligibility if check.check == "device"), None)


def test_a_screening_says_that_it_ran_on_the_cpu(request_, monkeypatch):
    plain = screen(request_).result
    assert device_check(plain) is None
    monkeypatch.setattr(loaded, "SEGMENTERS", full_gpu(GpuSegmenter))
    fallen = screen(request_).result
    check = device_check(fallen)
    assert (check.outcome, fallen.software["device"]) == ("warn", "cpu")
    assert "The GPU's memory did not suffice for outlining" in check.message
    assert fallen.roi == plain.roi
    assert fallen.classification == plain.classification


def test_the_classifier_falls_back_by_itself(request_, monkeypatch):
    plain = screen(request_).result
    monkeypatch.setattr(loaded, "CLASSIFIERS", full_gpu(GpuClassifier))
    fallen = screen(request_).result
    assert "classifying" in device_check(fallen).message
    assert fallen.classification == plain.classification


def test_outlining_alone_falls_back_too(request_, monkeypatch):
    monkeypatch.setattr(loaded, "SEGMENTERS", full_gpu(GpuSegmenter))
    found = outline(request_)
    assert found.device == "cpu"
    assert set(found.levels) == {"L1", "L2"}
