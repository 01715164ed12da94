"""The raw headers of volume files: what SimpleITK does not tell, and must not be trusted with.

A header can claim a size that its data do not have, or name data files anywhere on the disk; and SimpleITK fills a
missing orientation with an identity without saying so.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal

from ..errors import InputError, system_reason

VolumeKind = Literal["nrrd", "nifti", "metaimage"]

_SUFFIXES: dict[str, VolumeKind] = {
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".mha": "metaimage",
    ".mhd": "metaimage",
}

_HEADER_BYTES = 1 << 16

#: Deflate cannot pack more than 1032 bytes into one (zlib's technical notes), so a file that claims more lies.
_MAX_DEFLATE_RATIO = 1032

_NIFTI_HEADER_BYTES = 348

#: What follows the voxels of a NIfTI file has no use; a packed file may hold terabytes of it.
_MOST_BEYOND = 64 << 20

_NUMBER_BYTES = {
    **dict.fromkeys(("int8", "uint8", "char", "uchar", "signed char", "unsigned char", "int8_t", "uint8_t"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16", "int16_t", "uint16_t"), 2),
    **dict.fromkeys(("short int", "signed short", "unsigned short", "signed short int", "unsigned short int"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "int32_t", "uint32_t", "float"), 4),
    **dict.fromkeys(("signed int", "unsigned int"), 4),
    **dict.fromkeys(("double", "int64", "uint64", "int64_t", "uint64_t", "longlong", "long long", "ulonglong"), 8),
    **dict.fromkeys(("met_char", "met_uchar"), 1),
    **dict.fromkeys(("met_short", "met_ushort"), 2),
    **dict.fromkeys(("met_int", "met_uint", "met_float"), 4),
    **dict.fromkeys(("met_double", "met_long_long", "met_ulong_long"), 8),
}


def file_kind(path: Path) -> VolumeKind | None:
    """Which volume format a file's name says it is, or None."""
    name = path.name.lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


