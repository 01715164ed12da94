"""Checks of the header and the geometry: what can be judged before a pixel is read."""

from __future__ import annotations

import math

from ...request import OLDEST_YEARS
from .. import slice_places
from ..kernels import kernel_class
from .registry import Scan, Verdict, passed, refused, scan_check, warned

#: HU mean another density in growing bone.
_ADULT_YEARS = 18
#: 120 kVp is what HU-to-BMD lines are for; 100 and 140 have verified factors (0.927 and 1.053), no other voltage has.
#: Source: shared reference notes on the field.
_STANDARD_KVP, _CORRECTED_KVP = 120.0, (100.0, 140.0)
_KVP_TOLERANCE = 1.0
#: What no CT's tube runs at is a slip of the header, and as good as not said.
_LOWEST_KVP, _HIGHEST_KVP = 40.0, 200.0
#: Slices above 3 mm mix endplate and body; above 5 mm a body has fewer than five. Source: as above, and the study.
_THIN_MM, _THICK_MM = 3.0, 5.0
#: Headers round lengths to this.
_ROUNDING_MM = 0.01
#: The network was trained on pixels of 0.45-0.98 mm; beyond 3.5 mm the 2 mm inset leaves nothing to trust.
_USUAL_PIXEL_MM, _LARGEST_PIXEL_MM = (0.3, 1.2), 3.5
#: Ages in whole years, and at another date of the same examination, differ by so much.
_SAME_AGE_YEARS = 1.5
_NO_AGENT = {"", "NO", "NONE", "N", "0", "NO CONTRAST", "WITHOUT", "UNENHANCED", "NATIVE", "NON CONTRAST"}


@scan_check("modality")
def modality(scan: Scan) -> Verdict:
    """CT, and nothing else, is measured in HU."""
    said = scan.ct.acquisition.modality
    if said is None:
        return warned("The file does not say that it is a CT; its values are taken as HU, so make sure they are.")
    if said.strip().upper() == "CT":
        return passed("CT.", said)
    return refused(f"The modality is {said!r}, not CT; give the CT series.", said)


@scan_check("age")
def age(scan: Scan) -> Verdict:
    """Adults only; a missing age is not assumed."""
    header, years = scan.ct.acquisition.age_years, scan.age_years
    if years is None:
        years = header
    if years is None:
        return warned("The patient's age is not known; give it with --age, for children must not be screened.")
    if not math.isfinite(years) or not 0 <= years <= OLDEST_YEARS:
        return refused(f"An age of {years:g} years is not possible; give the right one with --age.", _finite(years))
    if years < _ADULT_YEARS:
        return refused(
            f"The patient is {years:g} years old; only adults ({_ADULT_YEARS} and older) are screened.", years
        )
    if scan.age_years is not None and header is not None and abs(header - years) > _SAME_AGE_YEARS:
        return warned(
            f"The age given ({years:g}) is not the header's ({header:g}); make sure it is this patient.", years
        )
    return passed(f"{years:g} years.", years)


@scan_check("sex")
def sex(scan: Scan) -> Verdict:
    """A sex that contradicts the header may mean another patient; it changes no measure."""
    header = scan.ct.acquisition.sex
    if scan.sex and header in ("F", "M") and scan.sex != header:
        return warned(
            f"The sex given ({scan.sex}) is not the header's ({header}); make sure it is this patient.", scan.sex
        )
    said = scan.sex or header
    if said:
        return passed(f"Sex: {said}.", said)
    return warned("The patient's sex is not known; no measure depends on it.")


@scan_check("kvp")
def kvp(scan: Scan) -> Verdict:
    """HU of bone depend on the tube voltage."""
    volts = scan.ct.acquisition.kvp
    if volts is None or not math.isfinite(volts) or not _LOWEST_KVP <= volts <= _HIGHEST_KVP:
        said = "" if volts is None else f" (the header's {volts:g} is no tube voltage)"
        return warned(
            f"The tube voltage is not known{said}; BMD is only right if it was 120 kVp, so find out.", _finite(volts)
        )
    if abs(volts - _STANDARD_KVP) <= _KVP_TOLERANCE:
        return passed("120 kVp.", volts)
    if any(abs(volts - corrected) <= _KVP_TOLERANCE for corrected in _CORRECTED_KVP):
        return warned(
            f"Scanned at {volts:g} kVp, not 120: BMD is corrected by a published factor and less certain; "
            "prefer a 120 kVp series.",
            volts,
        )
    return refused(
        f"Scanned at {volts:g} kVp, for which there is no verified correction to 120 kVp; give a 120 kVp series.", volts
    )


