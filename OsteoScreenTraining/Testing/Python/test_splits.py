"""Splits: by subject only, as large as they should be, the same again, and without leaks."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest

from OsteoScreenLib.cli import main
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenTrainingLib.datasets.folder import DataSet, bone_status
from OsteoScreenTrainingLib.datasets.manifest import write_manifest
from OsteoScreenTrainingLib.datasets.splits import (
    PARTS,
    Split,
    leaks,
    load_split,
    make_split,
    random_split,
    save_split,
    sizes,
    temporal_split,
)


@pytest.fixture
def own_set(subject_set, tmp_path):
    return shutil.copytree(subject_set, tmp_path / "own")


def _classes(subjects, names):
    of = {subject.subject: bone_status(subject) for subject in subjects}
    return [sum(of[name] == place for name in names) for place in range(3)]


# -- how the subjects are parted


@pytest.mark.parametrize("method", ["temporal", "random"])
def test_every_subject_is_in_one_part(subjects_of, method):
    subjects = subjects_of()
    split = make_split(method, subjects, 1)
    assert list(split.parts) == list(PARTS)
    names = [name for part in PARTS for name in split.parts[part]]
    assert Counter(names) == {subject.subject: 1 for subject in subjects}
    assert {name: part for part in PARTS for name in split.parts[part]} == split.part_of()


def test_at_random_each_class_is_parted_5_to_1_to_4(subjects_of):
    subjects = subjects_of((100, 50, 20))
    split = random_split(subjects, 3)
    assert [_classes(subjects, split.parts[part]) for part in PARTS] == [[50, 25, 10], [10, 5, 2], [40, 20, 8]]


def test_in_time_the_latest_test_and_the_rest_is_parted_as_in_the_study(subjects_of):
    drawn, order = subjects_of((700, 248, 100)), np.random.default_rng(0).permutation(1048)
    dates = [subject.study_date for subject in drawn]
    subjects = [dataclasses.replace(drawn[place], study_date=date) for place, date in zip(order, dates, strict=True)]
    split = temporal_split(sorted(subjects, key=lambda subject: subject.subject), 1)
    assert split.parts["test"] == [subject.subject for subject in subjects[-418:]]
    training, validation = (_classes(subjects, split.parts[part]) for part in ("training", "validation"))
    early = _classes(subjects, [subject.subject for subject in subjects[:-418]])
    assert [a + b for a, b in zip(training, validation, strict=True)] == early
    assert training == [round(count * 530 / 630) for count in early]
    assert sum(validation) == pytest.approx(100, abs=1)


def test_on_one_day_the_name_decides(subjects_of):
    subjects = subjects_of((14, 10, 8), study_date=datetime.date(2021, 3, 1))
    split = temporal_split(subjects[::-1], 1)
    assert split.parts["test"] == [subject.subject for subject in subjects[-13:]]


@pytest.mark.parametrize("method", ["temporal", "random"])
def test_the_same_seed_gives_the_same_split_and_another_gives_another(subjects_of, method):
    subjects = subjects_of()
    assert make_split(method, subjects, 5) == make_split(method, subjects, 5)
    assert make_split(method, subjects, 5).parts != make_split(method, subjects, 6).parts


def test_without_dates_there_is_no_split_in_time(subjects_of):
    subjects = subjects_of()
    subjects[3] = dataclasses.replace(subjects[3], study_date=None)
    with pytest.raises(InputError, match=r"1 subjects have no study_date .*P004.*use the random split"):
        temporal_split(subjects, 1)


@pytest.mark.parametrize(("method", "advice"), [("random", ""), ("temporal", ", or take the random split")])
def test_a_part_without_a_class_is_refused(subjects_of, method, advice):
    sentence = (
        f"The validation part would have no subject with osteoporosis; add subjects{advice} (there are 40 with normal, "
        "20 with osteopenia, 2 with osteoporosis, and a random split takes 5 of each)."
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        make_split(method, subjects_of((40, 20, 2)), 1)


@pytest.mark.parametrize("rare", range(2, 12))
def test_a_random_split_takes_five_of_each_class_and_no_fewer(subjects_of, rare):
    subjects = subjects_of((20, 20, rare))
    if rare < 5:
        with pytest.raises(UsageError, match=r"takes 5 of each"):
            make_split("random", subjects, 1)
        return
    parts = make_split("random", subjects, 1).part_of()
    of_rare = [parts[subject.subject] for subject in subjects if subject.bmd == 40]
    assert of_rare.count("validation") == 1 and set(of_rare) == set(PARTS)


def test_a_test_part_without_a_class_is_refused(subjects_of):
    early = subjects_of((10, 10, 10))
    late = [
        dataclasses.replace(subject, subject=f"L{number}", study_date=datetime.date(2022, 1, 1))
        for number, subject in enumerate(subjects_of((20, 0, 0)))
    ]
    with pytest.raises(UsageError, match="The test part would have no subject with osteopenia or osteoporosis"):
        temporal_split([*early, *late], 1)


def test_other_methods_are_not_known(subjects_of):
    with pytest.raises(UsageError, match="Unknown split 'by image'; there are temporal and random"):
        make_split("by image", subjects_of(), 1)


# -- saved with the data set


def test_a_saved_split_is_loaded(own_set):
    data = DataSet(own_set)
    split = temporal_split(data.subjects, 2)
    path = save_split(data, "mine", split)
    assert path == own_set / "splits" / "mine.json"
    assert load_split(DataSet(own_set), "mine") == split
    assert save_split(data, "mine", split) == path
    assert sizes(split, data)["test"] == dict(
        zip(("normal", "osteopenia", "osteoporosis"), _classes(data.subjects, split.parts["test"]), strict=True)
    )


def test_another_split_does_not_take_its_name(own_set):
    data = DataSet(own_set)
    with pytest.raises(UsageError, match=r"random.json holds another split; choose another name"):
        save_split(data, "random", random_split(data.subjects, 2))
    assert load_split(data, "random") == random_split(data.subjects, 1)


@pytest.mark.parametrize("name", ["../outside", "a/b", "a\\b", ".hidden", "", "x" * 65])
def test_a_name_is_no_path(own_set, name):
    data = DataSet(own_set)
    for use in (lambda: save_split(data, name, random_split(data.subjects, 1)), lambda: load_split(data, name)):
        with pytest.raises(UsageError, match="A split cannot be called"):
            use()
    assert [path.name for path in (own_set / "splits").iterdir()] == ["random.json"]


def test_a_split_that_is_not_there_is_told(own_set):
    with pytest.raises(InputError, match=r"no split 'temporal' in .*make it with 'osteoscreen dataset split'"):
        load_split(DataSet(own_set), "temporal")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["parts"]["test"].append("P999"), "names P999, who is not in the data set"),
        (lambda d: d["parts"]["test"].append(d["parts"]["training"][0]), "more than once; make the split again"),
        (lambda d: d["parts"].pop("validation"), "is no split: 'validation'"),
        (lambda d: d.update(parts=3), "is no split"),
    ],
)
def test_a_damaged_split_is_told(own_set, change, says):
    path = own_set / "splits" / "random.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=says):
        load_split(DataSet(own_set), "random")
    path.write_text("{")
    with pytest.raises(InputError, match="is no split"):
        load_split(DataSet(own_set), "random")


# -- leaks


def test_a_clean_split_has_no_leaks(own_set, cohort):
    data = DataSet(own_set)
    assert leaks(data, load_split(data, "random")) == []
    simulated = DataSet(cohort)
    names = [s.subject for s in simulated.subjects if simulated.has_slice(s.subject, "L1")]
    parts = {"training": names[:6], "validation": names[6:8], "test": names[8:]}
    assert leaks(simulated, Split("random", 1, parts)) == []


def test_a_subject_in_two_parts_is_a_leak(own_set):
    data = DataSet(own_set)
    split = load_split(data, "random")
    name = split.parts["training"][0]
    split.parts["test"].append(name)
    assert leaks(data, split) == [f"{name} is in more than one part"]


def test_one_series_under_two_names_is_a_leak(own_set):
    split = load_split(DataSet(own_set), "random")
    one, two, same = split.parts["training"][0], split.parts["test"][0], split.parts["training"][1]
    uid = {one: "1.2.3", two: "1.2.3", same: "1.2.3", split.parts["test"][1]: "1.2.4"}
    subjects = [dataclasses.replace(s, series_uid=uid.get(s.subject)) for s in DataSet(own_set).subjects]
    write_manifest(subjects, own_set / "subjects.csv")
    assert leaks(DataSet(own_set), split) == [f"{one} (training) and {two} (test) have the same series"]


def test_the_same_pixels_under_two_names_are_a_leak(own_set):
    data = DataSet(own_set)
    split = load_split(data, "random")
    one, two = split.parts["training"][0], split.parts["validation"][0]
    images = np.load(own_set / "slices" / "images.npy")
    images[data.slice_index(two, "L2")] = images[data.slice_index(one, "L1")]
    np.save(own_set / "slices" / "images.npy", images)
    found = leaks(DataSet(own_set), split)
    assert found == [f"{one} L1 (training) and {two} L2 (validation) have a slice with the same pixels"]
    images[data.slice_index(two, "L2")][5, 5] += 1
    np.save(own_set / "slices" / "images.npy", images)
    assert leaks(DataSet(own_set), split) == []


# -- the command line


def test_the_command_splits_and_says_how(own_set, capsys):
    data = DataSet(own_set)
    subjects = [*data.subjects[:-1], dataclasses.replace(data.subjects[-1], kvp=100.0)]
    write_manifest(subjects, own_set / "subjects.csv")
    assert main(["dataset", "split", str(own_set), "--name", "later", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    split = load_split(DataSet(own_set), "later")
    assert (split.method, split.seed) == ("temporal", 4)
    assert data.subjects[-1].subject not in split.part_of()
    assert "32 subjects, 31 included\n  excluded: tube voltage not 120 kVp: 1\n" in said
    for part in PARTS:
        counts = _classes(subjects, split.parts[part])
        assert f"{part}: {sum(counts)} (normal {counts[0]}, osteopenia {counts[1]}, osteoporosis {counts[2]})" in said
    assert main(["dataset", "split", str(own_set), "--name", "later", "--seed", "5"]) == 2
    assert "holds another split" in capsys.readouterr().err


def test_the_command_does_not_save_a_split_that_leaks(own_set, capsys):
    data = DataSet(own_set)
    subjects = [dataclasses.replace(subject, series_uid="1.2.3") for subject in data.subjects]
    write_manifest(subjects, own_set / "subjects.csv")
    assert main(["dataset", "split", str(own_set)]) == 4
    said = capsys.readouterr().err
    assert "not saved, since it leaks: P002 (training) and P001 (validation) have the same series; " in said
    assert "more. Keep one study of each person" in said
    assert not (own_set / "splits" / "temporal.json").exists()
