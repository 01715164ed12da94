"""A small part of the fuzzing of the DICOM reader, always the same; `Testing/fuzz_dicom.py` does the rest."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

import dicom_mutations
import fuzz_dicom

from OsteoScreenLib.errors import InputError

SEED = 8


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the simulated series, in every way of storing pixels."""
    folder = tmp_path_factory.mktemp("corpus")
    fuzz_dicom.write_corpus(folder, real=False)
    return folder


def test_damaged_files_end_in_a_sentence_and_neither_crash_nor_hang(corpus: Path) -> None:
    outcomes = list(fuzz_dicom.run(corpus, SEED, range(100)))
    assert [outcome for outcome in outcomes if outcome.is_finding] == []
    kinds = [outcome.kind for outcome in outcomes]
    assert len(kinds) == 100 and min(kinds.count("read"), kinds.count("InputError")) > 15
    mutations = {name for outcome in outcomes for name in outcome.mutations}
    assert len(mutations) > 20


def test_a_case_is_the_same_the_next_time(corpus: Path, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        fuzz_dicom.make_case(corpus, SEED, 3, tmp_path / name)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second
    intact = {path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    assert set(first.values()) - intact


def test_every_mutation_changes_something(corpus: Path) -> None:
    for mutation in (*dicom_mutations._OF_BYTES, *dicom_mutations._OF_ELEMENTS):
        changed = 0
        for n, path in enumerate(sorted(corpus.rglob("*"))):
            if path.is_file():
                file = dicom_mutations.Damaged(path.read_bytes())
                before = bytes(file.data)
                mutation(file, random.Random(n))
                changed += bytes(file.data) != before
        assert changed, mutation.__name__


def test_a_hang_is_found_and_the_next_cases_go_on(corpus: Path) -> None:
    outcomes = list(fuzz_dicom.run(corpus, SEED, range(2), most_seconds=0.01))
    assert [(outcome.number, outcome.kind) for outcome in outcomes] == [(0, "hang"), (1, "hang")]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a traceback"), "escaped ValueError"),
        (SystemExit(3), "escaped SystemExit"),
        (InputError("It names Secret."), "no sentence"),
        (InputError("two\nlines."), "no sentence"),
        (InputError("It is damaged; copy it again."), "InputError"),
    ],
    ids=str,
)
def test_what_is_no_sentence_is_a_finding(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: str
) -> None:
    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr(fuzz_dicom, "read_case", fail)
    outcome = fuzz_dicom._outcome(corpus, SEED, 1)
    assert outcome.kind == kind and outcome.is_finding == (kind != "InputError")


def test_growing_memory_and_open_files_are_findings() -> None:
    warm = fuzz_dicom.Outcome(200, "read", resident=200 << 20, files_open=6)
    grown = fuzz_dicom.Outcome(2499, "read", resident=400 << 20, files_open=6)
    assert fuzz_dicom._leaked(grown, warm).kind == "leak of memory"
    opened = fuzz_dicom.Outcome(2499, "read", resident=210 << 20, files_open=9)
    assert fuzz_dicom._leaked(opened, warm).kind == "leak of files"
    steady = fuzz_dicom.Outcome(2499, "read", resident=220 << 20, files_open=6)
    assert fuzz_dicom._leaked(steady, warm) is steady


def test_a_segmentation_of_an_unknown_representation_is_one_sentence(tmp_path: Path, corpus: Path) -> None:
    """Found with these mutations on DICOM SEG."""
    from OsteoScreenLib.levels.dicom_seg import read_dicom_seg

    intact = sorted((corpus / "explicit-little-endian").iterdir())[0].read_bytes()
    assert intact.count(b"\x08\x00\x16\x00UI") == 1
    (tmp_path / "seg.dcm").write_bytes(intact.replace(b"\x08\x00\x16\x00UI", b"\x08\x00\x16\x00ZZ"))
    with pytest.raises(InputError, match=r"seg\.dcm is damaged"):
        read_dicom_seg(tmp_path / "seg.dcm")
