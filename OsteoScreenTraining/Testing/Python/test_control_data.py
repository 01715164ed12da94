"""A data set as a panel sees it: its summary, the walk from case to case, and subjects.csv byte for byte."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest

from OsteoScreenLib.ct import Geometry
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenTrainingLib.control.drawing import Walk
from OsteoScreenTrainingLib.control.summary import summarise
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.inclusion import include
from OsteoScreenTrainingLib.datasets.manifest import read_manifest
from OsteoScreenTrainingLib.datasets.manifest_text import ManifestText, _records, _value
from OsteoScreenTrainingLib.datasets.splits import load_split, sizes

GEOMETRY = Geometry((40, 32, 32), np.array([[-1, 0, 0, 16], [0, -1, 0, 16], [0, 0, 2.5, -400], [0, 0, 0, 1.0]]))


# -- the table


def test_cells_are_where_csv_has_them():
    rng = random.Random(3)
    for _ in range(20_000):
        text = "".join(rng.choice(["a", "b", ",", '"', "\n", "\r\n", '""', " "]) for _ in range(rng.randint(0, 12)))
        records = _records(text)
        assert "".join(",".join(record.cells) + record.ending for record in records) == text
        wanted = list(csv.reader(io.StringIO(text, newline="")))
        found = [[] if record.cells == [""] else list(map(_value, record.cells)) for record in records]
        assert found == wanted, text


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_only_the_cells_that_change_change(tmp_path, ending):
    lines = [
        '\ufeffsubject,"scanner",ct,masks,l1_z_mm',
        'A,"SOMATOM ""X"", room 2",ct/a.nrrd,,-12.50',
        "",
        ' B , S ,"ct/b.nrrd",,"-0.5"',
        "C",
    ]
    path = tmp_path / "subjects.csv"
    path.write_bytes(ending.join(lines).encode())
    table = ManifestText.read(tmp_path)
    table.change("B", {"masks": "masks/B, new.seg.nrrd"})
    table.write()
    lines[3] = ' B , S ,"ct/b.nrrd","masks/B, new.seg.nrrd","-0.5"'
    assert path.read_bytes() == ending.join(lines).encode()
    subjects = ManifestText.read(tmp_path).subjects()
    assert subjects == read_manifest(path)
    assert subjects[0].scanner == 'SOMATOM "X", room 2' and subjects[0].l1_z_mm == -12.5

    table.change("C", {"l2_z_mm": "-3.0"})
    table.write()
    lines[0] += ",l2_z_mm"
    lines[1] += ","
    lines[3] += ","
    lines[4] = "C,,,,,-3.0"
    assert path.read_bytes() == ending.join(lines).encode()
    with pytest.raises(UsageError, match="no subject 'D'"):
        table.change("D", {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no column 'subject'"),
        (b"a,b\n", "no column 'subject'"),
        (b"subject,colour\n", "'colour' is not known"),
        (b"subject,ct,ct\n", "'ct' is not known, or there twice"),
        (b"subject\n\xff\n", "UTF-8"),
        (b"subject,kvp\nA,high\n", r"line 2: kvp 'high' cannot be read"),
        (b"subject,kvp\nA,inf\n", "line 2: kvp"),
        (b"subject,study_date\nA,1.2.2020\n", "line 2: study_date"),
        (b"subject,kvp\n\nA,1\nA,2\n", "line 4: the subject A is in another line"),
        (b"subject,kvp\n,120\n", "line 2: the cell of the column subject is empty"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path, content, sentence):
    (tmp_path / "subjects.csv").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        ManifestText.read(tmp_path).subjects()
    with pytest.raises(InputError, match=sentence):
        summarise(tmp_path)
    with pytest.raises(InputError, match=sentence):
        Walk(tmp_path)


# -- the summary


def test_a_finished_data_set_is_what_the_library_says(cohort):
    found, data = summarise(cohort), DataSet(cohort)
    inclusion = include(data)
    assert found.kind == "simulated" and found.built and found.slices == len(data.slices)
    assert [subject.subject for subject in found.subjects] == [subject.subject for subject in data.subjects]
    assert found.included == len(inclusion.included) and dict(found.excluded) == inclusion.excluded
    assert [s.subject for s in found.subjects if s.exclusion is None] == [s.subject for s in inclusion.included]
    values = sorted(value for values in found.bmd.values() for value in values)
    assert values == sorted(subject.bmd for subject in inclusion.included)
    assert all(value > 120 for value in found.bmd["normal"])
    assert sum(subject.has_ct for subject in found.subjects) == 2


def test_its_splits_and_its_table(subject_set):
    found, data = summarise(subject_set), DataSet(subject_set)
    (split,) = found.splits
    assert (split.name, split.method, split.problem) == ("random", "random", "")
    assert split.counts == sizes(load_split(data, "random"), data)
    assert found.columns == ("", "all", "normal", "osteopenia", "osteoporosis")
    cells = {row[0]: row[1:] for row in found.rows}
    assert cells["subjects"] == ("32 (100.0 %)", "14 (43.8 %)", "10 (31.2 %)", "8 (25.0 %)")
    assert cells["women"][0] == "32 (100.0 %)" and cells["men"][0] == "0 (0.0 %)"
    assert cells["age, years"] == ("60.0 ± 0.0",) * 4
    assert cells["BMD, mg/cm³"][1:] == ("190.0 ± 0.0", "100.0 ± 0.0", "40.0 ± 0.0")
    assert cells["BMD of L1, mg/cm³"][1] == "192.0 ± 0.0"


def _write_data(folder, **files):
    folder.mkdir(exist_ok=True)
    rows = [
        "subject,ct,masks,l1_z_mm,l2_z_mm,age_years,kvp,bmd_l1,bmd_l2,findings",
        "A,ct/a.nrrd,,,,60,120,150,140,",
        "B,ct/b.nrrd,masks/b-l1.nrrd;masks/b-l2.nrrd,-390,-395,61,120,100,96,",
        "C,ct/c.nrrd,masks/c.nrrd,-390,-395,62,140,50,56,",
        "D,,,,,63,120,,,implant",
    ]
    (folder / "subjects.csv").write_text("\n".join(rows) + "\n")
    for name in ("ct/a.nrrd", "ct/b.nrrd", "masks/b-l1.nrrd", "masks/b-l2.nrrd"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def test_an_unbuilt_data_set_has_a_summary_too(tmp_path):
    folder = _write_data(tmp_path / "set")
    found = summarise(folder)
    assert not found.built and found.kind == "" and found.slices == 0 and found.splits == ()
    a, b, c, d = found.subjects
    assert (b.exclusion, b.has_masks, b.has_ct, b.status) == (None, True, True, "osteopenia")
    assert b.masks == (folder / "masks/b-l1.nrrd", folder / "masks/b-l2.nrrd")
    assert a.exclusion == "the scan does not hold all of L2" and not a.has_masks and a.masks == ()
    assert c.exclusion == "tube voltage not 120 kVp" and not c.has_ct and c.ct == folder / "ct/c.nrrd"
    assert d.exclusion == "no reference BMD" and d.ct is None and d.bmd is None
    assert found.included == 1 and sum(found.excluded.values()) == 3
    cells = {row[0]: row[1:] for row in found.rows}
    assert cells["BMD, mg/cm³"] == ("98.0", "–", "98.0", "–")
    (folder / "splits").mkdir()
    (folder / "splits" / "odd.json").write_text("{")
    assert "is no split" in summarise(folder).splits[0].problem


# -- the walk


def _mask(place=16):
    mask = np.zeros((32, 32), bool)
    mask[place - 4 : place + 4, 10:20] = True
    return mask


def test_the_walk_goes_from_case_to_case_and_is_taken_up_again(tmp_path):
    folder = _write_data(tmp_path / "set")
    walk = Walk(folder)
    assert [subject.subject for subject in walk.subjects] == ["A", "B", "C"]
    assert walk.state == {"left": 2, "accepted": 1, "rejected": 0}
    first = walk.next()
    assert first.subject == "A" and first.ct == folder / "ct/a.nrrd" and first.masks == ()

    before = (folder / "subjects.csv").read_text().splitlines()
    path = walk.accept("A", {"L2": (2, _mask(12)), "L1": (4, _mask())}, GEOMETRY, {"L1": -390.4})
    assert path == folder / "masks" / "A.seg.nrrd"
    after = (folder / "subjects.csv").read_text().splitlines()
    assert after[1] == "A,ct/a.nrrd,masks/A.seg.nrrd,-390.4,-395.0,60,120,150,140,"
    assert after[:1] + after[2:] == before[:1] + before[2:]
    found = read_vertebrae(path, ["L1", "L2"])
    assert np.array_equal(found["L1"].coverage_on(GEOMETRY, 4) > 0.5, _mask())
    assert np.array_equal(found["L2"].coverage_on(GEOMETRY, 2) > 0.5, _mask(12))
    assert (path.stat().st_mode & 0o777) == (path.parent.stat().st_mode & 0o666)

    walk = Walk(folder)
    assert [subject.subject for subject in walk] == ["C"]
    walk.reject("C", "fracture")
    walk.reject("C", "fracture")
    assert (folder / "subjects.csv").read_text().splitlines()[3].endswith(",50,56,fracture")
    assert Walk(folder).next() is None and Walk(folder).state == {"left": 0, "accepted": 2, "rejected": 1}
    walk.reject("B", "the scan is cut off")
    assert [(s.standing, s.reason) for s in walk.subjects][1] == ("rejected", "the scan is cut off")
    assert read_manifest(folder / "subjects.csv")[1].findings is None
    walk.reopen("C")
    assert walk.next().subject == "C"
    walk.accept("C", {"L1": (4, _mask())}, GEOMETRY)
    assert [subject.standing for subject in walk.subjects] == ["accepted", "rejected", "accepted"]
    path.unlink()
    assert walk.next().subject == "A"  # what is gone has to be drawn again


def test_everyone_is_walked_through_where_that_is_wanted(tmp_path):
    folder = _write_data(tmp_path / "set")
    walk = Walk(folder, everyone=True)
    seen = []
    for subject in walk:
        seen.append(subject.subject)
        if subject.subject == "B":
            walk.accept("B", {"L1": (4, _mask())}, GEOMETRY)
    assert seen == ["A", "B", "C"] and [s.subject for s in Walk(folder, everyone=True)] == ["A", "C"]
    assert (folder / "masks" / "b-l1.nrrd").exists()
    assert walk.next(after="A").subject == "C" and walk.next(after="C") is None and walk.next("X").subject == "A"


def test_what_cannot_be_saved_changes_nothing(tmp_path):
    folder = _write_data(tmp_path / "set")
    walk, before = Walk(folder), (folder / "subjects.csv").read_bytes()
    for masks, levels, sentence in [
        ({}, None, "there are none"),
        ({"L3": (1, _mask())}, None, "L3"),
        ({"L1": (1, np.zeros((32, 32), bool))}, None, "empty"),
        ({"L1": (1, np.ones((16, 32), bool))}, None, "not on a slice of this CT"),
        ({"L1": (40, _mask())}, None, "not on a slice of this CT"),
        ({"L1": (4, _mask())}, {"L1": -395.0}, "draw it on the centre slice"),
        ({"L1": (4, _mask())}, {"L1": 700.0}, "outside the scan"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            walk.accept("A", masks, GEOMETRY, levels)
    for act in (lambda: walk.accept("Z", {"L1": (4, _mask())}, GEOMETRY), lambda: walk.reject("Z"),
                lambda: walk.reopen("Z")):  # fmt: skip
        with pytest.raises(UsageError, match="no subject 'Z'"):
            act()
    assert (folder / "subjects.csv").read_bytes() == before and not (folder / "drawing.json").exists()
    assert sorted(path.name for path in (folder / "masks").iterdir()) == ["b-l1.nrrd", "b-l2.nrrd"]
    (folder / "drawing.json").write_text("[]")
    with pytest.raises(InputError, match="damaged"):
        Walk(folder)
    (folder / "drawing.json").unlink()
    (folder / "masks").rename(folder / "elsewhere")
    (folder / "masks").touch()
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        walk.accept("A", {"L1": (4, _mask())}, GEOMETRY)
    assert (folder / "subjects.csv").read_bytes() == before


DRAW = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
import numpy as np
from OsteoScreenLib.ct import Geometry
from OsteoScreenTrainingLib.control.drawing import Walk
left, replace = int(sys.argv[2]), os.replace
def dies(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*arguments)
os.replace = dies
matrix = np.array([[-1, 0, 0, 16], [0, -1, 0, 16], [0, 0, 2.5, -400], [0, 0, 0, 1.0]])
mask = np.zeros((32, 32), bool)
mask[8:20, 8:20] = True
Walk(sys.argv[1]).accept("A", {"L1": (4, mask)}, Geometry((40, 32, 32), matrix))
"""


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_killed_between_two_files_it_is_left_or_accepted(tmp_path, paths, renames):
    folder = _write_data(tmp_path / "set")
    done = subprocess.run([sys.executable, "-c", DRAW, str(folder), str(renames), *paths], check=False)
    assert done.returncode == (-signal.SIGKILL if renames < 3 else 0)
    subject = Walk(folder).subjects[0]
    assert subject.standing == ("left" if renames < 2 else "accepted")
    assert read_manifest(folder / "subjects.csv")[0].masks == (None if renames < 2 else "masks/A.seg.nrrd")
    Walk(folder).accept("A", {"L1": (4, _mask())}, GEOMETRY)
    assert Walk(folder).subjects[0].standing == "accepted"


# -- what the panel imports

LIGHT = """
import sys
sys.path[:0] = sys.argv[1].split("|")
class Refused:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        known = {"numpy", "scipy", "SimpleITK", "pydicom", "OsteoScreenLib", "OsteoScreenTrainingLib"}
        if root not in known | set(sys.stdlib_module_names) and not root.startswith("_"):
            raise ModuleNotFoundError(f"No module named {root!r}", name=root)
sys.meta_path.insert(0, Refused())
for name in [name for name in sys.modules if name.partition(".")[0] in {"torch", "jsonschema"}]:
    del sys.modules[name]
from OsteoScreenTrainingLib.control import drawing, jobs, presets, runs, summary
import json
print(json.dumps([jobs.read_job(sys.argv[2]).state, runs.read_run(sys.argv[2]).task,
    summary.summarise(sys.argv[2]).included, drawing.Walk(sys.argv[2]).state["left"]]))
"""


def test_the_light_modules_need_what_slicer_brings(tmp_path, paths):
    folder = _write_data(tmp_path / "set")
    said = subprocess.run(
        [sys.executable, "-c", LIGHT, "|".join(paths), str(folder)], capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == ["none", None, 1, 2]
