"""Outlines drawn in QuPath on exported slices: the way to the mask and back, and the forms that QuPath writes."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil

import numpy as np
import pytest
import shapely
from PIL import Image

from OsteoScreenLib.ct import open_ct
from OsteoScreenLib.levels import read_vertebrae
from OsteoScreenTrainingLib.datasets.folder import DataSet
from OsteoScreenTrainingLib.datasets.manifest import Subject, read_manifest, write_manifest
from OsteoScreenTrainingLib.datasets.qupath import coverage, read_annotations
from Testing.Python.drawn_ct import (
    CENTRE,
    HALF_MM,
    PIXEL_MM,
    SIDE,
    ellipse,
    export_and_draw,
    feature,
    import_drawn,
    run_dataset,
    write_ct,
    write_geojson,
)

#: As QuPath 0.2 writes an annotation: no uuid, a signed colour, measurements as a list, one array without a collection.
QUPATH_02 = """[{"type": "Feature", "id": "PathAnnotationObject",
  "geometry": {"type": "Polygon", "coordinates": [%s]},
  "properties": {"classification": {"name": "L1", "colorRGB": -3140401}, "isLocked": false, "measurements": []}}]"""
#: 0.3: object_type, and the plane of a stack.
QUPATH_03 = """{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "a0f2-11",
  "geometry": {"type": "Polygon", "coordinates": [%s], "plane": {"c": -1, "z": 0, "t": 0}},
  "properties": {"object_type": "annotation", "isLocked": true, "classification": {"name": "L1 vertebra",
  "colorRGB": -65536}}}]}"""
#: 0.4: objectType, colour as three numbers, measurements as an object; a name and no class.
QUPATH_04 = """{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "7d3c", "geometry":
  {"type": "Polygon", "coordinates": [%s]}, "properties": {"objectType": "annotation", "name": "L1",
  "color": [255, 0, 0], "measurements": {"Area px^2": 1201.5}, "metadata": {"ANNOTATION_DESCRIPTION": "x"}}}]}"""
#: 0.5: a derived class has names; a cell has a second geometry, and anything may stand beside.
QUPATH_05 = """{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "c2", "geometry":
  {"type": "MultiPolygon", "coordinates": [[%s]]}, "nucleusGeometry": {"type": "Point", "coordinates": [1, 2]},
  "properties": {"objectType": "annotation", "classification": {"names": ["L1", "checked"], "color": [9, 9, 9]}},
  "bbox": [0, 0, 1, 1], "something": null}]}"""


@pytest.fixture
def drawn(tmp_path, capsys):
    """Return a folder with a CT, its exported slices and the ellipses drawn on them."""
    return export_and_draw(tmp_path, capsys)


# -- the way there and back


@pytest.mark.parametrize("kind", ["straight", "oblique", "feet first"])
def test_what_is_drawn_is_the_mask(tmp_path, capsys, kind):
    folder = export_and_draw(tmp_path, capsys, kind)
    code, said, _ = import_drawn(capsys, folder)
    assert (code, said.splitlines()[0]) == (0, "P1: L1 and L2")
    row = read_manifest(folder / "set" / "subjects.csv")[0]
    ct = open_ct(folder / "set" / row.ct)
    masks = read_vertebrae(folder / "set" / row.masks, ["L1", "L2"])
    for level, z_mm in (("L1", row.l1_z_mm), ("L2", row.l2_z_mm)):
        k = ct.geometry.nearest_slice(z_mm)
        mask = masks[level].coverage_on(ct.geometry, k) > 0.5
        ring = shapely.Polygon(ellipse(level, mirrored=kind == "feet first"))
        # Half a pixel all around is the most that a binary mask could lose; it loses far less.
        assert abs(mask.sum() - ring.area) < 0.5 * ring.length
        assert mask.sum() == pytest.approx(ring.area, rel=0.01)
        j, i = np.nonzero(mask)
        np.testing.assert_allclose([i.mean() + 0.5, j.mean() + 0.5], [ring.centroid.x, ring.centroid.y], atol=0.1)
        assert np.median(ct.slice(k)[mask]) == pytest.approx(130, abs=5)
        sidecar = json.loads((folder / "slices" / f"P1_{level}.slice.json").read_text())
        at = np.array(sidecar["ijk_to_ras"]) @ [i.mean(), j.mean(), 0, 1]
        np.testing.assert_allclose(at[:3], ct.geometry.ras(i.mean(), j.mean(), k), atol=1e-6)
        assert z_mm == pytest.approx(ct.geometry.slice_z(k), abs=1e-3)


def test_the_data_set_is_built_and_checked(drawn, capsys):
    assert import_drawn(capsys, drawn)[0] == 0
    code, said, _ = run_dataset(capsys, "build", drawn / "set")
    assert (code, said.splitlines()[-1]) == (0, f"2 slices in {drawn / 'set' / 'slices'}")
    data = DataSet(drawn / "set")
    area = np.pi * HALF_MM[0] * HALF_MM[1]
    for level in ("L1", "L2"):
        index = data.slice_index("P1", level)
        record = data.slices.records[index]
        assert float(record.values["area_mm2"]) == pytest.approx(area, rel=0.01)
        middle = np.array(CENTRE[level])[::-1] * PIXEL_MM
        np.testing.assert_allclose((np.array(record.body) + 0.5) * record.pixel_mm, middle, atol=0.5 * PIXEL_MM)
    code, said, _ = run_dataset(capsys, "check", drawn / "set")
    assert code == 0, said


def test_dicom_keeps_its_series(cohort, tmp_path, capsys):
    subject = next(item for item in DataSet(cohort).subjects if item.ct)
    code, _, _ = run_dataset(
        capsys, "export-slices", cohort / subject.ct, f"--l1={subject.l1_z_mm}", f"--l2={subject.l2_z_mm}",
        "-o", tmp_path / "slices", "--format", "tiff",
    )  # fmt: skip
    assert code == 0
    sidecars = [json.loads(path.read_text()) for path in sorted((tmp_path / "slices").glob("*.slice.json"))]
    assert [item["level"] for item in sidecars] == ["L1", "L2"]
    uid = open_ct(cohort / subject.ct).series_instance_uid
    data = DataSet(cohort)
    for item in sidecars:
        assert item["series_uid"] == uid
        assert subject.subject not in item["image"]
        picture = tmp_path / "slices" / item["image"]
        assert hashlib.sha256(picture.read_bytes()).hexdigest() == item["sha256"]
        grey = np.asarray(Image.open(picture))
        assert (grey.shape, grey.dtype) == ((512, 512), np.uint8)
        hu, truth = (array[0] for array in data.slices.read([data.slice_index(subject.subject, item["level"])]))
        low, high = item["window_hu"]
        np.testing.assert_array_equal(grey, np.round(np.clip((hu - low) / (high - low), 0, 1) * 255))
        inside = truth > 127
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        ring = [[float(np.flatnonzero(inside[row])[0]), row + 0.5] for row in rows]
        ring += [[float(np.flatnonzero(inside[row])[-1]) + 1, row + 0.5] for row in rows[::-1]]
        assert len(columns) > 20
        write_geojson(tmp_path / "drawn" / f"{item['image']}.geojson", feature([*ring, ring[0]], item["level"]))
    assert import_drawn(capsys, tmp_path)[0] == 0
    row = read_manifest(tmp_path / "set" / "subjects.csv")[0]
    assert row.series_uid == uid
    assert run_dataset(capsys, "build", tmp_path / "set")[0] == 0
    built = DataSet(tmp_path / "set")
    for level in ("L1", "L2"):
        drawn_mask = built.slices.read([built.slice_index(row.subject, level)])[1][0] > 127
        truth = data.slices.read([data.slice_index(subject.subject, level)])[1][0] > 127
        assert 2 * (drawn_mask & truth).sum() / (drawn_mask.sum() + truth.sum()) > 0.97


# -- the forms that QuPath writes


@pytest.mark.parametrize("text", [QUPATH_02, QUPATH_03, QUPATH_04, QUPATH_05], ids=["0.2", "0.3", "0.4", "0.5"])
@pytest.mark.parametrize("suffix", [".geojson", ".json", ".geojson.gz", ".png.geojson"])
def test_each_version_is_read(drawn, capsys, text, suffix):
    (drawn / "drawn" / "P1_L1.geojson").unlink()
    data = (text % json.dumps(ellipse("L1"))).encode()
    (drawn / "drawn" / f"P1_L1{suffix}").write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    code, said, _ = import_drawn(capsys, drawn)
    assert (code, said.splitlines()[0]) == (0, "P1: L1 and L2")


def test_holes_and_parts_are_kept(tmp_path):
    square = [[10, 10], [50, 10], [50, 50], [10, 50], [10, 10]]
    hole = [[20, 20], [30, 20], [30, 30], [20, 30], [20, 20]]
    other = [[60, 60], [70.5, 60], [70.5, 70], [60, 70], [60, 60]]
    shape = {"type": "MultiPolygon", "coordinates": [[square, hole], [other]]}
    path = write_geojson(tmp_path / "a.geojson", {**feature(square), "geometry": shape})
    found = read_annotations(path)[0].shape
    covered = coverage(found, 100, 100)
    assert covered.sum() == pytest.approx(1600 - 100 + 105)
    assert (covered[25, 25], covered[15, 15], covered[65, 70]) == (0.0, 1.0, 0.5)


def test_coverage_is_exact_between_pixels():
    disc = shapely.Point(20.37, 19.81).buffer(7.3, quad_segs=64)
    covered = coverage(disc, 40, 40)
    assert covered.sum() == pytest.approx(disc.area, rel=1e-9)
    row, column = np.mgrid[:40, :40] + 0.5
    assert (covered * column).sum() / covered.sum() == pytest.approx(disc.centroid.x, abs=0.01)
    assert (covered * row).sum() / covered.sum() == pytest.approx(disc.centroid.y, abs=0.01)
    assert coverage(shapely.box(-5, -5, 0, 0), 40, 40).sum() == 0
    assert coverage(shapely.box(-5, -5, 1.5, 1), 40, 40).sum() == pytest.approx(1.5)


def test_two_polygons_of_a_level_are_joined(drawn, capsys):
    ring = np.array(ellipse("L1"))
    half = [
        shapely.Polygon(ring).intersection(box) for box in (shapely.box(0, 0, 84, 160), shapely.box(80, 0, 160, 160))
    ]
    features = [feature([list(point) for point in part.exterior.coords]) for part in half]
    write_geojson(drawn / "drawn" / "P1_L1.geojson", *features, bare=True)
    code, said, _ = import_drawn(capsys, drawn)
    assert code == 0
    assert "note: P1_L1.geojson: 2 annotations of L1 were joined." in said
    mask = read_vertebrae(drawn / "set" / "masks" / "P1.seg.nrrd", ["L1"])["L1"].mask
    assert mask.sum() == pytest.approx(shapely.Polygon(ring).area, rel=0.01)


def test_an_ignored_class_is_left_out(drawn, capsys):
    ring = ellipse("L1")
    junk = feature([[1, 1], [9, 1], [9, 9], [1, 1]], "Ignore*")
    write_geojson(drawn / "drawn" / "P1_L1.geojson", feature(ring), junk)
    assert import_drawn(capsys, drawn)[0] == 0


# -- several subjects, and a manifest that is there


def test_the_good_are_imported_and_the_bad_left_out(tmp_path, capsys):
    folder = export_and_draw(export_and_draw(tmp_path, capsys, name="P1"), capsys, name="P2")
    write_geojson(folder / "drawn" / "P2_L2.geojson", feature(ellipse("L2"), "Stroma"))
    write_geojson(folder / "drawn" / "P9_L1.geojson", feature(ellipse("L1")))
    code, said, _ = import_drawn(capsys, folder)
    assert code == 1
    assert said.splitlines()[0] == "P1: L1 and L2"
    assert "left out: P2: P2_L2.geojson, annotation 1 has the class 'Stroma'" in said
    assert "left out: P9_L1.geojson: no exported slice has that name" in said
    assert [row.subject for row in read_manifest(folder / "set" / "subjects.csv")] == ["P1"]
    assert [path.name for path in (folder / "set" / "masks").iterdir()] == ["P1.seg.nrrd"]


def test_cells_that_are_filled_in_are_kept_or_refused(drawn, capsys):
    assert import_drawn(capsys, drawn)[0] == 0
    manifest = drawn / "set" / "subjects.csv"
    row = read_manifest(manifest)[0]
    own = Subject("P1", sex="F", bmd_l1=130.0, l1_z_mm=row.l1_z_mm + 0.4)
    other = Subject("P0", sex="M")
    write_manifest([other, own], manifest)
    assert import_drawn(capsys, drawn)[0] == 0
    rows = read_manifest(manifest)
    assert rows[0] == other
    assert (rows[1].sex, rows[1].bmd_l1, rows[1].l1_z_mm) == ("F", 130.0, own.l1_z_mm)
    assert (rows[1].masks, rows[1].ct) == (row.masks, row.ct)
    for cells, says in (
        ({"l1_z_mm": row.l1_z_mm + 6}, "has L1 at S"),
        ({"masks": "masks/own.nrrd"}, "names the outlines masks/own.nrrd already; empty that cell"),
        ({"ct": "ct/other"}, "names the CT ct/other, and the pictures are of another"),
    ):
        write_manifest([Subject("P1", **cells)], manifest)
        code, _, error = import_drawn(capsys, drawn)
        assert (code, says in error) == (4, True), error


def test_one_level_is_imported_and_not_lost_again(drawn, capsys):
    code, said, _ = import_drawn(capsys, drawn, drawn / "drawn" / "P1_L1.geojson")
    assert code == 0
    assert "note: P1: no outline of L2" in said
    assert read_manifest(drawn / "set" / "subjects.csv")[0].l2_z_mm is None
    assert "P1.seg.nrrd holds L1 already" in import_drawn(capsys, drawn, drawn / "drawn" / "P1_L2.geojson")[2]
    assert import_drawn(capsys, drawn)[0] == 0
    assert set(read_vertebrae(drawn / "set" / "masks" / "P1.seg.nrrd", ["L1", "L2"])) == {"L1", "L2"}


def test_two_drawings_of_one_picture_are_told(drawn, capsys):
    shutil.copy(drawn / "drawn" / "P1_L1.geojson", drawn / "drawn" / "P1_L1.png.geojson")
    assert "two GeoJSON files for P1_L1.png; keep the right one" in import_drawn(capsys, drawn)[2]


def test_wrong_paths_are_told(drawn, capsys, tmp_path):
    assert "There is no GeoJSON at" in import_drawn(capsys, drawn, drawn / "none.geojson")[2]
    (tmp_path / "empty").mkdir()
    assert "There is no GeoJSON there" in import_drawn(capsys, drawn, tmp_path / "empty")[2]
    code, _, error = run_dataset(
        capsys, "import-qupath", drawn / "drawn", "--slices", tmp_path / "empty", "-o", tmp_path / "set"
    )
    assert (code, "holds no exported slice" in error) == (2, True)


# -- export


def test_export_refuses_what_makes_no_sense(tmp_path, capsys):
    ct = tmp_path / "a.nrrd"
    write_ct(ct)
    out = ("-o", tmp_path / "out")
    for words, says in (
        ((), "Give --l1, --l2 or both"),
        (("--l1", "#4", "--l2", "#20"), "L1 does not lie above L2"),
        (("--l1", "#99"), "the scan has slices #0 to #24"),
        (("--l1", "#20", "--subject", "Doe^John"), "A subject cannot be called"),
        (("--l1", "#20", "--window", "100", "100"), "The window goes from"),
    ):
        code, _, error = run_dataset(capsys, "export-slices", ct, *words, *out)
        assert (code, says in error) == (2, True), error
    assert not (tmp_path / "out").exists()


def test_a_picture_is_not_replaced_by_another(tmp_path, capsys):
    ct = tmp_path / "a.nrrd"
    write_ct(ct)
    words = ("export-slices", ct, "--subject", "P1", "-o", tmp_path / "out")
    assert run_dataset(capsys, *words, "--l1", "#20")[0] == 0
    before = (tmp_path / "out" / "P1_L1.png").read_bytes()
    assert run_dataset(capsys, *words, "--l1", "#20")[0] == 0
    code, _, error = run_dataset(capsys, *words, "--l1", "#19")
    assert (code, "is the sidecar of another picture" in error) == (2, True)
    assert (tmp_path / "out" / "P1_L1.png").read_bytes() == before
    assert np.asarray(Image.open(tmp_path / "out" / "P1_L1.png")).shape == (SIDE, SIDE)


def test_real_outlines_come_back(shared_data, tmp_path, capsys):
    """The hand-drawn outlines of a real CT, as if they had been drawn in QuPath."""
    source = shared_data / "acrin-nsclc-fdg-pet-042"
    ct = open_ct(source / "dicom")
    outlines = {item["level"]: item for item in json.loads((source / "outlines.json").read_text())
                if item["level"] in ("L1", "L2") and item["z_ras_mm"] in (-291.51, -330.75)}  # fmt: skip
    assert set(outlines) == {"L1", "L2"}
    words = [f"--{level.lower()}={item['z_ras_mm']}" for level, item in outlines.items()]
    assert (
        run_dataset(capsys, "export-slices", source / "dicom", *words, "--subject", "P1", "-o", tmp_path / "slices")[0]
        == 0
    )
    rings = {}
    for level, item in outlines.items():
        points = np.array(item["polygon_ras_mm"])
        ijk = ct.geometry.ijk(np.column_stack([points, np.full(len(points), item["z_ras_mm"])]))
        rings[level] = (ijk[:, :2] + 0.5).tolist()
        path = tmp_path / "drawn" / f"P1_{level}.geojson"
        write_geojson(path, feature([*rings[level], rings[level][0]], level))
    assert import_drawn(capsys, tmp_path)[0] == 0
    masks = read_vertebrae(tmp_path / "set" / "masks" / "P1.seg.nrrd", ["L1", "L2"])
    for level, item in outlines.items():
        k = ct.geometry.nearest_slice(item["z_ras_mm"])
        mask = masks[level].coverage_on(ct.geometry, k) > 0.5
        ring = shapely.Polygon(rings[level])
        assert mask.sum() == pytest.approx(ring.area, rel=0.01)
        j, i = np.nonzero(mask)
        np.testing.assert_allclose([i.mean() + 0.5, j.mean() + 0.5], [ring.centroid.x, ring.centroid.y], atol=0.1)
    assert run_dataset(capsys, "build", tmp_path / "set")[0] == 0
    code, said, _ = run_dataset(capsys, "check", tmp_path / "set")
    assert code == 0, said
    assert "scanned at another tube voltage" in said
