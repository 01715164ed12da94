"""Arrays to tensors and back, as torch does it and where it cannot."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from phantom_ct import make_phantom
from tiny_bundle import write_tiny_bundle
from tiny_classifier import write_tiny_classifier

from OsteoScreenLib import loaded
from OsteoScreenLib.classification import Classifier
from OsteoScreenLib.ct import Acquisition, ct_from_array
from OsteoScreenLib.results_io import to_dict
from OsteoScreenLib.screening import ScreeningRequest, screen
from OsteoScreenLib.segmentation import Segmenter
from OsteoScreenLib.tensors import array_from_tensor, tensor_from_array

TYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def without_bridge(monkeypatch):
    """Make torch's bridge to numpy fail as torch 2.2 makes it fail beside numpy 2."""

    def fail(*_, **__):
        raise RuntimeError("Numpy is not available")

    def refusing(function):
        def guarded(data, *arguments, **options):
            if isinstance(data, (np.ndarray, np.generic)):
                fail()
            return function(data, *arguments, **options)

        return guarded

    monkeypatch.setattr(torch, "from_numpy", fail)
    monkeypatch.setattr(torch.Tensor, "numpy", fail)
    monkeypatch.setattr(torch.Tensor, "__array__", fail)
    for name in ("tensor", "as_tensor", "asarray"):
        monkeypatch.setattr(torch, name, refusing(getattr(torch, name)))


@pytest.fixture(params=["bridge", "no bridge"])
def bridge(request, monkeypatch):
    if request.param == "no bridge":
        without_bridge(monkeypatch)
        with pytest.raises(RuntimeError):
            torch.from_numpy(np.zeros(1))
    return request.param == "bridge"


def arrays(dtype):
    whole = (np.arange(24).reshape(2, 3, 4) % 5).astype(dtype)
    read_only = whole.copy()
    read_only.setflags(write=False)
    return {
        "whole": whole,
        "0-d": whole[1, 2, 3].reshape(()),
        "empty": whole[:, :0],
        "transposed": whole.T,
        "every second": whole[:, ::2, ::3],
        "backwards": whole[::-1, :, ::-1],
        "Fortran": np.asfortranarray(whole),
        "read-only": read_only,
        "other byte order": whole.astype(whole.dtype.newbyteorder()),
    }


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_type_and_shape_survive(bridge, dtype):
    for name, array in arrays(dtype).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tensor = tensor_from_array(array)
            back = array_from_tensor(tensor)
        assert str(tensor.dtype) == f"torch.{dtype}", name
        assert tuple(tensor.shape) == array.shape, name
        assert tensor.tolist() == array.tolist(), name
        assert (back.dtype, back.shape) == (np.dtype(dtype), array.shape), name
        np.testing.assert_array_equal(back, array, err_msg=name)


def test_tensors_that_are_not_contiguous_become_arrays(bridge):
    tensor = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)[1:, :, ::2]
    assert array_from_tensor(tensor).tolist() == tensor.tolist()
    trained = torch.ones(2, requires_grad=True)
    assert array_from_tensor(trained * 2).tolist() == [2.0, 2.0]


def test_a_writable_array_in_order_is_shared_and_outlives_its_name(bridge):
    array = np.arange(1000, dtype=np.float32).reshape(10, 100)
    tensor = tensor_from_array(array)
    array[3, 4] = -1.0
    assert tensor[3, 4] == -1.0
    del array
    np.empty((10, 100), np.float32).fill(7.0)
    assert tensor[9, 99] == 999.0


def test_what_may_not_be_written_to_is_copied(bridge):
    array = np.arange(6, dtype=np.int16)
    array.setflags(write=False)
    tensor_from_array(array).fill_(0)
    assert array.tolist() == [0, 1, 2, 3, 4, 5]


def test_arrays_own_what_they_show(bridge):
    tensor = torch.arange(1000.0)
    array = array_from_tensor(tensor)
    if bridge:
        tensor[5] = -1.0
        assert array[5] == -1.0
    del tensor
    torch.full((1000,), 7.0)
    assert array[999] == 999.0
    assert array.flags.writeable


def test_types_that_one_side_lacks_are_type_errors(bridge):
    with pytest.raises(TypeError, match="complex"):
        tensor_from_array(np.zeros(2, complex))
    with pytest.raises(TypeError, match="bfloat16"):
        array_from_tensor(torch.zeros(2, dtype=torch.bfloat16))


def test_other_errors_of_torch_are_not_hidden(monkeypatch):
    def fail(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(torch, "from_numpy", fail)
    with pytest.raises(RuntimeError, match="something else"):
        tensor_from_array(np.zeros(2))


def test_a_screening_without_the_bridge_is_the_same_to_the_last_bit(tmp_path, monkeypatch):
    phantom = make_phantom()
    acquisition = Acquisition(modality="CT", kvp=120.0, slice_thickness_mm=3.0, contrast=False, age_years=60.0)
    ct = ct_from_array(phantom.hu, phantom.ijk_to_ras, acquisition)
    request = ScreeningRequest(
        ct,
        l1="#18",
        l2="#6",
        segmentation_model=write_tiny_bundle(tmp_path / "outliner"),
        classification_model=write_tiny_classifier(tmp_path / "classifier"),
        device="cpu",
        force=True,
    )

    def screened():
        monkeypatch.setattr(loaded, "SEGMENTERS", loaded.LastLoaded(Segmenter))
        monkeypatch.setattr(loaded, "CLASSIFIERS", loaded.LastLoaded(Classifier))
        screening = screen(request)
        document = to_dict(screening.result)
        del document["timing_s"]
        return document, screening.outlines

    with_it, outlines = screened()
    without_bridge(monkeypatch)
    without, again = screened()
    assert without == with_it
    assert with_it["classification"]["category"] is not None
    for name, outline in outlines.items():
        np.testing.assert_array_equal(outline.mask, again[name].mask)
        np.testing.assert_array_equal(outline.probability, again[name].probability)
