"""Checks of one outlined level: what can be judged only on its slice."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...connected import largest_part
from .aorta import find_aorta
from .registry import OutlinedSlice, Verdict, passed, refused, slice_check, warned

#: Half a body and its endplate (posterior height 24 mm at L1, Panjabi 1992; 26 mm measured here).
_WHOLE_MARGIN_MM, _LEAST_MARGIN_MM = 14.0, 3.0
#: Unenhanced blood reads 35-56 HU (shared reference notes); in 4,711 enhanced abdominal series (RSNA 2023, aortic_hu)
#: the lowest readings are about 100.
_PLAIN_BLOOD_HU, _ENHANCED_BLOOD_HU = 75.0, 100.0
#: Cortex after blur reads 300-700 HU (shared reference notes), up to 1400 with a sharp kernel; metal reads more.
_CEMENT_HU, _DENSE_HU, _METAL_HU = 900.0, 600.0, 2000.0
#: Pure fat is no darker than about -115 HU (shared reference notes); what is, is a streak beside metal, or gas.
_DARK_STREAK_HU = -250.0
#: A smaller area is noise or a fleck of calcium, a dozen pixels of 0.9 mm; streaks are looked for this far (judged).
_SPECK_MM2, _NEAR_MM = 10.0, 60.0
#: Noise of tissue, as the SD in small windows: 15-30 HU in low-dose chest CT (shared reference notes), more with sharp
#: kernels; at 120 HU the mean of a 200 mm2 ROI is uncertain by about as much as two bone-status classes are apart.
_USUAL_NOISE_HU, _MOST_NOISE_HU = 45.0, 120.0
#: The recommended ROI is a circle of 200 mm2; half of that is no fair sample.
_FAIR_AREA_MM2, _LEAST_AREA_MM2 = 200.0, 100.0
#: Outlines drawn by hand are 1190-1400 mm2 (man of 69, L1, L2, T12); small women's bodies are half of that.
_USUAL_OUTLINE_MM2, _POSSIBLE_OUTLINE_MM2 = (450.0, 2200.0), (250.0, 3200.0)
#: L1 reads 226 +- 44 HU below 30 years and 89 +- 38 at 90 (Jang 2019): four SD beyond either.
_USUAL_HU, _POSSIBLE_HU = (-30.0, 400.0), (-120.0, 700.0)
#: Good outlines on simulated slices have a confidence of about 0.9 in the mean, those on slices blurred by 4 mm of 0.5
#: (0.97 and 0.83 to the fourth power; segmentation.py); the bounds about them are judged.
_SURE, _UNSURE = 0.60, 0.25
#: Nearer to the field's edge than the first, a body's HU are not to be trusted; along less than the second, an elbow or
#: a fold of skin touches it (judged).
_EDGE_MM, _TOUCHING_MM = 15.0, 25.0


@slice_check("level_whole")
def level_whole(seen: OutlinedSlice) -> Verdict:
    """The body lies in the scan with its endplates, so that its middle is known."""
    slices = seen.ct.geometry.shape[0]
    z = seen.ct.geometry.slice_z(seen.level.slice_index)
    ends = [abs(z - seen.ct.geometry.slice_z(end)) for end in (0, slices - 1)]
    room = float(min(ends))
    value = round(room, 2)
    name = seen.level.name
    if room >= _WHOLE_MARGIN_MM:
        return passed(f"{name} lies {room:.0f} mm inside the scan.", value)
    if room >= _LEAST_MARGIN_MM:
        return warned(f"{name} lies {room:.0f} mm from the scan's end, so its body may be cut; check the level.", value)
    return refused(f"{name} lies at the scan's end, so its body is cut; give a scan that holds it whole.", value)


@slice_check("field_of_view")
def field_of_view(seen: OutlinedSlice) -> Verdict:
    """Tissue outside the field of view changes HU inside; a cut body cannot be measured."""
    row_mm, column_mm = seen.row_column_mm
    depth = _depth_in_field(seen.hu, row_mm, column_mm)
    if seen.mask.any() and depth[seen.mask].min() < _EDGE_MM:
        return refused(
            f"The vertebra of {seen.level.name} lies at the edge of the field of view; give a reconstruction with a "
            "larger one.",
            round(float(depth[seen.mask].min()), 1),
        )
    # Every second pixel tells a trunk from a table as well as all of them do.
    rim = (depth[::2, ::2] > 0) & (depth[::2, ::2] <= 3 * max(row_mm, column_mm))
    touching = float((_trunk(seen.hu[::2, ::2]) & rim).sum() * 2 * math.sqrt(row_mm * column_mm))
    if touching <= _TOUCHING_MM:
        return passed("The field of view holds the whole trunk.", round(touching, 1))
    return warned(
        f"The field of view cuts the trunk along {touching:.0f} mm, which may raise HU near its edge; prefer a "
        "reconstruction with a larger one.",
        round(touching, 1),
    )


@slice_check("aorta")
def aorta(seen: OutlinedSlice) -> Verdict:
    """Bright blood means contrast medium, whatever the header says."""
    found = find_aorta(seen.hu, seen.mask, seen.row_column_mm)
    if found is None:
        return warned(
            f"The aorta was not found at {seen.level.name}, so its brightness tells nothing; make sure that no "
            "contrast medium was given."
        )
    value = round(found.hu, 1)
    if found.hu <= _PLAIN_BLOOD_HU:
        return passed(f"The aorta reads {found.hu:.0f} HU at {seen.level.name}, as without contrast medium.", value)
    message = f"The aorta reads {found.hu:.0f} HU at {seen.level.name}, and without contrast medium about 35 to 56 HU"
    if found.hu <= _ENHANCED_BLOOD_HU:
        return warned(f"{message}; make sure that no contrast medium was given.", value)
    return refused(f"{message}, so bone reads too dense; give an unenhanced series.", value)


@slice_check("metal_or_cement")
def metal_or_cement(seen: OutlinedSlice) -> Verdict:
    """Metal, cement and the streaks they throw make HU meaningless."""
    hu, mask = _near(seen)
    near, inner = _grown(mask, _NEAR_MM, seen.row_column_mm), _inset(mask, seen.roi.inset_mm, seen.row_column_mm)
    metal, cement = _area(seen, near & (hu > _METAL_HU)), _area(seen, inner & (hu > _CEMENT_HU))
    dense, dark = _area(seen, inner & (hu > _DENSE_HU)), _area(seen, mask & (hu < _DARK_STREAK_HU))
    highest = float(hu[mask].max(initial=-1024.0)) if mask.any() else None
    name = seen.level.name
    if metal >= _SPECK_MM2:
        return refused(
            f"There is metal ({metal:.0f} mm2) near {name}, whose streaks change HU; use another level.", highest
        )
    if cement >= _SPECK_MM2:
        return refused(f"{name} holds cement or metal ({cement:.0f} mm2 above 900 HU); use another level.", highest)
    if dark >= _SPECK_MM2:
        return warned(f"{name} holds dark streaks or gas ({dark:.0f} mm2); look whether metal is nearby.", highest)
    if dense >= _SPECK_MM2:
        return warned(
            f"{name} holds {dense:.0f} mm2 above 600 HU: sclerosis, an osteophyte or cement; look at it.", highest
        )
    return passed(f"No metal or cement in or near {name}.", highest)


@slice_check("noise")
def noise(seen: OutlinedSlice) -> Verdict:
    """Noise blurs the outline and the mean."""
    level = _noise_hu(*_near(seen), seen.row_column_mm)
    if level is None:
        return warned("There is no even tissue near the vertebra to judge the noise by; look at the picture.")
    value = round(level, 1)
    if level <= _USUAL_NOISE_HU:
        return passed(f"Noise of {level:.0f} HU.", value)
    if level <= _MOST_NOISE_HU:
        return warned(f"Noise of {level:.0f} HU is high; prefer a softer or thicker reconstruction.", value)
    return refused(f"Noise of {level:.0f} HU hides the outline; give a softer or thicker reconstruction.", value)


@slice_check("roi_size")
def roi_size(seen: OutlinedSlice) -> Verdict:
    """A small region is no fair sample of the body."""
    area = seen.roi.area_mm2
    value = round(area, 1)
    if area >= _FAIR_AREA_MM2:
        return passed(f"{area:.0f} mm2 are measured.", value)
    message = f"Only {area:.0f} mm2 are measured at {seen.level.name}, and a fair sample is 200 mm2"
    if area >= _LEAST_AREA_MM2:
        return warned(f"{message}; look at the outline.", value)
    return refused(f"{message}; correct the level or the outline.", value)


@slice_check("outline_size")
def outline_size(seen: OutlinedSlice) -> Verdict:
    """Unlike any body of the training data: too small or too large."""
    return _ranged(
        seen.roi.outline_area_mm2, _USUAL_OUTLINE_MM2, _POSSIBLE_OUTLINE_MM2, f"The outline of {seen.level.name}", "mm2"
    )


@slice_check("hu_range")
def hu_range(seen: OutlinedSlice) -> Verdict:
    """Unlike any body of the training data: too dark or too dense (or not in HU)."""
    return _ranged(seen.roi.mean_hu, _USUAL_HU, _POSSIBLE_HU, f"The mean of {seen.level.name}", "HU")


@slice_check("confidence")
def confidence(seen: OutlinedSlice) -> Verdict:
    """The network's own doubt about its outline."""
    sure = seen.roi.confidence
    value = round(sure, 3)
    if seen.roi.mask_source == "user":
        return passed(f"The outline of {seen.level.name} was given by the user.", value)
    if sure >= _SURE:
        return passed(f"The outline of {seen.level.name} is sure ({sure:.2f}).", value)
    message = f"The outline of {seen.level.name} is doubtful (confidence {sure:.2f})"
    if sure >= _UNSURE:
        return warned(f"{message}; look at it closely, and correct it if need be.", value)
    return refused(f"{message}, as on images unlike the training data; check the level, or draw the outline.", value)


