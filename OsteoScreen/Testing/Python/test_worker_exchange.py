"""What the worker and its caller exchange: arrays as files, the CT, levels and outlines."""

from __future__ import annotations

import json

import numpy as np
import pytest
from phantom_ct import make_phantom
from worker_study import make_study

from OsteoScreenLib.ct import ct_from_array
from OsteoScreenLib.errors import InputError, OsteoScreenError, UsageError
from OsteoScreenLib.levels import level_at
from OsteoScreenLib.outlines import LevelOutline
from OsteoScreenLib.worker import exchange


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("studies") / "a study – ünïcode")


def test_arrays_are_written_whole_under_new_names(tmp_path):
    array = np.arange(6, dtype=np.int16).reshape(1, 2, 3)
    first, second = exchange.write_array(array, tmp_path, "ct"), exchange.write_array(array, tmp_path, "ct")
    assert first != second
    assert sorted(tmp_path.iterdir()) == sorted([first, second])
    mapped = exchange.read_array(first, mapped=True)
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, array)
    with pytest.raises(OsteoScreenError, match="cannot be written"):
        exchange.write_array(array, tmp_path / "missing", "ct")
    with pytest.raises(ValueError):
        exchange.write_array(np.array([object()]), tmp_path, "objects")
    assert len(list(tmp_path.iterdir())) == 2


def test_arrays_that_cannot_be_read_are_input_errors(tmp_path):
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    whole = exchange.write_array(np.zeros((4, 5)), tmp_path, "whole")
    (tmp_path / "cut.npy").write_bytes(whole.read_bytes()[:-7])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    names = ["pickled.npy", "several.npz", "cut.npy", "text.npy", "empty.npy", "missing.npy", "."]
    for name in names:
        for mapped in (False, True):
            with pytest.raises(InputError):
                exchange.read_array(tmp_path / name, mapped=mapped)


def test_a_ct_is_described_and_read(study):
    ct = exchange.open_described_ct(json.loads(json.dumps(study.described)))
    assert ct.describe() == study.ct.describe()
    assert ct.findings == study.ct.findings
    np.testing.assert_array_equal(ct.slice(3), study.ct.slice(3))
    bare = exchange.open_described_ct({key: study.described[key] for key in ("array", "ijk_to_ras")})
    assert (bare.kind, bare.findings, bare.acquisition.kvp) == ("memory", (), None)


def test_levels_are_read_and_outlines_written_and_read(tmp_path):
    phantom = make_phantom()
    ct = ct_from_array(phantom.hu, phantom.ijk_to_ras)
    described = {"L1": {"slice_index": 18, "set_by": "suggested", "confirmed": False}}
    assert exchange.read_levels(described, ct) == {"L1": level_at(ct, 18, "L1", "suggested", confirmed=False)}
    outline = LevelOutline(18, phantom.trabecular[18] > 0, None, 1.0)
    read = exchange.read_outlines(json.loads(json.dumps(exchange.write_outlines({"L1": outline}, tmp_path))))["L1"]
    assert (read.slice_index, read.probability, read.confidence) == (18, None, 1.0)
    np.testing.assert_array_equal(read.mask, outline.mask)
    for nonsense in ({"L1": {}}, {"L1": {"slice_index": 1}}, {"L1": 3}, [1]):
        with pytest.raises(UsageError):
            exchange.read_outlines(nonsense)


def test_checks_with_numpys_numbers_are_json():
    value = {"a": np.float32(1.5), "b": (np.int64(2), np.bool_(True)), "c": np.arange(2)}
    assert json.loads(json.dumps(exchange.plain(value))) == {"a": 1.5, "b": [2, True], "c": [0, 1]}
