"""A simulated cohort as a data set on disk, and as DICOM when asked.

The folder has the layout of real data (see :mod:`OsteoScreenTrainingLib.datasets.folder`): the manifest with the
noisy reference, and the L1 and L2 slices of the subjects to include. What only a simulation knows is in ``truth.csv``.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from OsteoScreenLib.errors import UsageError
from OsteoScreenLib.progress import Progress, silent
from OsteoScreenLib.results_io import write_text_atomically

from ...datasets.folder import LEVELS, SLICES, TRUTH, DataSetHeader, write_header
from ...datasets.manifest import MANIFEST, Subject, write_manifest
from ...datasets.slice_writing import SliceSetWriter, level_values
from ...parallel import in_order
from ..dicom_series import SeriesDescription, write_dicom_series
from .population import REFERENCE_SD_MG_CM3, Person, draw_population
from .rendering import SIZE, SLICE_MM, RenderedSlice, SubjectScan
from .scanners import Fleet, ScannerModel

#: Raise it whenever the same seed gives another cohort.
GENERATOR = "osteoscreen-cohort 1"
CT_FOLDER = "ct"
METHOD = "simulated QCT: the truth with an error of SD {sd:g} mg/cm3"
#: Tube voltage of those who are excluded for theirs, kV.
OTHER_KVP = 100.0


@dataclass(frozen=True)
class CohortRequest:
    """What to simulate.

    count : subjects to include; those to exclude come on top, in the paper's proportion
    reference_sd : SD of the reference's error, mg/cm3
    dicom : how many of the included subjects also get their CT as a DICOM series
    """

    count: int = 1048
    seed: int = 1
    reference_sd: float = REFERENCE_SD_MG_CM3
    dicom: int = 0
    workers: int = 1


def write_cohort(folder: Path, request: CohortRequest, progress: Progress = silent) -> DataSetHeader:
    """Simulate a cohort into a new data set ``folder``; its header is written last.

    Raises:
        UsageError: the folder holds something already, or the request makes no sense.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already; name a new folder with -o.")
    if request.seed < 0 or request.workers < 1 or not 0 <= request.dicom <= request.count:
        raise UsageError("--seed is from 0 on, --workers from 1 on, and --dicom from 0 to --count.")
    people = draw_population(request.count, request.seed, request.reference_sd)
    folder.mkdir(parents=True, exist_ok=True)
    cohort = _Cohort(people, Fleet(request.seed), request)
    included = [person for person in people if person.exclusion is None]
    cohort.write_slices(folder / SLICES, included, progress)
    with_ct = included[: request.dicom]
    for done, _ in enumerate(in_order(partial(cohort.write_ct, folder / CT_FOLDER), with_ct, request.workers), 1):
        progress("Writing DICOM series", done, len(with_ct))
    scans = [cohort.scan(person) for person in people]
    write_manifest([cohort.subject(scan, scan.person in with_ct) for scan in scans], folder / MANIFEST)
    _write_truth(folder / TRUTH, scans)
    header = DataSetHeader(
        kind="simulated",
        generator=GENERATOR,
        seed=request.seed,
        reference_sd_mg_cm3=request.reference_sd,
        notes="Simulated subjects after Tables 1 and 2 of Pan et al. 2024: there are no such people.",
    )
    write_header(folder, header)
    return header


def person_name(person: Person) -> str:
    """Return the subject's name in the manifest."""
    return f"S{person.number:06d}"


