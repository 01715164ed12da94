"""Slice data sets: read as written, split by subject, and refused when they do not agree with themselves."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from OsteoScreenLib.errors import InputError
from OsteoScreenTrainingLib.datasets.slices import SliceDataset


@pytest.fixture
def own_set(slice_set, tmp_path):
    return shutil.copytree(slice_set, tmp_path / "own")


def test_slices_are_read_from_several_folders(slice_set, make_slice_set, tmp_path):
    other = make_slice_set(tmp_path / "other", count=5, seed=3)
    dataset = SliceDataset([slice_set, other])
    assert len(dataset) == 17
    images, masks = dataset.read([13, 0])
    assert np.array_equal(images, [np.load(other / "images.npy")[1], np.load(slice_set / "images.npy")[0]])
    assert np.array_equal(masks, [np.load(other / "masks.npy")[1], np.load(slice_set / "masks.npy")[0]])
    assert dataset.records[4].body is None
    assert dataset.records[0].body is not None


def test_a_subject_is_on_one_side_of_the_split_and_stays_there(make_slice_set, tmp_path):
    small = SliceDataset([make_slice_set(tmp_path / "a", count=20, side=32)])
    both = SliceDataset([tmp_path / "a", make_slice_set(tmp_path / "b", count=20, side=32)])
    train, held_out = both.split(0.4, seed=7)
    assert sorted(train + held_out) == list(range(40))
    assert 4 < len(held_out) < 30
    # The second set repeats the subjects of the first.
    assert {i % 20 for i in train}.isdisjoint({i % 20 for i in held_out})
    assert small.split(0.4, seed=7)[1] == [i for i in held_out if i < 20]


def _truncate(folder):
    os.truncate(folder / "images.npy", 5000)


def _drop_rows(folder):
    lines = (folder / "slices.csv").read_text().splitlines()
    (folder / "slices.csv").write_text("\n".join(lines[:-2]))


def _other_schema(folder):
    (folder / "dataset.json").write_text(json.dumps({"schema": "other/9"}))


def _wrong_type(folder):
    np.save(folder / "masks.npy", np.zeros((12, 96, 96), np.float32))


def _no_spacing(folder):
    text = (folder / "slices.csv").read_text().replace("pixel_spacing_mm", "spacing")
    (folder / "slices.csv").write_text(text)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_truncate, "cut short"),
        (_drop_rows, "10 rows"),
        (_other_schema, "schema 'other/9'"),
        (_wrong_type, "must hold |u1"),
        (_no_spacing, "pixel_spacing_mm"),
        (lambda folder: (folder / "dataset.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "dataset.json").write_text("[]"), "schema None"),
        (lambda folder: (folder / "dataset.json").unlink(), "simulate"),
        (lambda folder: (folder / "images.npy").write_bytes(b"no array"), "as a .npy file"),
        (lambda folder: (folder / "slices.csv").unlink(), "cannot be read"),
    ],
)
def test_damage_is_named(own_set, damage, sentence):
    damage(own_set)
    with pytest.raises(InputError, match=sentence):
        SliceDataset([own_set])


def test_sets_of_different_size_are_refused(slice_set, make_slice_set, tmp_path):
    with pytest.raises(InputError, match="differ in slice size"):
        SliceDataset([slice_set, make_slice_set(tmp_path / "b", side=48)])


def test_damage_while_reading_is_an_error_not_a_crash(own_set):
    dataset = SliceDataset([own_set])
    os.truncate(own_set / "images.npy", 5000)
    with pytest.raises(InputError, match="was cut short"):
        dataset.read([11])
    dataset.check_still_there()
    shutil.rmtree(own_set)
    with pytest.raises(InputError, match="vanished"):
        dataset.check_still_there()
