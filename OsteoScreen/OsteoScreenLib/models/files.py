"""The two files of a bundle, read from a folder or from a zip of it, safely.

Nothing is ever unpacked: of a zip, only the two known members are read, into memory, up to a limit.
"""

from __future__ import annotations

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import BundleError, system_reason

DESCRIPTION = "bundle.json"
WEIGHTS = "weights.safetensors"

#: Largest sizes in bytes. The weights of the largest network here (ResNet-101, float32) are 170 MB.
LIMITS = {DESCRIPTION: 1_000_000, WEIGHTS: 600_000_000}

#: Trained weights hardly compress (half precision: less than 2 to 1); far more is a zip bomb.
MOST_COMPRESSION = 200

#: What file managers and people put beside the two files. It is left unread.
_HARMLESS_NAMES = {".ds_store", "thumbs.db", "desktop.ini"}
_HARMLESS_SUFFIXES = {".md", ".txt"}

_MOST_MEMBERS = 100


@dataclass(frozen=True)
class BundleFiles:
    """A bundle's folder or zip file at `path`; `prefix` is the folder inside the zip ("" or "name/")."""

    path: Path
    prefix: str = ""

    @property
    def is_zip(self) -> bool:
        """Whether `path` is a zip file."""
        return self.path.is_file()

    def read(self, name: str) -> bytes:
        """Return the bytes of "bundle.json" or "weights.safetensors".

        Raises BundleError when the file is missing, unreadable or larger than a bundle's may be.
        """
        try:
            return self._read_from_zip(name) if self.is_zip else self._read_from_folder(name)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise BundleError(f"{name} of the bundle {self.path} cannot be read: {system_reason(error)}.") from error

    def _read_from_folder(self, name: str) -> bytes:
        file = self.path / name
        if not file.is_file():
            raise BundleError(f"The bundle {self.path} has no {name}; name the folder or the zip that holds it.")
        size = file.stat().st_size
        if size > LIMITS[name]:
            raise BundleError(f"{name} of the bundle {self.path} is too large ({size} bytes).")
        return file.read_bytes()

    def _read_from_zip(self, name: str) -> bytes:
        with zipfile.ZipFile(self.path) as archive, archive.open(self.prefix + name) as member:
            # The size that the zip states was judged when it was opened; it may lie.
            content = member.read(LIMITS[name] + 1)
        if len(content) > LIMITS[name]:
            raise BundleError(f"{name} of the bundle {self.path} is too large.")
        return content


def open_files(path: Path) -> BundleFiles:
    """Return the files of the bundle at `path`, a folder or a zip.

    Raises BundleError when there is no such bundle, or the zip holds anything that a bundle's must not.
    """
    if path.is_dir():
        return BundleFiles(path)
    if not path.exists():
        raise BundleError(f"There is no bundle at {path}; check the path.")
    if not path.is_file():
        raise BundleError(f"{path} is neither a folder nor a zip file.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{path} is not a model bundle: a bundle is a folder, or a zip of it, with {DESCRIPTION} and {WEIGHTS}."
        ) from error
    return BundleFiles(path, _judge_members(path, members))


def _judge_members(path: Path, members: list[zipfile.ZipInfo]) -> str:
    """Return the folder inside the zip that holds the two files, having looked at every member."""
    if len(members) > _MOST_MEMBERS:
        raise BundleError(f"The zip {path} holds {len(members)} files, which no bundle does.")
    wanted: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        reason = _objection(member)
        if reason:
            raise BundleError(f"The zip {path} was refused: its member {member.filename!r} {reason}.")
        name = PurePosixPath(member.filename).name
        if member.is_dir() or member.filename.startswith("__MACOSX/") or name not in LIMITS:
            continue
        if name in wanted:
            raise BundleError(f"The zip {path} was refused: it holds {name} more than once.")
        wanted[name] = member
    for name in LIMITS:
        if name not in wanted:
            raise BundleError(f"The zip {path} is not a model bundle: it has no {name}.")
    folders = {str(PurePosixPath(member.filename).parent) for member in wanted.values()}
    if len(folders) > 1:
        raise BundleError(f"The zip {path} was refused: {DESCRIPTION} and {WEIGHTS} are in different folders.")
    folder = folders.pop()
    return "" if folder == "." else f"{folder}/"


def _objection(member: zipfile.ZipInfo) -> str | None:
    """Return what is wrong with a member of a bundle's zip, or None."""
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
        return "points outside the bundle"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.is_dir() or path.parts[0] == "__MACOSX":
        return None
    if path.name not in LIMITS:
        if path.name.lower() in _HARMLESS_NAMES or path.suffix.lower() in _HARMLESS_SUFFIXES:
            return None
        return f"does not belong in a bundle, which holds {DESCRIPTION} and {WEIGHTS} and nothing that could run"
    if len(path.parts) > 2:
        return "lies too deep"
    if member.file_size > LIMITS[path.name]:
        return f"is too large ({member.file_size} bytes)"
    if member.file_size > 1_000_000 and member.file_size > MOST_COMPRESSION * max(member.compress_size, 1):
        return "unpacks to far more than weights would"
    return None