def check_container(path: Path, kind: VolumeKind) -> tuple[Path, ...]:
    """The separate data files that a header names (none, mostly).

    Raises `InputError` where the file is not what its name says, is shorter than its header claims, or names data
    outside its own folder.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError as problem:
        raise InputError(f"{path} cannot be opened: {system_reason(problem)}.") from None
    if kind == "nifti":
        _check_nifti(path)
        return ()
    fields = _nrrd_fields(head) if kind == "nrrd" else _metaimage_fields(head)
    recognised = head.startswith(b"NRRD000") if kind == "nrrd" else "ndims" in fields
    if not recognised:
        raise InputError(f"{path.name} is named as {kind}, but is not one; check what it is and export it again.")
    # Whether a file elsewhere is there, and how long it is, is not asked either.
    named = _data_file(fields)
    data = None if named is None else _beside(path, named)
    _check_fields_size(path, kind, fields, _header_bytes(head, kind))
    if data is None:
        return ()
    if not data.is_file():
        raise InputError(f"{path.name} needs its data file {named}, which is not beside it; copy both.")
    return (data,)


def _beside(path: Path, named: str) -> Path:
    data = path.parent / named
    plain = named and not Path(named).is_absolute() and ".." not in Path(named).parts and "%" not in named
    if not plain or named.upper().startswith("LIST") or not data.resolve().is_relative_to(path.parent.resolve()):
        raise InputError(f"{path.name} keeps its data elsewhere than in one file beside it; save it as a single file.")
    return data


def require_unpacked(path: Path, kind: VolumeKind) -> None:
    """Raise `InputError` where a packed NIfTI cannot be unpacked to its end with the right checksum, or goes on far
    beyond what its header claims.

    ITK's NIfTI reader fills what is missing with zeros, and 0 HU is water.
    """
    if kind != "nifti" or not path.name.lower().endswith(".gz"):
        return
    header = _nifti_header(path)
    needed = _nifti_bytes(header, path) + _voxels_begin(header, path)
    unpacked = 0
    try:
        with gzip.open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                unpacked += len(block)
                if unpacked > needed + _MOST_BEYOND:
                    raise InputError(
                        f"{path.name} goes on far beyond its voxels; check what it is and export it again."
                    )
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{path.name} is damaged or cut short; copy or export it again.") from None
    _require_bytes(path, needed, unpacked)


def missing_orientation(path: Path, kind: VolumeKind) -> str:
    """Why a file does not say how it lies in the patient; "" where it does."""
    if kind == "nifti":
        qform, sform = struct.unpack_from(_order(header := _nifti_header(path)) + "hh", header, 252)
        missing = qform <= 0 and sform <= 0
    elif kind == "nrrd":
        with path.open("rb") as stream:
            fields = _nrrd_fields(stream.read(_HEADER_BYTES))
        missing = "space directions" not in fields or not ({"space", "space dimension"} & set(fields))
    else:
        with path.open("rb") as stream:
            fields = _metaimage_fields(stream.read(_HEADER_BYTES))
        missing = not {"transformmatrix", "rotation", "orientation"} & set(fields)
    return (
        f"{path.name} does not say how it lies in the patient, so left, right, front and back are unknown; "
        "export it with its orientation."
        if missing
        else ""
    )


def _data_file(fields: dict[str, str]) -> str | None:
    named = fields.get("data file", fields.get("datafile", fields.get("elementdatafile")))
    return None if named is None or named.upper() == "LOCAL" else named


def _nrrd_fields(head: bytes) -> dict[str, str]:
    text = head.replace(b"\r\n", b"\n").split(b"\n\n")[0].decode("latin-1")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, value in pairs if not value.startswith("=")}


def _metaimage_fields(head: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines():
        key, found, value = line.partition("=")
        if not found or len(key) > 80:
            break
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            break
    return fields


def _header_bytes(head: bytes, kind: VolumeKind) -> int:
    """Where the data begin that follow a header in the same file."""
    end = head.find(b"\n\n") + 2 if kind == "nrrd" else head.find(b"\n", head.find(b"ElementDataFile")) + 1
    return max(end, 0)


def _check_fields_size(path: Path, kind: VolumeKind, fields: dict[str, str], header_bytes: int) -> None:
    """Compare what a NRRD or MetaImage header claims with what its file can hold."""
    sizes = fields.get("sizes" if kind == "nrrd" else "dimsize", "").split()
    type_name = fields.get("type" if kind == "nrrd" else "elementtype", "").lower()
    voxels = 1
    for size in sizes:
        if not size.isdigit() or int(size) < 1:
            raise InputError(f"{path.name} claims a size of {' x '.join(sizes)}; export it again.")
        voxels *= int(size)
    if not sizes or type_name not in _NUMBER_BYTES:
        raise InputError(f"The header of {path.name} does not say how its voxels are stored; export it again.")
    packed = fields.get("encoding", "raw").lower() not in ("raw",) or fields.get("compresseddata", "").lower() == "true"
    named = _data_file(fields)
    data = path if named is None else path.parent / named
    available = data.stat().st_size - (header_bytes if named is None else 0) if data.is_file() else 0
    if fields.get("compresseddatasize", "").isdigit():
        _require_bytes(path, int(fields["compresseddatasize"]), available)
    if named is None or data.is_file():
        _require_bytes(path, voxels * _NUMBER_BYTES[type_name], available * (_MAX_DEFLATE_RATIO if packed else 1))


def _check_nifti(path: Path) -> None:
    packed = path.name.lower().endswith(".gz")
    _require_bytes(
        path, _nifti_bytes(_nifti_header(path), path), path.stat().st_size * (_MAX_DEFLATE_RATIO if packed else 1)
    )
    _require_finite_placement(path)


def _require_finite_placement(path: Path) -> None:
    """Refuse a NaN, which ITK prints to the console before it fails, and a spacing of zero, which it takes as 1 mm."""
    header = _nifti_header(path)
    order = _order(header)
    qform, sform = struct.unpack_from(order + "hh", header, 252)
    numbers = struct.unpack_from(order + "3f", header, 80)
    numbers += struct.unpack_from(order + "6f", header, 256) if qform > 0 else ()
    numbers += struct.unpack_from(order + "12f", header, 280) if sform > 0 else ()
    if not all(math.isfinite(number) for number in numbers):
        raise InputError(f"The position or spacing in {path.name} is not a number; export it again.")
    axes = min(3, struct.unpack_from(order + "h", header, 40)[0])
    if not all(spacing > 0 for spacing in numbers[:axes]):
        raise InputError(f"The spacing in {path.name} is zero or negative; export it again.")


def _nifti_bytes(header: bytes, path: Path) -> int:
    """How many bytes of voxels a header claims."""
    order = _order(header)
    dimensions = struct.unpack_from(order + "8h", header, 40)
    if not 1 <= dimensions[0] <= 7 or any(n < 1 for n in dimensions[1 : dimensions[0] + 1]):
        raise InputError(f"{path.name} claims an impossible size; export it again.")
    voxels = 1
    for size in dimensions[1 : dimensions[0] + 1]:
        voxels *= size
    return voxels * int(struct.unpack_from(order + "h", header, 72)[0]) // 8


def _voxels_begin(header: bytes, path: Path) -> int:
    offset = float(struct.unpack_from(_order(header) + "f", header, 108)[0])
    if not 0 <= offset <= _MOST_BEYOND:
        raise InputError(f"{path.name} does not say where its voxels begin; export it again.")
    return int(offset)


def _nifti_header(path: Path) -> bytes:
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as packed:
                header = packed.read(_NIFTI_HEADER_BYTES)
        else:
            with path.open("rb") as stream:
                header = stream.read(_NIFTI_HEADER_BYTES)
    except (OSError, EOFError, zlib.error):
        raise InputError(f"{path.name} is named as NIfTI, but cannot be unpacked; copy or export it again.") from None
    if len(header) < _NIFTI_HEADER_BYTES or header[344:347] != b"n+1":
        raise InputError(
            f"{path.name} is named as NIfTI, but is not a single-file NIfTI-1; check what it is and export it again."
        )
    return header


def _order(header: bytes) -> str:
    return "<" if struct.unpack_from("<i", header)[0] == _NIFTI_HEADER_BYTES else ">"


def _require_bytes(path: Path, needed: int, available: int) -> None:
    if available < needed:
        raise InputError(f"{path.name} is cut short: its header claims more voxels than it holds; copy it again.")