def _ranged(value: float, usual: tuple[float, float], possible: tuple[float, float], what: str, unit: str) -> Verdict:
    if not math.isfinite(value):
        return refused(f"{what} is not a number; correct the level or the outline.")
    rounded = round(value, 1)
    if usual[0] <= value <= usual[1]:
        return passed(f"{what} is {value:.0f} {unit}.", rounded)
    message = f"{what} is {value:.0f} {unit}, outside the usual {usual[0]:.0f} to {usual[1]:.0f}"
    if possible[0] <= value <= possible[1]:
        return warned(f"{message}; look at the outline and for disease.", rounded)
    return refused(f"{message} and unlike any vertebral body; correct the level or the outline.", rounded)


def _area(seen: OutlinedSlice, region: npt.NDArray[np.bool_]) -> float:
    row_mm, column_mm = seen.row_column_mm
    return float(region.sum() * row_mm * column_mm)


def _inset(mask: npt.NDArray[np.bool_], by_mm: float, row_column_mm: tuple[float, float]) -> npt.NDArray[np.bool_]:
    return ndimage.distance_transform_edt(np.pad(mask, 1), sampling=row_column_mm)[1:-1, 1:-1] > by_mm


def _grown(mask: npt.NDArray[np.bool_], by_mm: float, row_column_mm: tuple[float, float]) -> npt.NDArray[np.bool_]:
    return ndimage.distance_transform_edt(~mask, sampling=row_column_mm) <= by_mm if mask.any() else mask


