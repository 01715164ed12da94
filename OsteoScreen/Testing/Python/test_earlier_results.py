"""`osteoscreen screen --earlier`: a later scan of a patient, compared with what was written of an earlier one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from followed_patient import SLOPE, write_calibration, write_scan
from phantom_ct import make_phantom

from OsteoScreenLib import screening
from OsteoScreenLib.cli import main
from OsteoScreenLib.reports.dicom import write_dicom_objects
from OsteoScreenLib.results_io import read_result, write_result
from OsteoScreenLib.screening import ScreeningRequest

THEN, NOW = "20240310", "20260115"
DAYS = 676
#: HU of L1 and L2 then and now. The phantom's noise is the same in both, so the change is exact but for rounding.
HU_THEN, HU_NOW = {"L1": 150.0, "L2": 140.0}, {"L1": 120.0, "L2": 100.0}


pytestmark = pytest.mark.usefixtures("nothing_installed_in_module")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two scans of the patient, the outlines, the calibration, and the earlier result in a folder of its own."""
    folder = tmp_path_factory.mktemp("patient")
    make_phantom().write_outlines(folder / "outlines.seg.nrrd")
    write_calibration(folder / "calibration.json", precision_mg_cm3=3.0)
    write_scan(folder / "then", make_phantom(**HU_THEN), StudyDate=THEN)
    write_scan(folder / "now", make_phantom(**HU_NOW), StudyDate=NOW)
    assert screen(folder, "then", folder / "earlier", "--write", "sr") == 0
    return folder


def screen(files, scan, output, *more):
    """Screen a scan in ``files``, or of its own."""
    words = ["--masks", str(files / "outlines.seg.nrrd"), "--calibration", str(files / "calibration.json")]
    return main(["screen", str(files / scan), "-o", str(output), *words, *map(str, more)])


def follow_up_of(folder):
    (found,) = read_result(folder / "result.json").follow_up
    return found


@pytest.mark.parametrize(("name", "source"), [("result.json", "result.json"), ("sr.dcm", "DICOM SR")])
def test_the_change_since_an_earlier_result(files, tmp_path, capsys, name, source):
    assert screen(files, "now", tmp_path / "out", "--earlier", files / "earlier" / name) == 0
    found = follow_up_of(tmp_path / "out")
    assert (found.not_comparable, found.interval_days, found.earlier.source) == ([], DAYS, source)
    by_hand = {"L1": -30.0 * SLOPE, "L2": -40.0 * SLOPE, "individual": -35.0 * SLOPE}
    assert found.change_mg_cm3 == pytest.approx(by_hand, abs=0.05)
    assert found.least_significant_change_mg_cm3 == pytest.approx(2.77 * 3.0)
    assert found.earlier.date is None  # it belongs to the patient's identity
    then, now = found.earlier.bmd_mg_cm3, read_result(tmp_path / "out" / "result.json").densitometry.bmd_mg_cm3
    assert found.change_mg_cm3 == pytest.approx({level: now[level] - then[level] for level in now})
    sentence = f"lower by {-found.change_mg_cm3['individual']:.1f} mg/cm³ than 22 months before"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert sentence in page and 'class="timeline"' in page
    assert "more than the least significant change of 8.3 mg/cm³" in page
    assert sentence in capsys.readouterr().out
    assert THEN not in page and "2024" not in page


def test_dates_are_kept_where_the_identity_was_asked_for(files, tmp_path):
    words = ["--earlier", files / "earlier" / "sr.dcm", "--with-identity"]
    assert screen(files, "now", tmp_path / "out", *words) == 0
    assert follow_up_of(tmp_path / "out").earlier.date == "2024-03-10"


def test_several_earlier_results_stand_in_order_of_time(files, tmp_path):
    write_scan(tmp_path / "between", make_phantom(**HU_NOW), StudyDate="20250601")
    assert screen(files, tmp_path / "between", tmp_path / "second") == 0
    earlier = ["--earlier", tmp_path / "second" / "result.json", "--earlier", files / "earlier" / "sr.dcm"]
    assert screen(files, "now", tmp_path / "out", *earlier) == 0
    found = read_result(tmp_path / "out" / "result.json").follow_up
    assert [change.interval_days for change in found] == [DAYS, 228]
    assert found[1].change_mg_cm3["individual"] == pytest.approx(0.0, abs=0.05)


