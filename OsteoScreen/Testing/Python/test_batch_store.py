"""The store of a batch: states that survive, sets beside each other, and one row for each study."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace

import pytest

from OsteoScreenLib.batch.store import Added, Store, study_folder
from OsteoScreenLib.batch.store_file import STORE, StoreError
from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow
from OsteoScreenLib.errors import InputError

STUDIES = [BatchStudy(f"case-{n}", f"/archive/{n}", l1="#18", age_years=60.0 + n) for n in range(5)]
IDS = [study.id for study in STUDIES]
BUNDLES = [{"role": "segmentation", "name": "tiny", "version": "1", "sha256": "ab"}]


def begin(store: Store, **settings) -> str:
    return store.begin_set(settings, {"osteoscreen": "1"}, BUNDLES)


def states(store: Store, set_id: str) -> dict[str, str]:
    return {row.study.id: row.state.value for row in store.rows(set_id)}


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "out") as opened:
        yield opened


def test_a_study_goes_from_waiting_to_screened_and_stays_so_in_a_new_process(store, tmp_path):
    set_id = begin(store)
    assert store.add(set_id, iter(STUDIES)) == Added(new=5)
    assert [study.id for study in store.waiting(set_id)] == IDS
    store.mark_running(set_id, IDS[:2])
    row = StudyRow(STUDIES[0], State.SCREENED, seconds=1.5, measures={"mean_hu": 120.25, "sex": None}, doubt=0.25)
    store.finish(set_id, row)
    store.close()
    with Store.open(tmp_path / "out") as again:
        assert states(again, set_id)[IDS[1]] == "running"
        assert begin(again) == set_id
        assert again.row(set_id, IDS[0]) == replace(row, tries=1)
        assert [study.id for study in again.waiting(set_id)] == IDS[1:]
        assert again.row(set_id, IDS[1]).tries == 1
        assert again.add(set_id, STUDIES) == Added(known=5)
        assert again.counts(set_id)[State.WAITING] == 4
        assert list(again.rows(set_id, State.SCREENED, State.REFUSED)) == [replace(row, tries=1)]


def test_other_settings_versions_or_bundles_begin_another_set(store):
    first = begin(store, device="cpu")
    assert begin(store, device="cuda") != first
    assert store.begin_set({"device": "cpu"}, {"osteoscreen": "2"}, BUNDLES) != first
    assert store.begin_set({"device": "cpu"}, {"osteoscreen": "1"}, [{**BUNDLES[0], "sha256": "cd"}]) != first
    assert begin(store, device="cpu") == first
    assert next((s.id, s.settings, s.bundles) for s in store.sets()) == (first, {"device": "cpu"}, BUNDLES)
    assert len(store.sets()) == 4


def test_each_set_has_states_of_its_own(store):
    one, two = begin(store, device="cpu"), begin(store, device="cuda")
    store.add(one, STUDIES)
    store.add(two, STUDIES)
    store.finish(one, StudyRow(STUDIES[0], State.FAILED, kind="unreadable", reason="It is no CT."))
    assert states(store, one)[IDS[0]] == "failed"
    assert states(store, two)[IDS[0]] == "waiting"


def test_a_study_that_is_described_otherwise_waits_again_in_every_set_that_goes_on(store):
    one, two = begin(store, device="cpu"), begin(store, device="cuda")
    for set_id in (one, two):
        store.add(set_id, STUDIES)
        for study in STUDIES:
            store.finish(set_id, StudyRow(study, State.SCREENED))
    moved = [replace(STUDIES[0], l1="#19"), *STUDIES[1:]]
    for set_id in (one, two):
        assert store.add(set_id, moved) == Added(changed=1, known=4)
        assert list(store.waiting(set_id)) == moved[:1]


def test_without_levels_a_study_is_set_aside_until_it_has_some(store):
    bare = [replace(study, l1=None) for study in STUDIES]
    set_id = begin(store)
    store.add(set_id, bare)
    assert store.counts(set_id)[State.NEEDS_LEVELS] == 5
    assert list(store.waiting(set_id)) == []
    assert store.add(set_id, [STUDIES[0], *bare[1:]]) == Added(changed=1, known=4)
    assert list(store.waiting(set_id)) == STUDIES[:1]
    suggesting = begin(store, suggest=True)
    store.add(suggesting, bare, suggest=True)
    assert store.counts(suggesting)[State.WAITING] == 5


def test_what_is_listed_no_more_is_dropped_unless_it_is_finished(store):
    set_id = begin(store)
    store.add(set_id, STUDIES)
    store.finish(set_id, StudyRow(STUDIES[0], State.SCREENED))
    assert store.add(set_id, STUDIES[3:]) == Added(known=2, dropped=2)
    assert sorted(states(store, set_id)) == [IDS[0], *IDS[3:]]


def test_two_studies_of_one_id_change_nothing(store):
    set_id = begin(store)
    with pytest.raises(InputError, match="Two studies have the id 'case-1'"):
        store.add(set_id, [*STUDIES[:3], STUDIES[1]])
    assert states(store, set_id) == {}


def test_a_study_that_is_to_be_tried_alone_comes_after_the_others(store):
    set_id = begin(store)
    store.add(set_id, STUDIES)
    store.mark_running(set_id, IDS[:2])
    store.wait_alone(set_id, IDS[0], "killed", "It ended its process.")
    store.wait_again(set_id, IDS[1:2])
    assert [study.id for study in store.waiting(set_id)] == IDS[1:]
    assert [study.id for study in store.waiting(set_id, alone=True)] == IDS[:1]
    assert store.row(set_id, IDS[0]).kind == "killed"


def test_states_can_change_while_the_waiting_are_walked_through(store):
    many = [BatchStudy(f"s{n}", "/ct", l1="#1") for n in range(2500)]
    set_id = begin(store)
    store.add(set_id, many)
    seen = []
    for study in store.waiting(set_id):
        seen.append(study.id)
        if len(seen) % 500 == 0:
            store.mark_running(set_id, seen[-500:])
    assert seen == [study.id for study in many]


def test_final_states_can_be_asked_for_again(store):
    set_id = begin(store)
    store.add(set_id, STUDIES)
    store.finish(set_id, StudyRow(STUDIES[0], State.FAILED, kind="timeout", reason="It took too long."))
    store.finish(set_id, StudyRow(STUDIES[1], State.SCREENED, measures={"a": 1}))
    assert store.again(set_id, [State.FAILED, State.REFUSED]) == 1
    assert store.row(set_id, IDS[0]) == StudyRow(STUDIES[0], State.WAITING)
    assert store.row(set_id, IDS[1]).state is State.SCREENED


def test_a_reader_sees_what_the_driver_writes_and_changes_nothing(store, tmp_path):
    set_id = begin(store)
    store.add(set_id, STUDIES)
    with Store.read(tmp_path / "out") as reader:
        store.finish(set_id, StudyRow(STUDIES[0], State.SCREENED))
        assert reader.counts(set_id)[State.SCREENED] == 1
        with pytest.raises(StoreError, match="cannot be written"):
            reader.wait_again(set_id, IDS)


def test_no_store_a_foreign_one_and_a_damaged_one_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="There is no batch in"):
        Store.read(tmp_path)
    (tmp_path / STORE).write_bytes(b"something else altogether, longer than a header" * 100)
    with pytest.raises(StoreError, match=r"is damaged; move it away"):
        Store.open(tmp_path)
    (tmp_path / STORE).unlink()
    with sqlite3.connect(tmp_path / STORE) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="written by another version"):
        Store.open(tmp_path)


def test_nothing_is_written_to_a_store_whose_folder_went_away(store, tmp_path):
    set_id = begin(store)
    store.add(set_id, STUDIES)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is not there any more"):
        store.mark_running(set_id, IDS)
    (tmp_path / "elsewhere").rename(tmp_path / "out")
    store.mark_running(set_id, IDS)
    store.close()
    shutil.rmtree(tmp_path / "out")


def test_folders_of_studies_are_spread(tmp_path):
    folders = {study_folder(tmp_path, "set-1", f"case-{n}") for n in range(2000)}
    assert len(folders) == 2000
    assert {len(folder.relative_to(tmp_path).parts) for folder in folders} == {3}
    assert len({folder.parent for folder in folders}) == 256
