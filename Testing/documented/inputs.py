"""What the documented commands are given: each name that stands for an input becomes a small, true one.

The commands run in a folder of their own (a :class:`Desk`) in which ``CT``, ``SEG`` or ``DATASET`` exist under these
very names, so that what is documented runs to the letter.
"""

from __future__ import annotations

import csv
import datetime
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.cli import main
from OsteoScreenTrainingLib.simulation.dicom_series import SeriesDescription, write_dicom_series
from OsteoScreenTrainingLib.simulation.volume import SimulatedVolume, simulate_volume

from .blocks import REPOSITORY

#: Where the simulated L1 lies when a block names no height, mm: where `osteoscreen demo` puts it.
L1_MM = -412.25
SLICE_MM = 2.0
#: A person whose L1 and L2 are 36 mm apart, so that the pairs of heights in the documentation both meet a body.
PERSON = 4


@dataclass
class Desk:
    """A folder for the commands of one block.

    ``text`` is the block's; ``words`` are what stands in a command for what only this machine knows (an address, a
    UID); ``close`` is done at the end.
    """

    path: Path
    text: str
    words: dict[str, str] = field(default_factory=dict)
    close: list[Callable[[], None]] = field(default_factory=list)

    def run(self, *words: str) -> None:
        """Run a command that prepares something; it has to succeed."""
        assert main(list(words)) == 0, words

    def empty(self, name: str) -> Path:
        """A place of that name where nothing is."""
        place = self.path / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        return place


Maker = Callable[[Desk], None]


@contextmanager
def desk(folder: Path, text: str) -> Iterator[Desk]:
    """Give a desk below ``folder``, with the real CT beside it where this machine has them."""
    path = folder / "clone"
    path.mkdir()
    shared = REPOSITORY.parent / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared, target_is_directory=True)
    made = Desk(path, text)
    try:
        yield made
    finally:
        for close in reversed(made.close):
            close()


# -- a simulated person, and scans of them


@lru_cache(maxsize=1)
def person() -> SimulatedVolume:
    return simulate_volume(PERSON, bmd_mg_cm3=104.0, spacing_mm=SLICE_MM, lowest="L2", highest="L1")


def ijk_to_ras(l1_mm: float) -> np.ndarray:
    """The matrix from (column, row, slice) to RAS mm that puts the middle of L1 at a height."""
    volume = person()
    matrix = np.diag([-volume.grid.pixel_mm, -volume.grid.pixel_mm, SLICE_MM, 1.0])
    lowest = l1_mm - (volume.centres_mm["L1"][2] - float(volume.z_mm[0]))
    matrix[:3, 3] = (-volume.grid.left_mm, -volume.grid.top_mm, lowest)
    return matrix


def documented_height(text: str) -> float:
    """Where the block says that L1 is."""
    found = re.search(r"\bl1=\"?(-?\d+(?:\.\d+)?)", text)
    return float(found.group(1)) if found else L1_MM


def write_ct(folder: Path, l1_mm: float, date: str = "20210101") -> None:
    description = SeriesDescription(seed=PERSON, slice_thickness_mm=SLICE_MM, study_date=date)
    write_dicom_series(folder, person().hu, ijk_to_ras(l1_mm), description)


def image(array: np.ndarray, matrix: np.ndarray) -> sitk.Image:
    """An image of SimpleITK (LPS) of an array (slices, rows, columns) whose axes are those of the trunk."""
    made = sitk.GetImageFromArray(array)
    made.SetSpacing([abs(matrix[k, k]) for k in range(3)])
    made.SetOrigin([-matrix[0, 3], -matrix[1, 3], matrix[2, 3]])
    return made


def ct(at: Desk) -> None:
    write_ct(at.empty("CT"), documented_height(at.text))


def abdominal_ct(at: Desk) -> None:
    """A scan on which vertebrae can be counted."""
    hu, _, matrix = abdomen()
    description = SeriesDescription(seed=PERSON, slice_thickness_mm=float(matrix[2, 2]))
    write_dicom_series(at.empty("CT"), hu, matrix, description)


