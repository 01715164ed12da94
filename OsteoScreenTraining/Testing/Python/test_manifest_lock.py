"""subjects.csv when several processes change it: nobody's cells are lost, and who is killed holds nobody up."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.segmentation_io import write_segmentation
from OsteoScreenTrainingLib.control.drawing import Walk
from OsteoScreenTrainingLib.datasets.building import build_slices
from OsteoScreenTrainingLib.datasets.manifest import Subject, read_manifest, write_manifest
from OsteoScreenTrainingLib.datasets.manifest_lock import LOCK, alone_with_manifest

COUNT = 25

ACCEPT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split("|")
import numpy as np
from OsteoScreenLib.ct import open_ct
from OsteoScreenTrainingLib.control.drawing import Walk
mask = np.zeros((32, 32), bool)
mask[8:20, 8:20] = True
walk = Walk(sys.argv[1])
geometry = open_ct(Path(sys.argv[1], "ct.nrrd")).geometry
for name in sys.argv[3:]:
    walk.accept(name, {"L1": (4, mask), "L2": (1, mask)}, geometry)
"""

FILL = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split("|")
from OsteoScreenTrainingLib.datasets.manifest import Subject
from OsteoScreenTrainingLib.datasets.manifest_lock import fill_in
for name in sys.argv[3:]:
    fill_in(Path(sys.argv[1]), [Subject(name, kvp=120.0)])
"""

HOLD = """
import sys, time
sys.path[:0] = sys.argv[2].split("|")
from OsteoScreenTrainingLib.datasets.manifest_lock import alone_with_manifest
with alone_with_manifest(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def begin(paths):
    """Return a function that starts a script in a process of its own; what is left of them is ended."""
    begun = []

    def start(script, folder, *names):
        command = [sys.executable, "-c", script, str(folder), "|".join(paths), *names]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path):
    """Return a data set of subjects with one CT, none of whom has outlines."""
    hu = np.random.default_rng(1).normal(0, 20, (6, 32, 32)).astype(np.int16)
    hu[:, 8:20, 8:20] += 150
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.2, 1.2, 2.0))
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    write_manifest([Subject(f"S{n}", ct="ct.nrrd") for n in range(COUNT)], tmp_path / "subjects.csv")
    return tmp_path


def _ended(process):
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said


def test_two_processes_lose_none_of_each_others_changes(folder, begin):
    names = [f"S{n}" for n in range(COUNT)]
    for process in [begin(ACCEPT, folder, *names), begin(FILL, folder, *names), begin(FILL, folder, "NEW", *names)]:
        _ended(process)
    rows = read_manifest(folder / "subjects.csv")
    assert [row.subject for row in rows] == [*names, "NEW"]
    assert {row.kvp for row in rows} == {120.0}
    assert [(row.masks, row.l1_z_mm) for row in rows[:-1]] == [(f"masks/{name}.seg.nrrd", 8.0) for name in names]
    assert Walk(folder).state == {"left": 0, "accepted": COUNT, "rejected": 0}


def test_a_case_that_is_accepted_during_a_build_stays_accepted(folder, begin):
    ct = open_ct(folder / "ct.nrrd")
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    write_segmentation({"L1": (4, mask), "L2": (1, mask)}, ct.geometry, folder / "masks.seg.nrrd")
    drawn = [Subject(f"S{n}", ct="ct.nrrd", masks="masks.seg.nrrd", l1_z_mm=8.0, l2_z_mm=2.0) for n in range(2)]
    write_manifest([*drawn, Subject("S2", ct="ct.nrrd")], folder / "subjects.csv")

    def accept_meanwhile(step, done, total):
        if done == 1:
            _ended(begin(ACCEPT, folder, "S2"))
            _ended(begin(FILL, folder, "S1"))

    assert build_slices(folder, accept_meanwhile) == {}
    first, second, third = read_manifest(folder / "subjects.csv")
    assert (first.kvp, second.kvp) == (None, 120.0)
    assert (third.masks, third.l1_z_mm, third.l2_z_mm) == ("masks/S2.seg.nrrd", 8.0, 2.0)
    assert Walk(folder).state["accepted"] == 3


def test_one_who_holds_it_is_waited_for_and_one_who_is_killed_is_not(folder, begin):
    holder = begin(HOLD, folder)
    assert holder.stdout.readline() == "held\n"
    before = (folder / "subjects.csv").read_bytes()
    sentence = r"has been changing .* for 0\.2 s, so nothing was changed; look for one that hangs"
    with pytest.raises(OsteoScreenError, match=sentence), alone_with_manifest(folder, wait_s=0.2):
        pytest.fail("two at a time")
    holder.kill()
    holder.wait()
    Walk(folder).reject("S0", "implant")
    assert (folder / "subjects.csv").read_bytes() != before


def test_a_folder_that_takes_no_lock_is_told(folder):
    (folder / LOCK).mkdir()
    with pytest.raises(OsteoScreenError, match=r"subjects\.csv cannot be changed, because its folder takes no lock"):
        Walk(folder).reject("S0")
    assert not (folder / "drawing.json").exists()
