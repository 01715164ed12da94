"""What the headers of a chosen series give away about its pixel values and its files."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError
from ...results import Check
from ..study import OUTSIDE_HU
from .decoding import can_decode, syntax_name
from .files import Found
from .header import Frame
from .series import Stack

#: Padding above this HU could be tissue or lung: such a "padding value" is left alone.
_PADDING_CEILING_HU = -900.0

#: No slope and no intercept of a line to HU is larger: the extended CT scale, of metal, ends at 30710 HU.
_LARGEST_RESCALE = 1e5


def require_decodable(frames: Sequence[Frame]) -> None:
    """Raise `InputError` where the pixels are stored in a way that cannot be decoded (looked at, not tried)."""
    for syntax in {f.transfer_syntax for f in frames}:
        if not can_decode(syntax):
            raise InputError(
                f"The images are compressed as {syntax_name(syntax)}, which cannot be decoded here; "
                "convert the series to an uncompressed or JPEG 2000 transfer syntax."
            )
    for frame in frames:
        if frame.bits_allocated not in (8, 16, 32) or not 0 < frame.bits_stored <= frame.bits_allocated:
            raise InputError(f"{frame.path.name} stores pixels of {frame.bits_stored} bits, which no CT does.")
        if frame.high_bit != frame.bits_stored - 1:
            raise InputError(
                f"{frame.path.name} stores its pixels in an unusual bit position; export the series again."
            )


def rescale(frames: Sequence[Frame]) -> Check:
    """Whether the stored values can be turned into HU. The standard requires a CT's header to say how."""
    lines = {(f.slope, f.intercept) for f in frames}
    if any(f.lookup_table and f.slope is None for f in frames):
        return Check("rescale", "refuse", "A lookup table stands in place of the line to HU, which no CT has.")
    if any(f.slope is None or f.intercept is None for f in frames):
        message = (
            "The header does not say how stored values become HU (rescale slope and intercept are missing); "
            "they are read as HU, which may be wrong by 1024. Fetch the original series."
        )
        return Check("rescale", "refuse", message)
    if any(f.slope == 0 for f in frames):
        return Check("rescale", "refuse", "The rescale slope is zero, so every pixel would be the same.", 0.0)
    if any(max(abs(f.slope or 0.0), abs(f.intercept or 0.0)) > _LARGEST_RESCALE for f in frames):
        return Check("rescale", "refuse", "The rescale slope or intercept is no CT's; export the series again.")
    units = {f.rescale_type for f in frames} - {"", "HU"}
    if units:
        message = f"The values are {', '.join(sorted(units))}, not HU; take the series that is in HU."
        return Check("rescale", "refuse", message, sorted(units)[0])
    if len(lines) > 1:
        message = f"{len(lines)} different rescale lines occur in the series; each slice is read with its own."
        return Check("rescale", "warn", message, len(lines))
    slope, intercept = next(iter(lines))
    return Check("rescale", "pass", f"HU = {slope:g} x stored value {intercept or 0:+g}.", [slope, intercept])


def photometric(frames: Sequence[Frame]) -> Check | None:
    """Only MONOCHROME2 is plain: with MONOCHROME1, writers disagree on whether the stored values are inverted too."""
    found = sorted({f.photometric for f in frames} - {"MONOCHROME2"})
    if not found:
        return None
    name = found[0] or "not given"
    message = (
        f"The photometric interpretation is {name}, not MONOCHROME2, so the values may be inverted (they are read as "
        "they stand); export the series as MONOCHROME2."
    )
    return Check("photometric", "refuse", message, name)


def lossy(frames: Sequence[Frame]) -> Check | None:
    """Lossy compression alters the noise and the HU of small regions."""
    count = sum(f.lossy or f.transfer_syntax in _LOSSY for f in frames)
    if not count:
        return None
    return Check("compression", "warn", f"{count} images were compressed with loss, so HU may be altered.", count)


_LOSSY = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"))


def padding_is_plausible(frame: Frame) -> bool:
    """Whether the padding values, read as HU, cannot be tissue."""
    if frame.padding is None:
        return True
    slope = 1.0 if frame.slope is None else frame.slope
    ends = [slope * end + (frame.intercept or 0.0) for end in frame.padding]
    # Padding may also be the largest stored value, far above any HU.
    return max(ends) <= _PADDING_CEILING_HU or min(ends) >= 20_000.0


def padding(frames: Sequence[Frame]) -> Check | None:
    """A "padding value" within tissue is a writer's mistake; blanking it would punch holes into the patient."""
    odd = [f for f in frames if not padding_is_plausible(f)]
    if not odd:
        return None
    message = (
        f"The header calls stored values {odd[0].padding} padding, but they are tissue; "
        f"those pixels were kept, not set to {OUTSIDE_HU:g} HU."
    )
    return Check("padding", "warn", message, list(odd[0].padding or ()))


def identifiers(frames: Sequence[Frame]) -> Check | None:
    """Anonymisers leave identifiers empty; then the other tags have to tell series apart."""
    first = frames[0]
    pairs = (("SOP instance", first.sop_uid), ("study", first.study_uid), ("series", first.series_uid))
    missing = [name for name, uid in pairs if not uid]
    if not missing:
        return None
    message = (
        f"The {' and '.join(missing)} UIDs are empty; the images were grouped by their geometry and other tags, "
        "and the result cannot be traced back to them by UID."
    )
    return Check("identifiers", "warn", message, missing)


def leftovers(stack: Stack) -> Check | None:
    """Images of the same series that are unlike the chosen ones."""
    if not stack.siblings:
        return None
    message = (
        f"{stack.siblings} images of the same series differ in size, spacing, orientation, thickness or kernel "
        "and were left out."
    )
    return Check("mixed_series", "warn", message, stack.siblings)


def files(found: Found) -> Check | None:
    """Which files were passed over; damaged ones may be slices of this series."""
    if not found.left_out:
        return None
    if found.damaged:
        message = (
            f"{found.damaged} DICOM files are damaged or cut short; copy the series again. "
            f"Left out: {found.explanation}."
        )
        return Check("files", "refuse", message, found.damaged)
    return Check("files", "pass", f"Left out: {found.explanation}.", sum(found.left_out.values()))


def all_checks(stack: Stack, frames: Sequence[Frame], found: Found) -> list[Check]:
    """Every finding on values and files."""
    checks = (
        rescale(frames),
        photometric(frames),
        lossy(frames),
        padding(frames),
        identifiers(frames),
        leftovers(stack),
        files(found),
    )
    return [check for check in checks if check is not None]
