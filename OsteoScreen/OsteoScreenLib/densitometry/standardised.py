"""HU as the nominal scanner would have measured them, so that one classifier serves several scanners."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..results import Calibration
from .calibration import NOMINAL_INTERCEPT, NOMINAL_SLOPE

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Hu = TypeVar("Hu", float, "np.ndarray", "Tensor")


def standardised_hu(hu: Hu, calibration: Calibration, factor: float = 1.0) -> Hu:
    """Return the HU at which the nominal line at 120 kVp gives the BMD that `calibration` gives for `hu`.

    `hu` is a number, an array or a tensor of any shape; `factor` takes it to 120 kVp first, as in :func:`.bmd.bmd`.
    The nominal line at 120 kVp changes nothing, to the last bit. A line of another mineral is taken as it is, as
    the QCT category takes it.
    """
    gain = calibration.slope * factor / NOMINAL_SLOPE
    offset = (calibration.intercept - NOMINAL_INTERCEPT) / NOMINAL_SLOPE
    return hu * gain + offset
