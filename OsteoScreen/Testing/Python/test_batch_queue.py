"""The queue of levels: who is in it and in which order, and the list that comes back as a manifest."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys

import pytest
from batch_archive import ENGINE, PATIENCE_S
from batch_pages import checked, filled_store
from batch_rows import SET, rows

from OsteoScreenLib.batch.filled import READER, FilledList, TakenByAnother
from OsteoScreenLib.batch.manifest import read_manifest
from OsteoScreenLib.batch.overview import QUEUE, QUEUE_LIST, write_overview
from OsteoScreenLib.batch.queue import MOST_SHOWN, open_cases, write_queue_list, write_queue_page
from OsteoScreenLib.batch.study import State
from OsteoScreenLib.batch.summary import is_unconfirmed


def test_who_needs_levels_comes_before_who_is_uncertain():
    some = list(rows(300))
    cases = open_cases(some, SET)
    expected = {row.study.id for row in some if row.state is State.NEEDS_LEVELS}
    expected |= {row.study.id for row in some if row.state is State.SCREENED and is_unconfirmed(row)}
    assert {case.study.id for case in cases} == expected
    probabilities = [case.probability for case in cases]
    first = probabilities.index(next(p for p in probabilities if p is not None))
    assert set(probabilities[:first]) == {None} and None not in probabilities[first:]
    assert probabilities[first:] == sorted(probabilities[first:])


def test_discarded_and_confirmed_results_are_not_in_it():
    some = [row for row in rows(300) if row.state is State.SCREENED and is_unconfirmed(row)]
    discarded = [dataclasses.replace(row, measures={**row.measures, "status": "discarded"}) for row in some]
    assert open_cases(discarded, SET) == [] and len(open_cases(some, SET)) == len(some)


def test_the_page_says_what_was_suggested_and_links_reports(tmp_path):
    store, (about,) = filled_store(tmp_path, one=0.0)
    with store:
        write_overview(store, about.id)
        cases = open_cases(store.rows(about.id), about.id)
    text, links = checked(tmp_path / about.id / QUEUE)
    suggested = [case for case in cases if case.link]
    assert suggested and all(case.link in links for case in suggested)
    assert "#120 (S −812.5 mm)" in text and "needs levels" in text and QUEUE_LIST in links


def test_the_list_comes_back_as_a_manifest_with_the_same_studies(tmp_path):
    cases = open_cases(rows(200), SET)
    told = []
    back = list(read_manifest(write_queue_list(cases, tmp_path / "list.csv"), told.append))
    assert back == [case.study for case in cases] and told == []


def test_only_rows_that_a_reader_filled_in_are_screened_anew(tmp_path):
    store, (about,) = filled_store(tmp_path / "out", one=0.0)
    with store:
        write_overview(store, about.id)
        path = tmp_path / "out" / about.id / QUEUE_LIST
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.DictReader(stream))
        lines[0]["l1"], lines[-1]["l1"], lines[-1]["l2"] = "-800.5", "#120", "#100"
        assert lines[0]["note_state"] == "needs levels" and lines[-1]["note_state"] == "suggested"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, lines[0])
            writer.writeheader()
            writer.writerows(lines)
        before = store.counts(about.id)
        added = store.add(about.id, read_manifest(path), suggest=True)
        assert (added.changed, added.new, added.known) == (2, 0, len(lines) - 2)
        assert {study.id for study in store.waiting(about.id)} == {lines[0]["id"], lines[-1]["id"]}
        after = store.counts(about.id)
    assert after[State.REFUSED] == before[State.REFUSED] and after[State.SCREENED] == before[State.SCREENED] - 1


def test_without_open_levels_an_earlier_queue_goes(tmp_path):
    store, (about,) = filled_store(tmp_path, one=0.0)
    with store:
        write_overview(store, about.id)
        assert (tmp_path / about.id / QUEUE).exists()
        for row in rows(120):
            if row.state is State.NEEDS_LEVELS or (row.state is State.SCREENED and is_unconfirmed(row)):
                confirmed = {**row.measures, "l1_confirmed": "yes", "l2_confirmed": "yes"}
                store.finish(about.id, dataclasses.replace(row, state=State.SCREENED, measures=confirmed))
        written = write_overview(store, about.id)
    assert not {QUEUE, QUEUE_LIST} & {path.name for path in written}
    assert not (tmp_path / about.id / QUEUE).exists() and not (tmp_path / about.id / QUEUE_LIST).exists()


def test_a_long_queue_is_cut_on_the_page_alone(tmp_path):
    _, (about,) = filled_store(tmp_path / "out", count=1, one=0.0)
    cases = open_cases(rows(1500), about.id)
    assert len(cases) > MOST_SHOWN
    text, _ = checked(write_queue_page(cases, about, tmp_path / "queue.html"))
    assert f"The first {MOST_SHOWN} of {len(cases)}" in text
    assert len(list(read_manifest(write_queue_list(cases, tmp_path / "list.csv")))) == len(cases)


READER_AT_WORK = """
import random, sys, time
from OsteoScreenLib.batch.filled import READER, FilledList
path, reader, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("there", flush=True)
sys.stdin.readline()
for n in range(count):
    FilledList(path).put({"id": f"{reader}-{n}", "ct": f"{n}.nrrd", "l1": f"#{n + 1}", READER: reader}, None)
    while {row[READER] for row in FilledList(path).rows().values()} == {reader}:
        time.sleep(0.001)  # neither is done before the other begins
    time.sleep(random.uniform(0.0, 0.02))  # else the one that has the lock has it again at once
"""


def test_two_readers_who_write_at_the_same_moment_lose_no_row(tmp_path):
    path, count = tmp_path / "filled.csv", 25
    environment = {**os.environ, "PYTHONPATH": str(ENGINE)}
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER_AT_WORK, str(path), name, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in ("first", "second")
    ]
    for reader in readers:
        assert reader.stdout.readline() == "there\n"
    for reader in readers:
        reader.stdin.write("go\n")
        reader.stdin.flush()
    for reader in readers:
        reader.communicate(timeout=PATIENCE_S)
        assert reader.returncode == 0
    order = [row[READER] for row in FilledList(path).rows().values()]
    assert order != sorted(order) and order != sorted(order, reverse=True), "one was done before the other began"
    assert sorted(study.id for study in read_manifest(path)) == sorted(
        f"{name}-{n}" for name in ("first", "second") for n in range(count)
    )


def test_what_another_reader_took_down_stays_unless_it_was_looked_at(tmp_path):
    filled = FilledList(tmp_path / "filled.csv")
    row = {"id": "case-1", "ct": "scan.nrrd", "l1": "-812.5", "l2": ""}
    filled.put({**row, READER: "first"}, None)
    filled.put({**row, "id": "case-2", READER: "first"}, None)
    with pytest.raises(TakenByAnother, match=r"^case-1 was taken down by first meanwhile, and that stays; "):
        filled.put({**row, "l1": "#7", READER: "second"}, None)
    assert filled.rows()["case-1"]["l1"] == "-812.5"
    filled.put({**row, "l1": "#7", READER: "second"}, filled.rows()["case-1"])
    assert list(filled.rows()) == ["case-2", "case-1"]  # the last one set comes last
    assert filled.rows()["case-1"] == {"id": "case-1", "ct": "scan.nrrd", "l1": "#7", READER: "second"}
    filled.put({**row, "l1": "#8", READER: "second"}, None)  # one's own may be changed at any time
    assert [study.l1 for study in read_manifest(filled.path)] == ["-812.5", "#8"]