def scan(at: Desk) -> None:
    write_ct(at.empty("scan"), documented_height(at.text))


def volumes(at: Desk) -> None:
    """The files of a script for Slicer, which are under /data there and beside the commands here."""
    (at.path / "data").mkdir()
    # What lies nearest after a path is where its L1 is.
    for name in sorted(set(re.findall(r"/data/(\w+)\.nrrd", at.text))):
        found = re.search(rf'/data/{name}\.nrrd"(?:(?!/data/).)*?(-\d[\d.]*)', at.text, re.DOTALL)
        assert found, f"the script does not say where L1 of {name}.nrrd is"
        volume = image(person().hu, ijk_to_ras(float(found.group(1))))
        sitk.WriteImage(volume, str(at.path / "data" / f"{name}.nrrd"))
    at.words["/data/"] = f"{(at.path / 'data').as_posix()}/"


# -- what a reader brings along


def labels() -> np.ndarray:
    """(slices, rows, columns) uint8: the trabecular compartments as TotalSegmentator numbers L1 (31) and L2 (30)."""
    volume = person()
    middle = (volume.centres_mm["L1"][2] + volume.centres_mm["L2"][2]) / 2
    names = np.where(volume.z_mm > middle, 31, 30).astype(np.uint8)
    return np.where(volume.coverage > 127, names[:, None, None], 0).astype(np.uint8)


def segmentation(at: Desk) -> None:
    at.empty("SEG")
    (at.path / "SEG").mkdir()
    found = labels()
    for name, value in (("L1", 31), ("L2", 30)):
        mask = image((found == value).astype(np.uint8), ijk_to_ras(documented_height(at.text)))
        sitk.WriteImage(mask, str(at.path / "SEG" / f"vertebrae_{name}.nii.gz"), True)


def calibration(at: Desk) -> None:
    today = datetime.date.today()
    document = {
        "slope": 0.7, "intercept": 5.0, "mineral": "CaHA", "uncertainty_mg_cm3": 5, "precision_mg_cm3": 2.5,
        "scanner": "SIMULATED", "kvp": 120, "kernel": "STANDARD", "date": today.isoformat(),
        "expires": (today + datetime.timedelta(days=200)).isoformat(),
    }  # fmt: skip
    for name in ("FILE", "calibration.json"):
        (at.path / name).write_text(json.dumps(document), encoding="utf-8")


def earlier(at: Desk) -> None:
    """A result of the same person, two years before."""
    write_ct(at.empty("CT-THEN"), L1_MM, "20190101")
    calibration(at)
    at.run("screen", "CT-THEN", "-o", "THEN", f"--l1={L1_MM}", "--l2=auto", "--calibration", "FILE", "--write", "sr")


def screened(at: Desk) -> None:
    """A result to decide on, with the DICOM objects of it."""
    at.empty("OUT")
    ct(at)
    l2 = f"--l2={L1_MM + person().centres_mm['L2'][2] - person().centres_mm['L1'][2]}"
    at.run("screen", "CT", "-o", "OUT", f"--l1={documented_height(at.text)}", l2, "--write", "sr", "--device", "cpu")


def edited_outline(at: Desk) -> None:
    """Somebody edited the outlines where they lie: they are a little smaller now."""
    path = at.path / "OUT" / "segmentation.seg.nrrd"
    read = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(read)
    array[array == 1] = np.where(np.roll(array, 2, axis=1)[array == 1] == 1, 1, 0)
    smaller = sitk.GetImageFromArray(array)
    smaller.CopyInformation(read)
    for key in read.GetMetaDataKeys():
        smaller.SetMetaData(key, read.GetMetaData(key))
    sitk.WriteImage(smaller, str(path), True)


