"""What real exports from QuPath get wrong, and the sentences that say so."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from Testing.Python.drawn_ct import (
    PIXEL_MM,
    ellipse,
    export_and_draw,
    feature,
    import_drawn,
    write_ct,
    write_geojson,
)


@pytest.fixture
def drawn(tmp_path, capsys):
    """Return a folder with a CT, its exported slices and the ellipses drawn on them."""
    return export_and_draw(tmp_path, capsys)


BOWTIE = [[60, 60], [110, 100], [110, 60], [60, 100], [60, 60]]


def _line(ring):
    return {**feature(ring), "geometry": {"type": "LineString", "coordinates": ring}}


def _on_plane(ring):
    shape = {"type": "Polygon", "coordinates": [ring], "plane": {"c": -1, "z": 3, "t": 0}}
    return {**feature(ring), "geometry": shape}


def _unclassed(ring):
    plain = feature(ring)
    del plain["properties"]["classification"]
    return plain


WRONG = {
    "microns": (lambda: feature(ellipse("L1", scale=1000 * PIXEL_MM)), "the coordinates seem to be microns"),
    "shrunk": (lambda: feature(ellipse("L1", scale=0.4)), "does not lie on bone"),
    "halved": (lambda: feature(ellipse("L1", scale=0.5)), "the picture seems to have been halved in size"),
    "doubled": (lambda: feature(ellipse("L1", scale=2.0)), "reaches to column.*scaled or cropped"),
    "cropped": (lambda: feature([[x - 45, y - 45] for x, y in ellipse("L1")]), "does not lie on bone"),
    "no class": (lambda: _unclassed(ellipse("L1")), "annotation 1 has no class; give it the class L1 or L2"),
    "other class": (lambda: feature(ellipse("L1"), "Tumor"), "has the class 'Tumor'; only L1 and L2"),
    "L3": (lambda: feature(ellipse("L1"), "L3"), "the class is L3; only L1 and L2"),
    "swapped": (lambda: feature(ellipse("L1"), "L2"), "the picture shows L1, and the annotation's class is L2"),
    "two levels": (lambda: feature(ellipse("L1"), "L1", name="L2"), "'L1' and 'L2', which is not one vertebra"),
    "crossing": (lambda: feature(BOWTIE), "crosses itself near column 85, row 80; redraw it there"),
    "line": (lambda: _line(ellipse("L1")), "is a LineString; draw an area"),
    "plane": (lambda: _on_plane(ellipse("L1")), "plane z = 3.*belongs to another image"),
    "empty": (lambda: {**feature([]), "geometry": None}, "is no shape; draw an area"),
    "no points": (lambda: feature([]), "has no area"),
    "text": (lambda: feature([["a", 1], [2, 3], [4, 5]]), "no polygon"),
    "flat": (lambda: feature([[80, 80], [90, 80], [80, 80]]), "no polygon|no closed area|no area|crosses itself"),
    "tiny": (lambda: feature([[80.1, 80.1], [80.3, 80.1], [80.3, 80.3], [80.1, 80.1]]), "covers no pixel by half"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_export_is_told(drawn, capsys, kind):
    make, says = WRONG[kind]
    write_geojson(drawn / "drawn" / "P1_L1.geojson", make())
    code, _, error = import_drawn(capsys, drawn)
    assert code == 4
    assert "P1_L1.geojson" in error
    assert re.search(says, error), error
    assert not (drawn / "set").exists()


@pytest.mark.parametrize(("scale", "says"), [(0.6, "millimetres"), (600.0, "microns"), (1 / 4, "four times smaller")])
def test_the_likely_unit_is_named(tmp_path, capsys, scale, says):
    folder = export_and_draw(tmp_path, capsys, pixel_mm=0.6)
    write_geojson(folder / "drawn" / "P1_L1.geojson", feature(ellipse("L1", scale=scale)))
    code, _, error = import_drawn(capsys, folder)
    assert (code, says in error) == (4, True), error


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no GeoJSON, or is cut short"),
        (b'{"type": "FeatureCollection", "features": [{"type"', "no GeoJSON, or is cut short"),
        (b'{"type": "FeatureCollection", "features": []}', "holds no annotation"),
        (b'{"type": "FeatureCollection", "features": {}}', "no GeoJSON of annotations"),
        (b'{"a": 1}', "no GeoJSON of annotations"),
        (b"[[[[[1]]]]]", "no GeoJSON of annotations"),
        (b"[" * 100_000, "no GeoJSON, or is cut short"),
        (b'{"type": "Polygon", "coordinates": [[[0,0],[9,0],[9,9],[0,0]]]}', "a shape without a class"),
        (b'[{"type": "Feature", "properties": {"name": "L1"}, "geometry": {"type": "Polygon", "coordinates": '
         b"[[[NaN,0],[9,0],[9,9],[0,0]]]}}]", "no GeoJSON, or is cut short"),
        (b"PK\x03\x04rest", "is a zip file; unpack it"),
        (b"\x1f\x8b\x08rest", "cannot be read"),
        (b"\xff\xfe{\x00}\x00", "no GeoJSON, or is cut short"),
    ],
)  # fmt: skip
def test_a_damaged_geojson_is_told(drawn, capsys, content, says):
    (drawn / "drawn" / "P1_L1.geojson").write_bytes(content)
    code, _, error = import_drawn(capsys, drawn)
    assert code == 4
    assert says in error


def test_a_picture_that_was_changed_is_told(drawn, capsys):
    path = drawn / "slices" / "P1_L1.png"
    exported = path.read_bytes()
    picture = Image.open(path)
    picture.load()
    cases = {
        "was scaled or cropped: it measures 80 x 80 pixels, and 160 x 160": picture.resize((80, 80)),
        "was scaled or cropped: it measures 100 x 160": picture.crop((0, 0, 100, 160)),
        "was edited or saved anew": picture.point(lambda value: 255 - value),
    }
    for says, changed in cases.items():
        changed.save(path)
        assert says in import_drawn(capsys, drawn)[2]
    path.write_bytes(b"no picture")
    assert "is no picture any more" in import_drawn(capsys, drawn)[2]
    path.unlink()
    assert "put the exported picture back" in import_drawn(capsys, drawn)[2]
    path.write_bytes(exported)
    assert import_drawn(capsys, drawn)[0] == 0


def test_a_changed_or_missing_ct_is_told(drawn, capsys):
    ct = drawn / "ct" / "P1.nrrd"
    kept = ct.read_bytes()
    write_ct(ct, seed=99)
    assert "is not the one of which P1_L1.png was exported" in import_drawn(capsys, drawn)[2]
    ct.unlink()
    assert "cannot be opened" in import_drawn(capsys, drawn)[2]
    ct.write_bytes(kept)
    assert import_drawn(capsys, drawn)[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("osteoscreen-slice-image/1", "osteoscreen-slice-image/9"),
        lambda text: text.replace('"slice_index": 20', '"slice_index": 2000'),
        lambda text: text.replace('"P1_L1.png"', '"../P1_L1.png"'),
        lambda text: text.replace('"subject": "P1"', '"subject": "Doe^John"'),
        lambda text: text.replace('"ct_shape": [', '"ct_shape": ["x",'),
    ],
)
def test_a_damaged_sidecar_is_told(drawn, capsys, change):
    path = drawn / "slices" / "P1_L1.slice.json"
    path.write_text(change(path.read_text()))
    code, _, error = import_drawn(capsys, drawn)
    assert code == 4
    assert "P1_L1.slice.json cannot be used" in error
    assert "export the slice again" in error
