"""A list of studies, as people and programs write it: every wrong row is told with its line, and nothing is guessed."""

from __future__ import annotations

import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from OsteoScreenLib.batch.ids import hashed_id, is_study_id
from OsteoScreenLib.batch.manifest import COLUMNS, read_manifest
from OsteoScreenLib.errors import InputError, UsageError


def written(folder, text, name="list.csv"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder, text, tell=lambda sentence: None):
    return list(read_manifest(written(folder, text), tell))


def refusal(folder, text):
    with pytest.raises(InputError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert message.isprintable() and message.endswith(".")
    return message


def test_every_column_is_read(tmp_path):
    text = (
        "id,ct,l1,l2,levels_from,masks,age_years,sex,series\n"
        "A-1,scans/a,-812.5,#12,seg/a.nii.gz,/m/a.seg.nrrd,67,f,1.2.840.1\n"
        "B_2,dicomweb:pacs/studies/1.2.3/series/1.2.4,auto,AUTO,,,,,\n"
    )
    first, second = read(tmp_path, text)
    assert (first.id, first.l1, first.l2, first.age_years, first.sex) == ("A-1", "-812.5", "#12", 67.0, "F")
    assert first.ct == str(tmp_path / "scans/a") and first.levels_from == str(tmp_path / "seg/a.nii.gz")
    assert first.masks == "/m/a.seg.nrrd" and first.series == "1.2.840.1"
    assert second.ct == "dicomweb:pacs/studies/1.2.3/series/1.2.4" and (second.l1, second.l2) == ("auto", "auto")


@pytest.mark.parametrize("text", ["ct;l1\na b;-1,5\n", "ct;l1\n", "ct,l1\n\n ,\n"])
def test_a_decimal_comma_and_a_list_of_nothing_are_refused(tmp_path, text):
    assert refusal(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    ["ct,l1\na,-5\n", "\ufeffct;l1\r\na;-5\r\n\r\n", "CT\tL1\na\t-5\n", '"ct","l1"\n"a","-5"\n', "l1,ct\n-5,a"],
    ids=["comma", "semicolon, BOM, CRLF", "tab", "quotes", "order"],
)
def test_what_spreadsheets_write_is_the_same(tmp_path, text):
    (study,) = read(tmp_path, text)
    assert (study.ct, study.l1) == (str(tmp_path / "a"), "-5") and study.id == hashed_id("a", "")


def test_parquet_is_read_as_csv_is_and_its_numbers_are_texts(tmp_path):
    table = pa.table(
        {"id": ["a", "b"], "ct": ["x", "y"], "l1": [-812.5, None], "age_years": [70, None], "other": [1, 2]}
    )
    pq.write_table(table, tmp_path / "list.parquet")
    told = []
    first, second = read_manifest(tmp_path / "list.parquet", told.append)
    assert (first.l1, first.age_years) == ("-812.5", 70.0) and (second.l1, second.age_years) == (None, None)
    assert not second.has_levels and len(told) == 1 and "'other'" in told[0]


def test_damaged_parquet_is_one_sentence(tmp_path):
    pq.write_table(pa.table({"ct": [f"scan{n}" for n in range(5000)]}), tmp_path / "list.parquet")
    whole = (tmp_path / "list.parquet").read_bytes()
    middle = whole[:2000] + bytes(200) + whole[2200:]
    for damaged in (whole[:-20], whole[:2000], b"PAR1", middle):
        with pytest.raises(InputError, match=r"Parquet|cannot be read|wrong row"):
            list(read_manifest(written(tmp_path, damaged, "d.parquet")))


def test_every_wrong_row_is_told_with_its_line(tmp_path):
    rows = {
        2: ",,", 3: "a,L1,", 4: "b,-5,\x1b[2J", 5: "c/\u202epgj,-5,", 6: "d,-5,a/b", 7: "e,-5,con", 8: "f,-5,-x",
        9: "g,-5,ok,more", 10: "dicomweb:x,-5,", 11: "h,1e999,", 12: "i,nan,", 13: f"j,-5,{'k' * 101}",
    }  # fmt: skip
    message = refusal(tmp_path, "ct,l1,id\n" + "\n".join(rows.values()) + "\n")
    told = [line for line in rows if f"Line {line}: " in message]
    assert told == list(rows)[1:]  # an empty row is no study
    assert "11 wrong rows" in message


def test_the_other_cells_are_checked_too(tmp_path):
    text = "ct,l1,l2,age_years,sex,series,masks\na,,-5,,,,\nb,-5,,200,,,\nc,-5,,x,,,\nd,-5,,,female,,\ne,-5,,,,abc,\n"
    message = refusal(tmp_path, text + "f,,,,,,https://x/studies/1.2\n")
    for line, words in enumerate(["L2 is given without L1", "200", "'x'", "'female'", "no UID", "not on a server"], 2):
        assert f"Line {line}: " in message and words in message


def test_many_wrong_rows_are_counted(tmp_path):
    message = refusal(tmp_path, "ct,l1\n" + "a,up\n" * 500)
    assert "500 wrong rows" in message and "And 480 more." in message and len(message) < 3000


def test_two_studies_of_one_name_are_told_by_line_whatever_their_case(tmp_path):
    message = refusal(tmp_path, "id,ct\nA1,x\nb,y\na1,z\n,q\n,q\n")
    assert "Line 4: The id a1 is that of line 2 already." in message
    assert "Line 6: The same CT, without an id, is that of line 5 already." in message


def test_unknown_columns_are_told_and_notes_are_not(tmp_path):
    told = []
    read(tmp_path, "ct,levels_form,note,note_reader\na,b,c,d\n", told.append)
    assert len(told) == 1 and "'levels_form'" in told[0] and "levels_from" in told[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("path\na\n", "no column ct"),
        ("", "no column ct"),
        ("ct,ct\na,b\n", "twice"),
        (b"ct\n\xff\xfe\n", "UTF-8"),
        ("ct\na\n".encode("utf-16"), "UTF-16"),
        ("ct,l1\ra.nrrd,#5\r", "CR alone"),
        ('ct\n"a\n', "no proper CSV"),
        ("ct\n" + "a" * 200_000 + "\n", "no proper CSV"),
    ],
    ids=["no ct", "empty", "twice", "bytes", "UTF-16", "old Mac", "open quote", "endless cell"],
)
def test_what_is_no_manifest_is_one_sentence(tmp_path, data, words):
    with pytest.raises((InputError, UsageError), match=words):
        read(tmp_path, data)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_manifest(tmp_path / "none.csv")


def test_a_long_list_is_not_held_in_memory(tmp_path):
    rows = "".join(f"study-{n},/archive/of/some/hospital/{n:08d}/ct,-812.5\n" for n in range(10_000))
    path = written(tmp_path, "id,ct,l1\n" + rows)
    next(read_manifest(path))
    tracemalloc.start()
    count = sum(1 for _ in read_manifest(path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000 and most < path.stat().st_size / 2


def test_ids_are_fit_for_folders_and_say_nothing():
    assert is_study_id("A.1_b-2") and is_study_id("7")
    for bad in ("", ".", "..", "-a", ".a", "a.", "a b", "ä", "a/b", "NUL", "com1.txt", "a\n", "x" * 101):
        assert not is_study_id(bad)
    made = hashed_id("DOE^JANE/1960")
    assert is_study_id(made) and made == hashed_id("DOE^JANE/1960") != hashed_id("DOE^JANE", "1960")


def test_the_columns_are_those_of_a_study():
    from dataclasses import fields

    from OsteoScreenLib.batch.study import BatchStudy

    assert list(COLUMNS) == [item.name for item in fields(BatchStudy)]
