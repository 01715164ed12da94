"""Decisions as part of a result: what they keep, what they confirm, and what the file may hold of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from report_cases import abstained, refused, screened, suggested, unconfirmed

from OsteoScreenLib.decisions import accept, clean_name, corrected, discard, in_force, is_discarded
from OsteoScreenLib.errors import InputError, UsageError
from OsteoScreenLib.reports.decided import one_decision
from OsteoScreenLib.results import BundleUse
from OsteoScreenLib.results_io import from_dict, to_dict

READER = "N. N."
AT = datetime(2026, 11, 26, 10, 15, 30, 999, tzinfo=timezone(timedelta(hours=1)))


def test_the_last_decision_is_in_force_and_all_stay():
    result = screened()
    assert in_force(result) is None and not is_discarded(result)
    dropped = discard(result, "First", AT, "Sclerosis.")
    assert is_discarded(dropped) and result.decisions == []
    back = accept(dropped, "Second")
    assert not is_discarded(back)
    assert [decision.by for decision in back.decisions] == ["First", "Second"]
    assert in_force(back).by == "Second"


def test_the_time_keeps_its_offset():
    decision = in_force(discard(screened(), READER, AT))
    assert decision.at == "2026-11-26T10:15:30+01:00"
    assert one_decision(decision) == "Discarded by N. N. on 2026-11-26 10:15 +01:00."
    assert datetime.fromisoformat(in_force(accept(screened(), READER)).at).utcoffset() is not None


def test_signing_confirms_every_level_and_discarding_none():
    result = unconfirmed()
    assert all(level.confirmed for level in accept(result, READER).levels.values())
    assert discard(result, READER).levels == result.levels
    assert not all(level.confirmed for level in result.levels.values())


@pytest.mark.parametrize("decide", [accept, discard])
@pytest.mark.parametrize("result", [refused(), abstained()])
def test_nothing_measured_is_nothing_to_sign(decide, result):
    with pytest.raises(UsageError, match="refused"):
        decide(result, READER)


def test_a_correction_keeps_how_the_vertebrae_were_counted_for_levels_that_stay():
    old = suggested()
    old.bundles = [BundleUse("localisation", "counter", "1.0.0", "aa" * 32), *old.bundles]
    new = screened()
    new.levels = {"L1": old.levels["L1"], "L2": replace(new.levels["L2"], slice_index=11)}
    result = corrected(new, old, READER, AT)
    assert in_force(result).corrections == ["level L2"]
    assert set(result.numbering.levels) == {"L1"}
    assert result.numbering.vertebrae == old.numbering.vertebrae
    assert [bundle.role for bundle in result.bundles] == ["localisation", *(bundle.role for bundle in new.bundles)]
    assert all(level.confirmed for level in result.levels.values())
    assert result.levels["L1"].set_by == "suggested"


def test_a_correction_names_levels_and_outlines():
    new = screened()
    new.levels["L1"] = replace(new.levels["L1"], slice_index=21)
    result = corrected(new, screened(), READER, AT, outlines=["L2", "L1"])
    assert in_force(result).corrections == ["level L1", "outline L1", "outline L2"]
    assert one_decision(in_force(result)) == (
        "Corrected (level L1, outline L1 and outline L2) by N. N. on 2026-11-26 10:15 +01:00."
    )
    with pytest.raises(UsageError, match="Nothing differs"):
        corrected(screened(), screened(), READER)


@pytest.mark.parametrize(
    ("written", "kept"),
    [("  Dr.  N.\tN. ", "Dr. N. N."), ("a\nb", "a b"), ("N\u202eN", "N N"), ("Ã–ü 王", "Ã–ü 王"), ("x" * 64, "x" * 64)],
)
def test_a_readers_name_is_one_line(written, kept):
    assert clean_name(written) == kept


@pytest.mark.parametrize("written", ["", " \n\t", "\u200b", "x" * 65, "x" * 100_000])
def test_no_name_and_no_novel(written):
    with pytest.raises(UsageError, match="reader"):
        clean_name(written)


@pytest.mark.parametrize(
    "changes",
    [{"decision": "maybe"}, {"by": ""}, {"at": "2026-11-26T10:15:30"}, {"at": "yesterday"}, {"corrections": [""]}],
)
def test_a_file_with_another_decision_is_refused(changes):
    document = to_dict(accept(screened(), READER, AT))
    assert from_dict(document).decisions[0].by == READER
    document["decisions"][0].update(changes)
    with pytest.raises(InputError, match="not a valid OsteoScreen result"):
        from_dict(document)


def test_a_file_of_before_decisions_were_known_is_read():
    document = to_dict(screened())
    for key in ("decisions", "follow_up", "numbering", "identity"):
        del document[key]
    result = from_dict(document)
    assert (result.decisions, result.follow_up) == ([], [])
