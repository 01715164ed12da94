"""A batch from its list to its results: every state a study can end in, and nothing done twice."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from batch_archive import PATIENCE_S, complaints, events, once_a_session, results, rows, waited, written_at
from phantom_ct import CENTRES

from OsteoScreenLib.batch.audit import AUDIT
from OsteoScreenLib.batch.store import Store, study_folder
from OsteoScreenLib.batch.study import State
from OsteoScreenLib.cli import main
from OsteoScreenLib.reports.kinds import REPORT, RESULT, SEGMENTATION


@dataclass(frozen=True)
class Mixed:
    """Where the batch lies, the exit status, stdout and stderr of both runs, and the log after the first."""

    out: Path
    first: tuple[int, str, str]
    second: tuple[int, str, str]
    log: str


@pytest.fixture(scope="session")
def mixed(archive, tmp_path_factory) -> Mixed:
    """A batch whose second study is corrupt, whose third is not there and whose last two have no levels; then the
    same command once more."""

    def make(folder: Path) -> None:
        broken = folder / "broken"
        broken.mkdir()
        for path in archive.scan("case-001").iterdir():
            whole = path.read_bytes()
            (broken / path.name).write_bytes(whole[: len(whole) // 3])
        places = {"case-001": str(broken), "case-002": "scans/nowhere"}
        levels = {
            level.lower(): lambda s, k=CENTRES[level]: "" if s in archive.ids[4:] else f"#{k}" for level in ("L1", "L2")
        }
        listed = archive.manifest("mixed.csv", ct=lambda s: places.get(s, f"scans/{s}"), **levels)
        told = []
        for _ in range(2):
            done = archive.run(folder / "out", "--workers=1", manifest=listed)
            log = (folder / "out" / AUDIT).read_text()
            told.append([(done.returncode, done.stdout, done.stderr), log])
        (folder / "told.json").write_text(json.dumps(told))

    folder = once_a_session(tmp_path_factory, "mixed", make)
    (first, log), (second, _) = json.loads((folder / "told.json").read_text())
    return Mixed(folder / "out", tuple(first), tuple(second), log)


def test_each_study_ends_in_the_state_that_is_its_own(mixed, undisturbed):
    code, said, complained = mixed.first
    assert (code, complained) == (0, "")
    assert "screened 2, failed 2, needs levels 2" in said
    found = rows(mixed.out)
    assert {study_id: (row.state, row.kind) for study_id, row in found.items()} == {
        "case-000": (State.SCREENED, ""),
        "case-001": (State.FAILED, "unreadable"),
        "case-002": (State.FAILED, "missing"),
        "case-003": (State.SCREENED, ""),
        "case-004": (State.NEEDS_LEVELS, "no levels"),
        "case-005": (State.NEEDS_LEVELS, "no levels"),
    }
    whole = results(mixed.out)
    assert {study_id: whole[study_id] for study_id in ("case-000", "case-003")} == {
        study_id: undisturbed[study_id] for study_id in ("case-000", "case-003")
    }


def test_the_same_command_screens_nothing_twice(mixed):
    assert mixed.second[:2] == (0, mixed.first[1])
    later = (mixed.out / AUDIT).read_text()[len(mixed.log) :].splitlines()
    assert [json.loads(line)["event"] for line in later] == ["driver begun", "driver ended"]


def test_the_log_names_no_patient_and_no_place(mixed, archive):
    log = (mixed.out / AUDIT).read_text()
    for told in ("Secret", "SECRET", str(archive.folder), "scans", "broken", "nowhere"):
        assert told not in log
    ends = {line["study"]: line["state"] for line in events(mixed.out) if line["event"] == "study ended"}
    assert ends == {study_id: row.state.value for study_id, row in rows(mixed.out).items() if study_id < "case-004"}


def test_a_study_is_what_screen_makes_of_it(archive, undisturbed, tmp_path, capsys):
    words = [f"--{level.lower()}=#{CENTRES[level]}" for level in ("L1", "L2")]
    bundles = [f"--{role}-model={archive.folder / role}" for role in ("segmentation", "classification")]
    alone = tmp_path / "alone"
    assert main(["screen", str(archive.scan("case-003")), "-o", str(alone), *words, *bundles, "--force"]) == 0
    capsys.readouterr()
    mine = json.loads((alone / RESULT).read_text())
    del mine["timing_s"], mine["input"]["path"]
    state, _, measures, _, files, document, _ = undisturbed["case-003"]
    assert (state, document) == ("screened", mine)
    assert measures["l1_mean_hu"] == pytest.approx(mine["roi"]["L1"]["mean_hu"], abs=1e-3)
    assert files == ["batch.json", REPORT, RESULT, SEGMENTATION]


def test_the_driver_takes_over_what_lies_in_the_folders_where_its_store_is_gone(
    archive, undisturbed, undisturbed_out, tmp_path
):
    """A driver that died before it recorded a study, taken to the extreme; one folder is damaged."""
    out = shutil.copytree(undisturbed_out, tmp_path / "out")
    with Store.read(out) as store:
        (only,) = store.sets()
    (study_folder(out, only.id, "case-000") / RESULT).write_text("{")
    before = written_at(out)
    for path in out.glob("batch.sqlite*"):
        path.unlink()
    assert archive.run(out, "--workers=1").returncode == 0
    assert results(out) == undisturbed
    changed = [study_id for study_id, time in written_at(out).items() if before[study_id] != time]
    assert changed == ["case-000"]
    over = {line["study"]: line["taken_over"] for line in events(out) if line.get("state") == "screened"}
    assert over == {study_id: study_id != "case-000" for study_id in archive.ids}


JUMPING = """
if not hasattr(sys, "_true_time"):
    import time
    sys._true_time = time.time
    def jumping():
        ahead, behind = (os.path.exists(os.path.join(os.environ["CLOCK"], name)) for name in ("ahead", "behind"))
        return sys._true_time() + 86400.0 * ahead - 3 * 86400.0 * behind
    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)
"""


def test_a_clock_that_jumps_in_every_process_changes_nothing(archive, undisturbed, tmp_path, monkeypatch):
    """While three studies are in hand: Dask itself may stop for ever where its clock goes back in the 2 ms after a
    message."""
    out, clock, three = tmp_path / "out", tmp_path / "clock", archive.ids[:3]
    clock.mkdir()
    monkeypatch.setenv("CLOCK", str(clock))
    held = archive.holding(tmp_path / "held", *three, fault=JUMPING)
    with held.started(out, "--workers=1", "--timeout=200") as driver:
        waited(lambda: held.waits(*three) or driver.poll() is not None)
        (clock / "ahead").touch()
        time.sleep(0.5)
        (clock / "ahead").rename(clock / "behind")
        time.sleep(0.5)
        held.let_go(*three)
        _, complained = driver.communicate(timeout=PATIENCE_S)
    assert (driver.returncode, complaints(complained)) == (0, "")
    assert results(out) == undisturbed
    log = events(out)
    assert [line["up"] for line in log] == sorted(line["up"] for line in log)
    assert all(0 < row.seconds < 200 and row.tries == 1 for row in rows(out).values())