def sample_result(at: Desk) -> None:
    """The result of the tutorial's CT."""
    sample_data(at)
    scan = "OsteoScreen/Resources/SampleData/OsteoScreenSimulatedCT.nrrd"
    at.run("screen", scan, "-o", "OUT", "--l1=-412.2", "--l2=-435", "--device", "cpu")


def manifest(at: Desk) -> None:
    """A list of two studies: one with its levels, one without."""
    write_ct(at.empty("scans") / "one", L1_MM)
    write_ct(at.path / "scans" / "two", L1_MM - 7)
    (at.path / "MANIFEST").write_text(f"id,ct,l1,l2\none,scans/one,{L1_MM},\ntwo,scans/two,,\n", encoding="utf-8")


# -- data sets


def subjects(at: Desk) -> None:
    """A data set of 30 subjects, ten of each class, each with a small CT and outlines; not built yet."""
    from phantom_ct import make_phantom

    folder = at.empty("DATASET")
    folder.mkdir()
    rows = []
    for number in range(30):
        bmd = (40.0, 100.0, 180.0)[number % 3]
        phantom = make_phantom(L1=bmd + 20 + number, L2=bmd + 10 + number)
        phantom.write(folder / f"ct-{number}.nrrd")
        phantom.write_outlines(folder / f"masks-{number}.seg.nrrd")
        rows.append(
            {
                "subject": f"S{number:02d}", "study_date": f"2021-03-{number + 1:02d}",
                "age_years": 50 + number, "sex": "FM"[number % 2], "scanner": "ONE", "kvp": 120,
                "ct": f"ct-{number}.nrrd", "masks": f"masks-{number}.seg.nrrd", "l1_z_mm": phantom.z_mm("L1"),
                "l2_z_mm": phantom.z_mm("L2"), "bmd_l1": bmd, "bmd_l2": bmd, "mineral": "CaHA",
            }
        )  # fmt: skip
    with open(folder / "subjects.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def unseen_slices(at: Desk) -> None:
    """Slices to score a network on."""
    at.run("simulate", "slices", "-o", "VAL", "--count", "4", "--seed", "1000")


def drawing(at: Desk) -> None:
    """What somebody drew on the exported picture of L1, as QuPath writes it."""
    from skimage.measure import find_contours

    picture = next((at.path / "SLICES").glob("*L1*.png"))
    at_l1 = int(np.argmin(np.abs(person().z_mm - person().centres_mm["L1"][2])))
    rows_columns = max(find_contours(person().coverage[at_l1], 127.5), key=len) + 0.5
    ring = rows_columns[:, ::-1].round(2).tolist()
    drawn = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature", "id": "a0f2-11", "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"objectType": "annotation", "classification": {"name": "L1", "color": [255, 0, 0]}},
            }
        ],
    }  # fmt: skip
    (at.path / f"{picture.stem}.geojson").write_text(json.dumps(drawn), encoding="utf-8")
    at.words["DRAWN.geojson"] = f"{picture.stem}.geojson"