def test_without_a_known_precision_the_assumed_one_counts(files, tmp_path):
    shutil.copytree(files, tmp_path / "patient")
    own = tmp_path / "patient"
    write_calibration(own / "calibration.json")
    assert screen(own, "now", tmp_path / "out", "--earlier", files / "earlier" / "result.json") == 0
    assert follow_up_of(tmp_path / "out").least_significant_change_mg_cm3 == pytest.approx(2.77 * 6.0)


# -- whose it is


def test_a_result_says_by_its_own_scan_whose_it_is_and_otherwise_it_is_not_compared(files, tmp_path):
    result = read_result(files / "earlier" / "result.json")
    assert result.identity is None
    gone = replace(result.input, path=str(tmp_path / "gone"))
    # Another series in the place of the scan says nothing of this one.
    replaced = replace(result.input, path=str(files / "now"))
    for n, described in enumerate((gone, replaced)):
        earlier = write_result(replace(result, input=described), tmp_path / f"{n}.json")
        assert screen(files, "now", tmp_path / str(n), "--earlier", earlier) == 0
        assert follow_up_of(tmp_path / str(n)).not_comparable == [
            "It could not be checked that both are of the same patient: the earlier result does not say whose it is.",
            "The time between them is not known: the earlier result does not say when it was made.",
        ]
        assert "lower by" not in (tmp_path / str(n) / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("changes", [{"PatientID": "ANOTHER"}, {"PatientBirthDate": "19700101"}])
@pytest.mark.parametrize("kept", ["with its identity", "with its scan", "as a report"])
def test_another_patients_result_is_refused(files, tmp_path, capsys, changes, kept):
    write_scan(tmp_path / "other", make_phantom(**HU_THEN), StudyDate=THEN, **changes)
    words = ["--with-identity"] if kept == "with its identity" else []
    assert screen(files, tmp_path / "other", tmp_path / "theirs", "--write", "sr", *words) == 0
    if words:
        shutil.rmtree(tmp_path / "other")
    capsys.readouterr()
    earlier = tmp_path / "theirs" / ("sr.dcm" if kept == "as a report" else "result.json")
    assert screen(files, "now", tmp_path / "out", "--earlier", earlier) == 2
    shown = capsys.readouterr().err
    assert f"{earlier.name} is of another patient than this scan" in shown
    assert not (tmp_path / "out").exists()
    assert "ANOTHER" not in shown and "SECRET" not in shown


@pytest.mark.parametrize("name", ["result.json", "sr.dcm"])
def test_a_result_of_the_very_scan_is_refused(files, tmp_path, capsys, name):
    assert screen(files, "then", tmp_path / "out", "--earlier", files / "earlier" / name) == 2
    assert "of this very scan" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# -- not comparable


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"KVP": "140"}, "The tube voltage differs: 120 kVp then, 140 kVp now."),
        ({"ContrastBolusAgent": "Iohexol"}, "Contrast medium was given for this scan"),
        ({"ConvolutionKernel": "Br59f"}, "The kernel was soft then"),
        ({"ConvolutionKernel": None}, "Whether the kernel was the same is not known: this scan does not say it."),
        ({"SliceThickness": "5"}, "The slice thickness differs: 3 mm then, 5 mm now."),
        ({"Manufacturer": "GE"}, "The scanner's maker differs: SIEMENS then, GE now."),
        ({"ManufacturerModelName": "Other"}, "The scanner's model differs: Simulated then, Other now."),
        ({"StudyDate": "20200101"}, "The earlier result is of a scan that was made after this one."),
        ({"PatientID": ""}, "It could not be checked that both are of the same patient: this scan does not say"),
    ],
)
@pytest.mark.parametrize("name", ["result.json", "sr.dcm"])
def test_a_scan_that_was_made_otherwise_is_not_compared(files, tmp_path, capsys, changes, reason, name):
    write_scan(tmp_path / "other", make_phantom(**HU_NOW), **{"StudyDate": NOW, **changes})
    earlier = ["--earlier", files / "earlier" / name, "--force"]
    assert screen(files, tmp_path / "other", tmp_path / "out", *earlier) == 0
    assert any(given.startswith(reason) for given in follow_up_of(tmp_path / "out").not_comparable)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    shown = page + capsys.readouterr().out
    assert "is not comparable with this one" in shown and "not stated" in page
    assert "lower by" not in shown and "least significant change of" not in shown


def test_another_calibration_is_not_compared(files, tmp_path):
    shutil.copytree(files, tmp_path / "patient")
    own = tmp_path / "patient"
    write_calibration(own / "calibration.json", slope=0.8)
    assert screen(own, "now", tmp_path / "out", "--earlier", files / "earlier" / "sr.dcm") == 0
    assert follow_up_of(tmp_path / "out").not_comparable == ["The line from HU to BMD was another then."]


