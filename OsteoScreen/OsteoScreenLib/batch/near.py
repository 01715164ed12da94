"""A study's files brought near before its turn: into the system's cache, while other studies compute."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ..ct.dicom.files import regular_files
from ..ct.volume_header import file_kind
from ..errors import OsteoScreenError

#: What is read of every DICOM file [bytes]: headers hold some 5 kB, and pydicom's buffer reads on beyond them.
BEGINNING = 1 << 15
#: Files at once, as with a server (`pacs.fetching`): enough to hide the way to a share, few enough for a disk.
THREADS = 4
_BLOCK = 1 << 20
#: Volume files of which single slices are read where the whole is not needed (`ct.volume_file`).
_STREAMED = (".nii", ".mha", ".mhd")


def bring_near(path: str, *, whole: bool) -> None:
    """Read what screening will read of ``path``: the beginning of each file of a folder, a volume file as a whole, or
    its beginning where it can be read slice by slice and is not needed ``whole``.

    Nothing is raised for a file that cannot be read: screening has words for it.
    """
    with suppress(OSError, ValueError, OsteoScreenError), ThreadPoolExecutor(THREADS, "near") as threads:
        for _ in threads.map(_read, *zip(*_wanted(Path(path), whole), strict=True)):
            pass


def _wanted(path: Path, whole: bool) -> Iterator[tuple[Path, int | None]]:
    """The files to read, and how much of each, None for all."""
    if path.is_dir():
        yield from ((file, BEGINNING) for file in regular_files(path, Counter()))
    elif stat.S_ISREG(path.stat().st_mode):
        as_a_whole = whole or path.suffix.lower() not in _STREAMED
        yield path, None if file_kind(path) is not None and as_a_whole else BEGINNING


def _read(path: Path, count: int | None) -> None:
    with suppress(OSError), path.open("rb", buffering=0) as file:
        if count is not None:
            file.read(count)
            return
        block = bytearray(_BLOCK)
        while file.readinto(block):
            pass
