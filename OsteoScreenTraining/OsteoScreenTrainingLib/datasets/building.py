"""The slices of a data set, made from the CT and the outlines that its manifest names."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from OsteoScreenLib.ct import CT, open_ct
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError, system_reason
from OsteoScreenLib.levels import VertebraMask, parse_level
from OsteoScreenLib.progress import Progress, silent

from .folder import HEADER, LEVELS, SLICES, DataSetHeader, write_header
from .manifest import MANIFEST, Subject, read_manifest, takes
from .manifest_lock import fill_in
from .masks import mask_paths, read_masks
from .slice_writing import SliceSetWriter, level_values
from .slices import HEADER as SLICES_HEADER
from .sources import SliceSource, source_of, sources_text, write_sources
from .squaring import SIZE, squared, squared_pixel_mm

GENERATOR = "osteoscreen-dataset-build 1"


@dataclass(frozen=True)
class BuiltSubject:
    """A subject's slices by level, (512, 512) int16 HU and uint8 coverage 0..255, and what the CT says of it."""

    subject: Subject
    pixel_mm: float
    slices: dict[str, tuple[np.ndarray, np.ndarray]]
    source: SliceSource


def build_slices(folder: Path, progress: Progress = silent) -> dict[str, str]:
    """Cut the L1 and L2 slices of a real data set from its CT; return why subjects were left out, by name.

    ``subjects.csv`` is all that has to be there, with the columns ct, masks, l1_z_mm and l2_z_mm filled in. What a CT
    says of itself (date, age, sex, tube voltage, series, the scanner's own calibration) fills the cells that are
    empty; a cell that is filled in is never changed, also where somebody fills it in meanwhile.

    Raises:
        UsageError: the slices are there already.
        OsteoScreenError: another process does not let go of the manifest.
        InputError: no subject has a CT with both levels and outlines, or the folder cannot be written to.
    """
    if (folder / SLICES / SLICES_HEADER).exists():
        raise UsageError(f"{folder / SLICES} is there already; remove it to build the slices again.")
    subjects = read_manifest(folder / MANIFEST)
    wanted = [s for s in subjects if s.ct and s.masks and s.l1_z_mm is not None and s.l2_z_mm is not None]
    if not wanted:
        raise InputError(f"No subject in {folder / MANIFEST} has ct, masks, l1_z_mm and l2_z_mm; fill them in.")
    left_out: dict[str, str] = {}
    described: list[Subject] = []
    kept: dict[str, SliceSource] = {}
    staging = folder / f".{SLICES}"
    try:
        staging.mkdir(exist_ok=True)
        for done, (name, built) in enumerate(_built(folder, wanted), 1):
            if isinstance(built, str):
                left_out[name] = built
            else:
                described.append(built.subject)
                _stage(staging / f"{name}.npz", built)
                kept[name] = built.source
            progress("Cutting the slices", done, len(wanted))
        if not kept:
            raise InputError(f"No slice could be cut; the first reason: {next(iter(left_out.values()))}")
        _assemble(folder, staging, kept)
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {system_reason(error)}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    fill_in(folder, described)
    if not (folder / HEADER).exists():
        write_header(folder, DataSetHeader(kind="real", generator=GENERATOR))
    return left_out


def _built(folder: Path, subjects: Sequence[Subject]) -> Iterator[tuple[str, BuiltSubject | str]]:
    for subject in subjects:
        try:
            yield subject.subject, build_subject(folder, subject)
        except OsteoScreenError as error:
            yield subject.subject, str(error)


def build_subject(folder: Path, subject: Subject) -> BuiltSubject:
    """Cut one subject's slices.

    Raises:
        InputError: the CT or the outlines cannot be read, or an outline does not lie on its slice.
        UsageError: a level lies outside the scan.
    """
    # A path that leaves the data set's folder is the user's own affair, and allowed.
    ct = open_ct(folder / (subject.ct or ""), series=subject.series_uid)
    outlines = read_masks(mask_paths(folder, subject.masks or ""), LEVELS)
    slices = {}
    for level, z_mm in zip(LEVELS, (subject.l1_z_mm, subject.l2_z_mm), strict=True):
        k = parse_level(str(z_mm), ct, level).slice_index
        if level not in outlines:
            raise InputError(f"The outlines hold no {level}; draw it.")
        slices[level] = cut_level(ct, outlines[level], k)
    return BuiltSubject(_described(subject, ct), squared_pixel_mm(ct.geometry), slices, source_of(folder, subject, ct))


def cut_level(ct: CT, outline: VertebraMask, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return slice ``k`` and the outline on it as the data set keeps them: int16 HU and uint8 coverage 0..255.

    Raises:
        InputError: the outline does not lie on the slice, or the slice cannot be decoded.
    """
    coverage = outline.coverage_on(ct.geometry, k)
    if not (coverage > 0.5).any():
        raise InputError(f"The outline of {outline.name} does not lie on its centre slice.")
    hu, covered = squared(ct.slice(k), ct.geometry), squared(coverage, ct.geometry)
    return np.round(hu).astype(np.int16), np.round(covered * 255.0).astype(np.uint8)


def _described(subject: Subject, ct: CT) -> Subject:
    """Fill a subject's empty cells with what the CT says."""
    said, osteo = ct.acquisition, ct.acquisition.osteo
    found: list[dict[str, str | float | None]] = [
        {"age_years": said.age_years},
        {"sex": said.sex},
        {"kvp": said.kvp},
        {"series_uid": ct.series_instance_uid},
    ]
    if osteo is not None:
        found.append({"calibration_slope": osteo.slope, "calibration_intercept": osteo.intercept})
    filled = replace(subject, study_date=subject.study_date or said.study_date)
    for cells in found:
        known = {name: value for name, value in cells.items() if value is not None}
        # A header may hold what no manifest takes: a sex "O", 0 kV, a slope that cannot be right.
        if known and all(getattr(subject, name) is None for name in known) and takes(known):
            filled = replace(filled, **known)  # type: ignore[arg-type]
    return filled


def _assemble(folder: Path, staging: Path, sources: Mapping[str, SliceSource]) -> None:
    text = sources_text(sources)
    # With it in the header, slices from other sources have another fingerprint, and predictions on them are renewed.
    digest = hashlib.sha256(text.encode()).hexdigest()
    count = len(sources) * len(LEVELS)
    with SliceSetWriter(folder / SLICES, count, SIZE, "real", GENERATOR, sources_sha256=digest) as writer:
        write_sources(folder / SLICES, text)
        for number, name in enumerate(sources):
            with np.load(staging / f"{name}.npz", allow_pickle=False) as built:
                pixel_mm = float(built["pixel_mm"])
                for place, level in enumerate(LEVELS, number * len(LEVELS)):
                    hu, coverage = built[f"{level}_hu"], built[f"{level}_coverage"]
                    writer.add(hu, coverage, level_values(place, name, level, coverage, pixel_mm))


def _stage(path: Path, built: BuiltSubject) -> None:
    arrays = {f"{level}_hu": hu for level, (hu, _) in built.slices.items()}
    arrays |= {f"{level}_coverage": coverage for level, (_, coverage) in built.slices.items()}
    np.savez(path, allow_pickle=False, pixel_mm=np.array(built.pixel_mm), **arrays)