def test_l1_alone_is_not_compared_with_both(files, tmp_path):
    make_phantom().write_outlines(tmp_path / "l1.seg.nrrd", names=("L1",))
    words = ["--masks", tmp_path / "l1.seg.nrrd", "--calibration", files / "calibration.json", "--l1", "#18"]
    words += ["--earlier", files / "earlier" / "sr.dcm"]
    assert main(["screen", str(files / "now"), "-o", str(tmp_path / "out"), *map(str, words)]) == 0
    found = follow_up_of(tmp_path / "out")
    assert found.not_comparable == ["The two were not measured on the same levels."]
    assert set(found.change_mg_cm3) == {"L1", "individual"}
    assert found.least_significant_change_mg_cm3 == pytest.approx(11.752, abs=1e-3)


@pytest.mark.parametrize("name", ["result.json", "sr.dcm"])
def test_an_earlier_level_that_nobody_confirmed_is_not_compared(files, tmp_path, name):
    earlier = screening.screen(
        ScreeningRequest(files / "then", masks=files / "outlines.seg.nrrd", calibration=files / "calibration.json")
    )
    levels = earlier.result.levels
    earlier.result.levels = {level: replace(kept, confirmed=level == "L1") for level, kept in levels.items()}
    write_result(earlier.result, tmp_path / "result.json")
    write_dicom_objects(earlier, tmp_path, kinds=["sr"])
    assert screen(files, "now", tmp_path / "out", "--earlier", tmp_path / name) == 0
    assert follow_up_of(tmp_path / "out").not_comparable == [
        "No reader has confirmed the levels of the earlier result."
    ]


def test_an_earlier_result_that_was_discarded_is_not_compared(files, tmp_path, capsys):
    folder = shutil.copytree(files / "earlier", tmp_path / "earlier")
    assert main(["decide", str(folder), "--discard", "--by", "N. N."]) == 0
    assert screen(files, "now", tmp_path / "out", "--earlier", folder / "result.json") == 0
    assert follow_up_of(tmp_path / "out").not_comparable == ["A reader discarded the earlier result."]
    capsys.readouterr()
    assert screen(files, "now", tmp_path / "report", "--earlier", folder / "sr.dcm") == 4
    assert "discarded" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["result.json", "sr.dcm"])
def test_an_earlier_study_that_was_refused_and_forced_is_not_compared(files, tmp_path, name):
    write_scan(tmp_path / "then", make_phantom(**HU_THEN), StudyDate=THEN, KVP="100")
    assert screen(files, tmp_path / "then", tmp_path / "forced", "--force", "--write", "sr") == 0
    assert screen(files, "now", tmp_path / "out", "--earlier", tmp_path / "forced" / name) == 0
    reasons = follow_up_of(tmp_path / "out").not_comparable
    assert "The earlier result comes from a study that an eligibility check refused." in reasons


# -- files that are none


def test_what_is_no_earlier_result_ends_in_one_sentence(files, tmp_path, capsys):
    text, damaged, refused = tmp_path / "text.json", tmp_path / "damaged.dcm", tmp_path / "refused.json"
    text.write_text("{}")
    damaged.write_bytes((files / "earlier" / "sr.dcm").read_bytes()[:3000])
    document = json.loads((files / "earlier" / "result.json").read_text(encoding="utf-8"))
    refused.write_text(json.dumps({**document, "status": "refused", "densitometry": None, "roi": {}}))
    image = next((files / "then").iterdir())
    for path in (text, damaged, refused, image, tmp_path / "nowhere.json", tmp_path):
        assert screen(files, "now", tmp_path / "out", "--earlier", path) == 4
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 1 and "Traceback" not in shown[0]
    assert not (tmp_path / "out").exists()


def test_a_correction_can_be_compared_with_another_result(files, tmp_path):
    assert screen(files, "now", tmp_path / "out") == 0
    assert read_result(tmp_path / "out" / "result.json").follow_up == []
    make_phantom().write_outlines(tmp_path / "l2.seg.nrrd", names=("L2",))
    words = ["--l2", "#7", "--masks", tmp_path / "l2.seg.nrrd", "--calibration", files / "calibration.json"]
    words += ["--earlier", files / "earlier" / "sr.dcm"]
    assert main(["decide", str(tmp_path / "out"), "--correct", "--by", "N. N.", *map(str, words)]) == 0
    found = follow_up_of(tmp_path / "out")
    assert (found.interval_days, found.not_comparable) == (DAYS, [])