class _Cohort:
    """People on their scanners."""

    def __init__(self, people: list[Person], fleet: Fleet, request: CohortRequest):
        self.fleet, self.request = fleet, request
        rng = np.random.default_rng([request.seed, 25])
        self.models: dict[int, ScannerModel] = {person.number: fleet.draw(rng) for person in people}
        # The table's height is the operator's: no number of a scan is a height above the floor.
        self._table = {person.number: round(float(rng.uniform(-900, -200)), 2) for person in people}

    def scan(self, person: Person) -> SubjectScan:
        return SubjectScan(person, self.models[person.number], self.request.seed)

    def write_slices(self, folder: Path, people: list[Person], progress: Progress) -> None:
        """Write the centre slices of L1 and L2 of each."""
        scanned = [(person, self.models[person.number]) for person in people]
        rendered = in_order(partial(_centre_slices, seed=self.request.seed), scanned, self.request.workers)
        with SliceSetWriter(folder, len(people) * len(LEVELS), SIZE, "simulated", GENERATOR) as slices:
            for done, (person, both) in enumerate(zip(people, rendered, strict=True), 1):
                for number, (level, item) in enumerate(zip(LEVELS, both, strict=True), (done - 1) * len(LEVELS)):
                    values = level_values(number, person_name(person), level, item.coverage, item.pixel_mm)
                    slices.add(item.hu, item.coverage, values)
                progress("Simulating the cohort", done, len(people))

    def z_mm(self, scan: SubjectScan, number: int) -> float:
        """Return a slice's height in the scanner's frame, RAS S."""
        return self._table[scan.person.number] + SLICE_MM * number

    def subject(self, scan: SubjectScan, with_ct: bool) -> Subject:
        """Return a person as a row of the manifest: what a hospital would know, and no truth."""
        person, model = scan.person, scan.model
        slope, intercept = self.fleet.calibration(model, person.study_date)
        measured = person.exclusion != "no reference"
        bmd = {level: round(value, 2) for level, value in person.reference_bmd.items()}
        z = {level: self.z_mm(scan, scan.centre_slice(level)) for level in LEVELS}
        findings = person.exclusion if person.exclusion in ("implant", "fracture", "degeneration") else None
        return Subject(
            subject=person_name(person),
            study_date=person.study_date,
            age_years=float(person.age_years),
            sex=person.sex,
            scanner=model.name,
            kvp=OTHER_KVP if person.exclusion == "tube voltage" else 120.0,
            ct=f"{CT_FOLDER}/{person_name(person)}" if with_ct else None,
            l1_z_mm=round(z["L1"], 3),
            l2_z_mm=None if person.exclusion == "field of view" else round(z["L2"], 3),
            bmd_l1=bmd["L1"] if measured else None,
            bmd_l2=bmd["L2"] if measured else None,
            bmd_individual=round((bmd["L1"] + bmd["L2"]) / 2, 3) if measured else None,
            mineral="CaHA",
            method=METHOD.format(sd=self.request.reference_sd) if measured else None,
            calibration_slope=round(slope, 5),
            calibration_intercept=round(intercept, 3),
            findings=findings,
        )

    def write_ct(self, root: Path, person: Person) -> None:
        """Write a subject's scan, T12 to the top of L3, as a DICOM series into a folder of its own below ``root``."""
        scan = self.scan(person)
        numbers = scan.extent()
        hu = np.stack([scan.slice(number).hu for number in numbers])
        ijk_to_ras = scan.grid.ijk_to_ras(SLICE_MM, self.z_mm(scan, numbers[0]))
        description = SeriesDescription(
            seed=self.request.seed * 1_000_000 + person.number,
            slice_thickness_mm=SLICE_MM,
            kernel=scan.model.kernel,
            age_years=person.age_years,
            sex=person.sex,
            study_date=person.study_date.strftime("%Y%m%d"),
            description="Simulated chest CT, T12 to L3",
            station=scan.model.name,
        )
        write_dicom_series(root / person_name(person), hu, ijk_to_ras, description)


def _centre_slices(scanned: tuple[Person, ScannerModel], seed: int) -> list[RenderedSlice]:
    person, model = scanned
    scan = SubjectScan(person, model, seed)
    return [scan.slice(scan.centre_slice(level)) for level in LEVELS]


def _write_truth(path: Path, scans: list[SubjectScan]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["subject", "bmd_l1", "bmd_l2", "bmd_individual", "exclusion", "scanner_gain", "scanner_offset_hu", "noise_hu"]
    )
    for scan in scans:
        person = scan.person
        l1, l2 = person.true_bmd["L1"], person.true_bmd["L2"]
        values = [f"{value:.4f}" for value in (l1, l2, (l1 + l2) / 2)]
        scanner = [f"{scan.model.gain:g}", f"{scan.model.offset_on(person.study_date):.3f}"]
        noise = f"{scan.acquisition.noise_sd:.2f}"
        writer.writerow([person_name(person), *values, person.exclusion or "", *scanner, noise])
    write_text_atomically(text.getvalue(), path)
