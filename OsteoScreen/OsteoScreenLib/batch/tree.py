"""The CT studies below a folder, found without following a link or opening what is no image.

What counts as one study: a NRRD, MetaImage or NIfTI file; and the images of one DICOM study, in the lowest folder that
holds them all. Where a folder mixes studies, each is given with the series that `choose` takes of it. Whether a folder
mixes studies is seen from a dozen of its files, because opening every file of an archive takes days: a folder into
which many patients' images were thrown should be listed in a manifest.

Ids are hashes of paths below the root, so they stay the same while the tree does, wherever it is mounted.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from pydicom.errors import InvalidDicomError

from ..ct.dicom.files import MAX_FILES, read_dataset, read_headers
from ..ct.dicom.header import CT_CLASSES, Frame
from ..ct.dicom.series import choose, stacks_of
from ..ct.dicom.values import tag_of, text
from ..ct.volume_header import file_kind
from ..errors import InputError, OsteoScreenError, UsageError
from ..printable import printable
from ..progress import silent
from .ids import hashed_id
from .study import BatchStudy

#: Deeper folders are no archive but a trap, or a copy of a copy.
MAX_DEPTH = 64
#: So many files of a folder, evenly spread over it, are looked at to see whether all are of one DICOM study.
SAMPLED_FILES = 12

_SEGMENTATION = ".seg.nrrd"
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".lz4")
#: What is never DICOM, and so is not opened.
_OTHER = (
    *(".txt", ".csv", ".tsv", ".json", ".xml", ".html", ".htm", ".md", ".log", ".pdf", ".doc", ".docx", ".xlsx"),
    *(".jpg", ".jpeg", ".png", ".tif", ".tiff", ".gif", ".bmp", ".mp4", ".avi", ".raw", ".zraw", ".parquet"),
    *(".py", ".exe", ".dll", ".so", ".db", ".sqlite", ".pt", ".npy", ".npz", ".bval", ".bvec", ".stl", ".mrml"),
)
_TAGS = tuple(map(tag_of, ("SOPClassUID", "Modality", "StudyInstanceUID", "ImageType")))


@dataclass(frozen=True)
class Skipped:
    """What was left out: its path below the root, fit to be printed, and why, a sentence.

    Folders are often named after patients: this is for whoever started the batch, not for a log.
    """

    path: str
    reason: str


def tree_studies(
    root: str | os.PathLike[str],
    *,
    levels_pattern: str | None = None,
    ct_pattern: str | None = None,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    tell: Callable[[Skipped], None] = lambda skipped: None,
) -> Iterator[BatchStudy]:
    """Give the studies below ``root`` as they are found, in the order of the names of folders.

    ``levels_pattern`` says where the segmentation of a CT lies, relative to the folder that the CT lies in (for a
    folder of DICOM files, also inside it): ``{name}`` is the CT's name without suffix, as in
    "{name}_vertebrae.nii.gz" or "segmentations/{name}.nrrd"; what it names is no CT itself. Without ``{name}``
    ("vertebrae.nii.gz") it is taken only where it can belong to one CT alone. ``ct_pattern`` says which
    volume files are CTs ("ct.nii.gz", "*_ct.nrrd"); all, by default. ``leave_out`` are folders that are not entered,
    such as the one that results go to. ``tell`` is given each thing that is left out, once.

    Raises UsageError for a pattern that leads elsewhere, and InputError where ``root`` is no folder that can be read.
    """
    _check_pattern(levels_pattern)
    place = Path(root)
    if not place.is_dir():
        raise InputError(f"{place} is no folder; name the one that the CTs lie below.")
    # Links on the way to the root are the user's own; from here on there are none.
    place = place.resolve()
    if not _is_plain(str(place)):
        raise UsageError("The folder's path holds characters that are not to be seen; rename it.")
    if not os.access(place, os.R_OK | os.X_OK):
        raise InputError(f"{place} may not be read; ask for the right to, or name another folder.")
    left_out = frozenset(Path(folder).resolve() for folder in leave_out)
    return _Walk(place, levels_pattern, ct_pattern, left_out, tell).studies()


def _check_pattern(pattern: str | None) -> None:
    if pattern is None:
        return
    parts = pattern.replace("\\", "/").split("/")
    if ".." in parts or "" in parts or "\\" in pattern or ":" in pattern or not _is_plain(pattern):
        raise UsageError("The pattern of segmentations has to stay beside the CT, without .. and not absolute.")


def _is_plain(name: str) -> bool:
    """Whether a name can be shown and kept as it is: no control characters, and no bytes that are not UTF-8."""
    return printable(name, len(name)) == name


@dataclass(frozen=True)
class _Whole:
    """A folder whose DICOM images are of one study, and the segmentation that lies beside it."""

    study_uid: str
    folder: Path
    levels: str | None


@dataclass(frozen=True)
class _Listing:
    folders: list[str]
    volumes: list[str]
    others: list[str]


#: What a folder comes to in DICOM: one study, not given yet; several, given already (True); or none (False).
_Come = _Whole | bool
#: Gives the studies of a folder, and comes to that in the end.
_Walking = Generator[BatchStudy, None, _Come]


@dataclass(frozen=True)
class _Walk:
    root: Path
    levels_pattern: str | None
    ct_pattern: str | None
    leave_out: frozenset[Path]
    tell: Callable[[Skipped], None]

    def studies(self) -> Iterator[BatchStudy]:
        """Everything below the root."""
        come = yield from self._folder(self.root, 0, frozenset())
        if isinstance(come, _Whole):
            yield self._dicom(come)

    def _folder(self, folder: Path, depth: int, claimed: frozenset[Path]) -> _Walking:
        """The studies of a folder and below it."""
        listing = self._listing(folder, depth)
        claimed |= self._claimed(folder, listing)
        volumes = [name for name in listing.volumes if folder / name not in claimed and self._is_ct(name)]
        for name in volumes:
            yield self._volume(folder / name, alone=len(volumes) == 1)
        images = [name for name in listing.others if folder / name not in claimed and not _is_other(name)]
        subfolders = (self._folder(folder / name, depth + 1, claimed) for name in listing.folders)
        come = yield from self._images(folder, images, subfolders)
        files = {folder / name for name in (*listing.volumes, *listing.others)}
        if come is False and not volumes and files and not claimed & files:
            self._skip(folder, f"holds no CT ({len(files)} files)")
        return come

    def _images(self, folder: Path, images: Sequence[str], subfolders: Iterable[_Walking]) -> _Walking:
        """The DICOM studies of a folder's own files and of its subfolders, which may be one and the same."""
        own = self._study_uids(folder, images)
        held = [_Whole(min(own), folder, None)] if len(own) == 1 else []
        mixed = len(own) > 1
        for subfolder in subfolders:
            come = yield from subfolder
            held += [come] if isinstance(come, _Whole) else []
            mixed = mixed or come is True or not _is_one(held)
            if mixed:
                yield from (self._dicom(whole) for whole in held if whole.folder != folder)
                held = [whole for whole in held if whole.folder == folder]
        if mixed:
            yield from self._of_folder(folder, images) if own else ()
            return True
        if not held:
            return False
        whole = self._merged(folder, held)
        if whole.study_uid:
            return whole
        yield self._dicom(whole)  # an image that does not say of which study it is goes together with no other folder
        return True

    def _merged(self, folder: Path, held: Sequence[_Whole]) -> _Whole:
        if len(held) == 1:
            whole = held[0]
            return _Whole(whole.study_uid, whole.folder, whole.levels or self._levels_of(whole.folder))
        return _Whole(held[0].study_uid, folder, held[0].levels or self._levels_of(folder))

    # -- what lies in a folder

    def _listing(self, folder: Path, depth: int) -> _Listing:
        listing = _Listing([], [], [])
        if depth > MAX_DEPTH:
            self._skip(folder, f"lies deeper than {MAX_DEPTH} folders")
            return listing
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._skip(folder, f"cannot be read ({(error.strerror or 'error').lower()})")
            return listing
        for entry in found:
            self._sort(Path(folder, entry.name), entry, listing)
        return listing

    def _sort(self, path: Path, entry: os.DirEntry[str], listing: _Listing) -> None:
        if entry.is_symlink() or _is_junction(entry):
            return self._skip(path, "is a link, and links are not followed")
        if entry.is_dir(follow_symlinks=False):
            if path in self.leave_out:
                return None
            if not _is_plain(entry.name):
                return self._skip(path, "has a name that cannot be shown; rename the folder")
            return listing.folders.append(entry.name)
        if not entry.is_file(follow_symlinks=False):
            return self._skip(path, "is neither a file nor a folder")
        name = entry.name.lower()
        if file_kind(path) is not None:
            return self._sort_volume(path, listing)
        if name.endswith(_PACKED):
            return self._skip(path, "is packed; unpack it first")
        return listing.others.append(entry.name)

    def _sort_volume(self, path: Path, listing: _Listing) -> None:
        if not _is_plain(path.name):
            self._skip(path, "has a name that cannot be shown; rename the file")
        else:
            listing.volumes.append(path.name)

    def _is_ct(self, name: str) -> bool:
        if name.lower().endswith(_SEGMENTATION):
            return False
        return self.ct_pattern is None or fnmatchcase(name, self.ct_pattern)

    # -- segmentations

    def _claimed(self, folder: Path, listing: _Listing) -> frozenset[Path]:
        """The segmentations of what lies in this folder, and of the folder itself."""
        if self.levels_pattern is None:
            return frozenset()
        names = {_stem(name) for name in listing.volumes} | set(listing.folders) | {folder.name}
        here = {*listing.volumes, *listing.others}
        if "/" not in self.levels_pattern:
            return frozenset(folder / named for name in names if (named := self._named(name)) in here)
        found = (folder / self._named(name) for name in names)
        return frozenset(path for path in found if self._is_file_inside(path))

    @property
    def _names_scans(self) -> bool:
        """Whether the pattern names a segmentation after its CT, so that it can belong to no other."""
        return self.levels_pattern is not None and "{name}" in self.levels_pattern

    def _named(self, name: str) -> str:
        return (self.levels_pattern or "").replace("{name}", name)

    def _levels_of(self, folder: Path) -> str | None:
        """The segmentation of a folder of DICOM files: beside it, else inside it."""
        if self.levels_pattern is None:
            return None
        has_beside = folder != self.root and (self._names_scans or _is_only_folder(folder))
        beside = [folder.parent] if has_beside else []
        return self._first_file(base / self._named(folder.name) for base in (*beside, folder))

    def _first_file(self, paths: Iterable[Path]) -> str | None:
        if self.levels_pattern is None:
            return None
        return next((str(path) for path in paths if self._is_file_inside(path)), None)

    def _is_file_inside(self, path: Path) -> bool:
        """Whether a path below the root is a file, with no link on the way to it."""
        try:
            for above in [*path.parents][: len(path.relative_to(self.root).parts) - 1]:
                if not stat.S_ISDIR(above.lstat().st_mode):
                    return False
            return stat.S_ISREG(path.lstat().st_mode)
        except (OSError, ValueError):
            return False

    # -- DICOM

    def _study_uids(self, folder: Path, names: Sequence[str]) -> set[str]:
        """The DICOM studies that some of a folder's CT images are of; "" for an image that does not say."""
        for n, name in enumerate(names):
            first = _study_uid(folder / name)
            if first is not None:
                rest = names[n + 1 :]
                step = max(1, -(-len(rest) // (SAMPLED_FILES - 1)))
                sampled = {*rest[::step], *rest[-1:]}
                return {first} | {uid for name in sampled if (uid := _study_uid(folder / name)) is not None}
        return set()

    def _of_folder(self, folder: Path, names: Sequence[str]) -> Iterator[BatchStudy]:
        """Each DICOM study of the files of one folder, with its series, since the folder holds other studies too."""
        if len(names) > MAX_FILES:
            self._skip(folder, f"mixes studies in more than {MAX_FILES} files; list it in a manifest")
            return
        frames: dict[str, list[Frame]] = {}
        for frame in read_headers((folder / name for name in names), Counter(), silent).frames:
            frames.setdefault(frame.study_uid, []).append(frame)
        if not frames:
            # Damaged, all of them: it is screened, so that its row says so.
            yield self._dicom(_Whole("", folder, self._levels_of(folder)))
        for study_uid in sorted(frames):
            try:
                series = choose(stacks_of(frames[study_uid]), None)[0].name
            except OsteoScreenError as error:
                self._skip(folder, f"holds a study that cannot be told apart: {error}")
                continue
            # A segmentation of a folder that holds several scans is of nobody knows which.
            levels = self._levels_of(folder) if len(frames) == 1 else None
            yield self._dicom(_Whole(study_uid, folder, levels), series)

    # -- the studies

    def _dicom(self, whole: _Whole, series: str | None = None) -> BatchStudy:
        study_id = self._id(whole.folder, series or "")
        return BatchStudy(study_id, str(whole.folder), levels_from=whole.levels, series=series)

    def _volume(self, path: Path, *, alone: bool) -> BatchStudy:
        beside = path.parent / self._named(_stem(path.name))
        levels = self._first_file([beside]) if alone or self._names_scans else None
        return BatchStudy(self._id(path, ""), str(path), levels_from=levels)

    def _id(self, path: Path, series: str) -> str:
        return hashed_id(path.relative_to(self.root).as_posix(), series)

    def _skip(self, path: Path, reason: str) -> None:
        relative = path.relative_to(self.root).as_posix().encode("utf-8", "backslashreplace").decode()
        self.tell(Skipped(printable(relative), f"It {reason}."))


def _is_only_folder(folder: Path) -> bool:
    try:
        with os.scandir(folder.parent) as entries:
            return sum(entry.is_dir(follow_symlinks=False) for entry in entries) == 1
    except OSError:
        return False


def _is_other(name: str) -> bool:
    return name.lower().endswith(_OTHER)


def _is_one(held: Sequence[_Whole]) -> bool:
    """Whether folders are of one study, and none of several has a segmentation of its own."""
    if len(held) < 2:
        return True
    same = len({whole.study_uid for whole in held}) == 1 and held[0].study_uid != ""
    return same and not any(whole.levels for whole in held)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Whether it is Windows' other kind of link to a folder (Python 3.12 knows of it)."""
    return bool(getattr(entry, "is_junction", lambda: False)())


def _stem(name: str) -> str:
    """A volume file's name without its suffix, which may have two parts."""
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else name.rpartition(".")[0]


def _study_uid(path: Path) -> str | None:
    """The study of a CT image, "" where it does not say or is damaged; None for any other file."""
    try:
        with open(path, "rb", opener=_opened_as_it_lies) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _said(file)
    except (OSError, InvalidDicomError):
        return None
    except Exception:  # a damaged header provokes whatever it may in pydicom
        return ""


def _said(file: BinaryIO) -> str | None:
    dataset = read_dataset(file, _TAGS)[0]
    # A file that is cut short may have no more than the first of these.
    kinds = {text(dataset.file_meta.get("MediaStorageSOPClassUID")), text(dataset.get("SOPClassUID"))}
    is_ct = not kinds.isdisjoint(CT_CLASSES) or text(dataset.get("Modality")) == "CT"
    is_scout = "LOCALIZER" in text(dataset.get("ImageType"))
    return text(dataset.get("StudyInstanceUID")) if is_ct and not is_scout else None


def _opened_as_it_lies(path: str, flags: int) -> int:
    """Open a file that was seen to be one, and nothing that has come into its place since."""
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("no longer a file")
    return handle
