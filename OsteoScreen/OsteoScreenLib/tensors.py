"""Between numpy's arrays and torch's tensors, also where torch was built for another numpy than the one at hand.

Slicer on macOS gets torch 2.2, built against numpy 1, beside numpy 2: ``torch.from_numpy``, ``Tensor.numpy()`` and
``torch.tensor(array)`` then raise "Numpy is not available". The buffer protocol, which both know, is the way round.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_DTYPES = {
    np.dtype(np.bool_): torch.bool,
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.int8): torch.int8,
    np.dtype(np.int16): torch.int16,
    np.dtype(np.int32): torch.int32,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.float16): torch.float16,
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float64): torch.float64,
}
_NUMPY_DTYPES = {dtype: array for array, dtype in _DTYPES.items()}


def tensor_from_array(array: NDArray) -> Tensor:
    """Return the array's numbers as a tensor on the CPU, of the same type and shape.

    A writable array in C order shares its memory with the tensor, which keeps it alive; any other is copied once.
    Raises TypeError for types that both do not have (complex and unsigned numbers above 8 bits, text).
    """
    dtype = _DTYPES.get(array.dtype.newbyteorder("="))
    if dtype is None:
        raise TypeError(f"There is no tensor of {array.dtype}.")
    # One way for all: torch warns of arrays that it may not write to, and refuses negative strides and swapped bytes.
    own = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
    try:
        return torch.from_numpy(own)
    except RuntimeError as error:
        if not _is_missing_bridge(error):
            raise
    return _over(own, dtype)


def array_from_tensor(tensor: Tensor) -> NDArray:
    """Return the tensor's numbers as an array of the same type and shape, from whichever device they are on.

    As with ``Tensor.numpy``, a tensor on the CPU shares its memory with the array where torch knows numpy; elsewhere it
    is copied once. Raises TypeError for types that numpy does not have (bfloat16).
    """
    tensor = tensor.detach().cpu()
    dtype = _NUMPY_DTYPES.get(tensor.dtype)
    if dtype is None:
        raise TypeError(f"There is no array of {tensor.dtype}.")
    try:
        bridged: NDArray = tensor.numpy()
        return bridged
    except RuntimeError as error:
        if not _is_missing_bridge(error):
            raise
    array = np.empty(tuple(tensor.shape), dtype)
    _over(array, _DTYPES[dtype]).copy_(tensor)
    return array


def _over(array: NDArray, dtype: torch.dtype) -> Tensor:
    """A tensor over the memory of an array in C order."""
    if array.size == 0:
        return torch.empty(array.shape, dtype=dtype)  # frombuffer refuses empty buffers
    return torch.frombuffer(array.reshape(-1), dtype=dtype).view(array.shape)


def _is_missing_bridge(error: RuntimeError) -> bool:
    return "numpy is not available" in str(error).lower()