def collection(kind: str) -> Maker:
    """The folder of a public collection with one simulated scan in it, and no data set yet."""

    def make(at: Desk) -> None:
        at.empty("DATASET")
        folder = at.empty("FOLDER")
        hu, found, matrix = abdomen()
        where: dict[str, tuple[str, str]] = {
            "verse": (
                "01_training/rawdata/sub-verse500/sub-verse500_ct.nii.gz",
                "01_training/derivatives/sub-verse500/sub-verse500_seg-vert_msk.nii.gz",
            ),
            "totalsegmentator": ("s0001/ct.nii.gz", "s0001/vertebrae.nii.gz"),
            "ctspine1k": ("raw_data/volumes/MSD-T10/liver_0.nii.gz", "raw_data/labels/MSD-T10/liver_0_seg.nii.gz"),
        }
        for name, array in zip(where[kind], (hu, found), strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(image(array, matrix), str(folder / name), True)
        if kind == "totalsegmentator":
            write_parts(folder / "s0001", found, matrix)
            (folder / "meta.csv").write_text("image_id;age;gender;split;kvp\ns0001;64;f;train;120\n", encoding="utf-8")
        if kind == "ctspine1k":
            (folder / "data_split.txt").write_text("trainset:\nliver_0.nii.gz\n", encoding="utf-8")

    return make


def write_parts(folder: Path, found: np.ndarray, matrix: np.ndarray) -> None:
    """One file a vertebra, as TotalSegmentator's data set has them, in place of the labels in one."""
    (folder / "vertebrae.nii.gz").unlink()
    (folder / "segmentations").mkdir()
    for vertebra, label in (("T12", 19), ("L1", 20), ("L2", 21), ("L3", 22)):
        part = image((found == label).astype(np.uint8), matrix)
        sitk.WriteImage(part, str(folder / "segmentations" / f"vertebrae_{vertebra}.nii.gz"), True)


@lru_cache(maxsize=1)
def abdomen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A simulated abdomen: HU, labels of whole vertebrae as VerSe numbers them (L1 20), and the matrix to RAS mm."""

    from OsteoScreenTrainingLib.simulation.trunk3d import BODY_LABELS, POSTERIOR_LABEL, simulate_trunk

    trunk = simulate_trunk(11, 6, spacing_mm=(3.0, 1.6, 1.6), region="abdomen", usual=True)
    found = np.zeros_like(trunk.labels)
    for name, value in BODY_LABELS.items():
        if name != "S1":
            found[(trunk.labels == value) | (trunk.labels == POSTERIOR_LABEL + value)] = value
    return trunk.hu, found.astype(np.uint8), trunk.ijk_to_ras


def tiny(name: str, settings: dict[str, Any]) -> Maker:
    """A configuration that trains in seconds, as a file of that name."""

    def make(at: Desk) -> None:
        (at.path / name).write_text(json.dumps(settings), encoding="utf-8")

    return make


def gone(name: str) -> Maker:
    """Nothing of that name, where commands beside each other each begin anew."""

    def make(at: Desk) -> None:
        at.empty(name)

    return make


# -- a PACS


def pacs(at: Desk) -> None:
    """Orthanc with one CT, its address and UIDs in place of the documented ones, and credentials in the environment."""
    from orthanc_process import PASSWORD, USER, missing, running
    from pydicom import dcmread

    if missing():
        pytest.skip(missing())
    patch = pytest.MonkeyPatch()
    server = running(at.path)
    orthanc = server.__enter__()
    at.close += [patch.undo, lambda: server.__exit__(None, None, None)]
    patch.setenv("OSTEOSCREEN_DICOMWEB_USER", USER)
    patch.setenv("OSTEOSCREEN_DICOMWEB_PASSWORD", PASSWORD)
    ct(at)
    files = sorted((at.path / "CT").iterdir())
    for path in files:
        orthanc.take(path.read_bytes())
    header = dcmread(files[0], stop_before_pixels=True)
    at.words |= {
        "https://pacs.example.org/dicom-web": orthanc.url,
        "STUDY_UID": str(header.StudyInstanceUID),
        "SERIES_UID": str(header.SeriesInstanceUID),
        "4711": str(header.PatientID),
    }
    shutil.rmtree(at.path / "CT")


def sample_data(at: Desk) -> None:
    """The part of the clone that the tutorial's CT lies in."""
    where = Path("OsteoScreen", "Resources", "SampleData")
    shutil.copytree(REPOSITORY / where, at.path / where)


#: The names that stand for an input wherever a command has one that no command before it made.
INPUTS: dict[str, Maker] = {
    "CT": ct,
    "SEG": segmentation,
    "FILE": calibration,
    "calibration.json": calibration,
    "THEN": earlier,
    "MANIFEST": manifest,
    "DATASET": subjects,
    "VAL": unseen_slices,
    "DRAWN.geojson": drawing,
    "OsteoScreen": sample_data,
}