def _depth_in_field(hu: npt.NDArray[np.float32], row_mm: float, column_mm: float) -> npt.NDArray[np.float64]:
    """How deep each pixel lies in the reconstructed part of the slice, mm; 0 and less outside of it.

    That part is the inscribed circle where all corners are padding, else the whole slice.
    """
    rows, columns = hu.shape
    y, x = np.ogrid[:rows, :columns]
    corners = [hu[0, 0], hu[0, -1], hu[-1, 0], hu[-1, -1]]
    if max(corners) > -1023.5 or rows != columns:
        high = np.minimum(y + 1, rows - y) * row_mm
        return np.minimum(high, np.minimum(x + 1, columns - x) * column_mm)
    middle = (rows - 1) / 2
    away = np.hypot((y - middle) * row_mm, (x - middle) * column_mm)
    return rows / 2 * min(row_mm, column_mm) - away


def _near(seen: OutlinedSlice) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The slice and its outline cut to what lies near the outline, so that judging it costs less."""
    if not seen.mask.any():
        return seen.hu, seen.mask
    box = tuple(
        slice(max(int(where.min() - _NEAR_MM / step) - 1, 0), int(where.max() + _NEAR_MM / step) + 2)
        for where, step in zip(np.nonzero(seen.mask), seen.row_column_mm, strict=True)
    )
    return seen.hu[box], seen.mask[box]


def _trunk(hu: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The largest piece of tissue, without the table."""
    tissue = ndimage.binary_opening(hu > -300.0)
    # The opening shrinks nothing but thin parts; the border pixels that it took are needed here.
    return ndimage.binary_dilation(largest_part(tissue)) & (hu > -300.0)


def _noise_hu(
    hu: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], row_column_mm: tuple[float, float]
) -> float | None:
    """SD in 7 mm windows of soft tissue within 60 mm of the body: the lower quartile, so that edges do not count."""
    if not mask.any():
        return None
    row_mm, column_mm = row_column_mm
    size = (max(3, round(7.0 / row_mm)), max(3, round(7.0 / column_mm)))
    tissue = np.clip(hu, -200.0, 400.0).astype(np.float64)
    mean = ndimage.uniform_filter(tissue, size)
    variance = np.maximum(ndimage.uniform_filter(tissue**2, size) - mean**2, 0.0)
    away = ndimage.distance_transform_edt(~mask, sampling=row_column_mm)
    even = (away <= _NEAR_MM) & (away > 5.0) & (mean > 0.0) & (mean < 90.0)
    values = np.sqrt(variance[even])
    # A window of n pixels has n - 1 degrees of freedom.
    unbiased = math.sqrt(size[0] * size[1] / (size[0] * size[1] - 1))
    return float(np.quantile(values, 0.25)) * unbiased if len(values) >= 25 else None
