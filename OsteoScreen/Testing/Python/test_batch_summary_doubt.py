"""Which results a reader is shown first, and reasons that name nobody."""

from __future__ import annotations

import dataclasses

import pytest
from report_cases import CASES, decided, disagreeing, refused, roi, screened, suggested

from OsteoScreenLib.batch.doubt import doubt_of
from OsteoScreenLib.batch.reasons import without_places
from OsteoScreenLib.batch.study import BatchStudy
from OsteoScreenLib.results import Check, Classification


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_doubt_is_a_share(case):
    result = case[0]()
    doubt = doubt_of(result)
    assert doubt is None if result.status == "refused" else 0.0 <= doubt <= 1.0


def test_doubt_grows_with_each_cause():
    plain = screened()
    plain.eligibility = []
    least = doubt_of(plain)
    worse = [suggested, disagreeing]
    assert all(doubt_of(case()) > least for case in worse)
    warned = dataclasses.replace(plain, eligibility=[Check("noise_L1", "warn", "Noise.", 60.0)])
    assert doubt_of(warned) == pytest.approx(1 - (1 - least) * 0.95, abs=1e-3)
    unsure = dataclasses.replace(plain, roi={**plain.roi, "L2": dataclasses.replace(roi(100), confidence=0.4)})
    assert doubt_of(unsure) > least
    torn = {"normal": 0.49, "osteopenia": 0.48, "osteoporosis": 0.03}
    sure = {"normal": 0.98, "osteopenia": 0.01, "osteoporosis": 0.01}
    of = [
        doubt_of(dataclasses.replace(plain, classification=Classification("model1", p, "normal"))) for p in (torn, sure)
    ]
    assert of[0] > of[1] > least


def test_a_less_probable_level_is_more_doubtful():
    def with_probability(share):
        result = suggested()
        levels = {
            name: dataclasses.replace(level, probability=share) for name, level in result.numbering.levels.items()
        }
        result.numbering = dataclasses.replace(result.numbering, levels=levels)
        return doubt_of(result)

    assert with_probability(0.4) > with_probability(0.7) > with_probability(0.79)
    assert with_probability(0.99) == with_probability(0.81)  # unconfirmed all the same
    without = suggested()
    without.numbering = None
    assert doubt_of(without) == pytest.approx(with_probability(0.5), abs=1e-3)


def test_what_a_reader_decided_and_what_was_refused_is_not_doubted():
    assert doubt_of(decided("accepted")) == doubt_of(decided("discarded")) == 0.0
    assert doubt_of(refused()) is None


def test_reasons_name_no_folder():
    study = BatchStudy("a", "/archive/DOE^JANE/1960 ct/IM0001", levels_from="/archive/DOE^JANE/Doe_seg.nrrd")
    said = without_places("/archive/DOE^JANE/1960 ct/IM0001 and Doe_seg.nrrd of DOE^JANE, IM0001 damaged.", study)
    assert said == "the CT and the segmentation of …, the CT damaged."
    assert without_places("The archive is full.", study) == "The archive is full."
