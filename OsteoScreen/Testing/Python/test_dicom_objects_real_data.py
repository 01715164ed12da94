"""The DICOM objects of a real CT, with the shipped networks, against an outline drawn by hand."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw

from OsteoScreenLib.reports.dicom import read_measurement_report, write_dicom_objects
from OsteoScreenLib.reports.pdf import render_pdf
from OsteoScreenLib.screening import Screening, ScreeningRequest, screen

HEIGHTS_MM = {"L1": "-291.51", "L2": "-330.75"}


@pytest.fixture(scope="module")
def screening(shared_data) -> Screening:
    folder = shared_data / "acrin-nsclc-fdg-pet-042" / "dicom"
    return screen(ScreeningRequest(folder, l1=HEIGHTS_MM["L1"], l2=HEIGHTS_MM["L2"], device="cpu"))


@pytest.fixture(scope="module")
def objects(screening, tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects")
    pdf = render_pdf(screening.result, screening.pictures)
    paths = write_dicom_objects(screening, folder, pdf=pdf, fractional=True)
    assert len(paths) == 6
    return folder


def test_dciodvfy_finds_no_error(objects):
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not on this machine")
    for path in objects.iterdir():
        answer = subprocess.run([checker, "-new", str(path)], capture_output=True, text=True, errors="replace")
        assert "Error" not in answer.stdout + answer.stderr, path.name


def test_the_segments_are_where_a_hand_drew_the_vertebrae(objects, shared_data):
    """In the patient: the segment's pixels by its own attributes, the hand's polygon in RAS mm."""
    drawn = json.loads((shared_data / "acrin-nsclc-fdg-pet-042" / "outlines.json").read_text())
    seg = pydicom.dcmread(objects / "seg.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    for frame, group, name in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, HEIGHTS_MM, strict=True):
        x, y, z = (float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient)
        hand = next(o for o in drawn if o["level"] == name and o["is_level_centre_slice"])
        assert z == pytest.approx(hand["z_ras_mm"], abs=0.01)
        row_mm, column_mm = (float(value) for value in measures.PixelSpacing)
        polygon = [((-r - x) / column_mm, (-a - y) / row_mm) for r, a in np.array(hand["polygon_ras_mm"])[:, :2]]
        picture = Image.new("1", frame.shape[::-1])
        ImageDraw.Draw(picture).polygon(polygon, fill=1)
        by_hand = np.asarray(picture)
        assert 2 * (by_hand & (frame > 0)).sum() / (by_hand.sum() + frame.sum()) > 0.95


def test_the_report_reads_back_to_the_result(screening, objects):
    read = read_measurement_report(objects / "sr.dcm")
    assert read.earlier.bmd_mg_cm3 == pytest.approx(screening.result.densitometry.bmd_mg_cm3, rel=1e-15)
    assert read.levels["L1"].mean_hu == screening.result.roi["L1"].mean_hu