@scan_check("slice_thickness")
def slice_thickness(scan: Scan) -> Verdict:
    """Thick slices mix bone with endplate and disc."""
    thickness = scan.ct.acquisition.slice_thickness_mm
    if thickness is None or not math.isfinite(thickness) or thickness <= 0:
        return warned("The slice thickness is not known; the spacing is judged instead.", _finite(thickness))
    return _by_thickness(thickness, "thick")


@scan_check("slice_spacing")
def slice_spacing(scan: Scan) -> Verdict:
    """Wide spacing may miss the middle of the body."""
    return _by_thickness(scan.ct.geometry.spacing_mm[2], "apart")


def _by_thickness(millimetres: float, adverb: str) -> Verdict:
    value = round(millimetres, 3)
    if millimetres <= _THIN_MM + _ROUNDING_MM:
        return passed(f"Slices are {millimetres:g} mm {adverb}.", value)
    if millimetres <= _THICK_MM + _ROUNDING_MM:
        return warned(
            f"Slices are {millimetres:.2f} mm {adverb}, more than 3 mm: measures are less certain; prefer a thinner "
            "reconstruction.",
            value,
        )
    return refused(
        f"Slices are {millimetres:.2f} mm {adverb}, more than 5 mm, too coarse for a vertebral body; give a thinner "
        "reconstruction.",
        value,
    )


@scan_check("pixel_spacing")
def pixel_spacing(scan: Scan) -> Verdict:
    """Pixels unlike those that the network was trained on."""
    low, high = sorted(scan.ct.geometry.pixel_spacing_mm)
    value = round(high, 4)
    if high > _LARGEST_PIXEL_MM:
        return refused(f"Pixels of {high:.2f} mm are too coarse to outline a body; give the original series.", value)
    if low < _USUAL_PIXEL_MM[0] or high > _USUAL_PIXEL_MM[1] or high > 1.01 * low:
        return warned(
            f"Pixels measure {low:.2f} x {high:.2f} mm, unlike the 0.45-0.98 mm that the network was trained on; "
            "look at the outlines closely.",
            value,
        )
    return passed(f"Pixels of {high:.2f} mm.", value)


@scan_check("tilt")
def tilt(scan: Scan) -> Verdict:
    """Of what was not read from DICOM files, whose headers say more than is left of it."""
    return slice_places.tilt(scan.ct.geometry.tilt_deg)


@scan_check("gaps")
def gaps(scan: Scan) -> Verdict:
    """Of what was not read from DICOM files, as above."""
    return slice_places.gaps(scan.ct.geometry.slice_steps_mm)


@scan_check("kernel")
def kernel(scan: Scan) -> Verdict:
    """Sharp kernels raise noise and edges."""
    said = scan.ct.acquisition.kernel
    kind = kernel_class(said, scan.ct.acquisition.manufacturer)
    if kind == "soft":
        return passed(f"Soft-tissue kernel {said}.", said)
    if kind == "unknown":
        known = f"The kernel {said!r} is not one known as soft" if said else "The reconstruction kernel is not known"
        return warned(f"{known}; HU are meant for a soft-tissue kernel.", said)
    if kind == "edge":
        return refused(f"The kernel {said} enhances edges and changes HU; give the soft-tissue reconstruction.", said)
    return warned(f"The kernel {said} is sharp ({kind}): noise is high; prefer the soft-tissue reconstruction.", said)


@scan_check("contrast")
def contrast(scan: Scan) -> Verdict:
    """Contrast medium makes bone look denser (6 mg/mL and more; shared reference notes on the field)."""
    said = scan.ct.acquisition
    agent = (said.contrast_agent or "").strip()
    if said.contrast is False or (said.contrast is None and agent and agent.upper() in _NO_AGENT):
        return passed("No contrast medium, by the header.", False)
    if said.contrast is None and not agent:
        return warned(
            "Whether contrast medium was given is not recorded; the brightness of the aorta is judged instead."
        )
    if "ORAL" in agent.upper() and "IV" not in agent.upper().replace("INTRAV", "IV"):
        return warned("Oral contrast medium was given, by the header; bone beside bright bowel may read high.", agent)
    return refused(
        "Contrast medium was given, by the header, and makes bone read too dense; give an unenhanced series.",
        agent or True,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
