"""Every failure of a batch has a kind in plain words, whatever version kept it."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import OsteoScreenLib.batch
import OsteoScreenLib.pacs
import OsteoScreenLib.reports
from OsteoScreenLib.batch import kinds
from OsteoScreenLib.batch.kinds import kind_of
from OsteoScreenLib.batch.outcome import Trouble
from OsteoScreenLib.batch.store import Store
from OsteoScreenLib.batch.store_file import STORE
from OsteoScreenLib.batch.study import BatchStudy, State, StudyRow
from OsteoScreenLib.batch.summary import write_summary
from OsteoScreenLib.errors import InputError, OsteoScreenError

PAGE = Path(__file__).parents[3] / "Docs" / "batch.md"
#: Of studies; the others end a driver, and the log alone has them.
OF_STUDIES = {
    *("no such series", "unusable levels", "wrong request", "unreadable", "not on its server"),
    *("not given by its server", "cannot be done", "unexpected error"),
}


def classes() -> set[type[BaseException]]:
    """Every error that is shown to a user, of what a batch may meet."""
    for package in (OsteoScreenLib.batch, OsteoScreenLib.pacs, OsteoScreenLib.reports):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return {OsteoScreenError} | below(OsteoScreenError)


def below(above: type[BaseException]) -> set[type[BaseException]]:
    return {one for one in above.__subclasses__() if one.__module__.startswith("OsteoScreenLib.")}.union(
        *(below(one) for one in above.__subclasses__())
    )


def test_no_error_is_told_by_the_name_of_its_class():
    for one in (*classes(), ValueError, KeyboardInterrupt):
        assert re.fullmatch("[a-z]+( [a-z]+)*", kind_of(one("Why.")))
    unheard_of = type("Unheard", (InputError,), {})
    assert kind_of(unheard_of("Why.")) == "unreadable"
    assert kind_of(ValueError("Why.")) == "unexpected error"


def test_the_table_knows_no_class_that_is_not_there():
    there = {one.__name__ for one in classes()} | {"KeyboardInterrupt", "Unexpected"}
    assert set(kinds._WORDS) <= there


def test_a_store_of_an_earlier_version_is_told_in_the_same_words(tmp_path):
    old = {"a": "InputError", "b": "UsageError", "c": "Unexpected", "d": "timeout"}
    with Store.open(tmp_path) as store:
        set_id = store.begin_set({}, {}, [])
        store.add(set_id, [BatchStudy(name, f"{name}.nrrd", l1="#1") for name in old])
        for name in old:
            study = BatchStudy(name, f"{name}.nrrd", l1="#1")
            store.finish(set_id, StudyRow(study, State.FAILED, kind=old[name], reason="Why."))
    with closing(sqlite3.connect(tmp_path / STORE)) as sql:
        assert dict(sql.execute("SELECT id, kind FROM outcomes JOIN studies USING (number)")) == old
    with Store.read(tmp_path) as store:
        told = {row.study.id: row.kind for row in store.rows(set_id)}
        assert told == {"a": "unreadable", "b": "wrong request", "c": "unexpected error", "d": "timeout"}
        page = write_summary(store.rows(set_id), store.result_set(set_id), tmp_path / "summary.html").read_text()
    assert "unreadable 1" in page and "InputError" not in page


def test_the_documentation_has_every_kind_of_a_failed_study():
    cells = re.findall(r"^\| (`[^|]*`) \|", PAGE.read_text(encoding="utf-8"), re.M)
    told = {kind.strip("`") for cell in cells for kind in cell.split(", ")}
    final = {trouble.value for trouble in Trouble if trouble.may_be_the_studys} | {"missing", "worker lost"}
    assert final | OF_STUDIES <= told
