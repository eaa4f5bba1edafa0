"""Tests of the RSML reader with files of other programs and with malicious files."""

import math
from pathlib import Path

import pytest

from thale.errors import AnnotationError
from thale.exports import rsml
from thale.exports.rsml.dates import iso_date
from thale.exports.rsml.spline import catmull_rom

REAL_FILES = Path(__file__).parents[5] / "shared" / "data" / "roots-barley-paper"

HEAD = "<metadata><version>1</version><unit>{unit}</unit><resolution>{resolution}</resolution></metadata>"
LINE = '<geometry><polyline><point x="{x}" y="0"/><point x="{x}" y="100"/></polyline></geometry>'


def document(scene: str = "", unit: str = "pixel", resolution: str = "1") -> rsml.RsmlDocument:
    head = HEAD.format(unit=unit, resolution=resolution)
    return rsml.read(f"<rsml>{head}<scene>{scene}</scene></rsml>".encode())


def codes(read: rsml.RsmlDocument) -> list[str]:
    return [flag.code for flag in read.warnings]


@pytest.mark.slow
def test_read_and_save_published_files_without_loss() -> None:
    files = sorted(REAL_FILES.glob("*.rsml"))
    if not files:
        pytest.skip(f"no RSML files in {REAL_FILES}: the barley data set is not part of this repository")
    roots = 0
    for file in files:
        read = rsml.read(file.read_bytes())
        assert all(root.length_px > 0 for _, _, root in read.walk()), file.name
        assert math.isnan(read.mm_per_px), "the resolution of the files is 'xxx dpi'"
        assert "rsml_spline_only" in codes(read)
        assert rsml.read(rsml.save(read)) == read
        roots += sum(1 for _ in read.walk())
    assert (len(files), roots) == (40, 591)


@pytest.mark.parametrize(
    ("unit", "resolution", "mm_per_px"),
    [
        ("mm", "20", 0.05),
        ("cm", "100", 0.1),
        ("inch", "254", 0.1),
        ("inch", "300 dpi", 25.4 / 300),
        ("cm", "300dpi", 25.4 / 300),
        ("mm", "12,5", 0.08),
        ("um", "0.01", 0.1),
        ("pixel", "1", math.nan),
        ("pixel", "xxx dpi", math.nan),
        ("mm", "0", math.nan),
        ("mm", "-3", math.nan),
        ("mm", "", math.nan),
        ("furlong", "3", math.nan),
    ],
)
def test_read_scale_from_unit_and_resolution(unit: str, resolution: str, mm_per_px: float) -> None:
    assert document(unit=unit, resolution=resolution).mm_per_px == pytest.approx(mm_per_px, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-02-20T00:00:00", "2014-02-20T00:00:00"),
        ("2014-02-20", "2014-02-20"),
        ("6/20/2024 6:03:01 PM", "2024-06-20T18:03:01"),
        ("4/9/2024 12:05:00 AM", "2024-04-09T00:05:00"),
        ("26/06/2024 17:51:29", "2024-06-26T17:51:29"),
        ("06/06/2024", "2024-06-06T00:00:00"),
        ("04/09/2024 10:45:58", None),
        ("31/02/2024", None),
        ("25/25/2024", None),
        ("today", None),
        ("", None),
    ],
)
def test_iso_date_reads_us_and_european_dates_if_unambiguous(text: str, expected: str | None) -> None:
    assert iso_date(text) == expected


def test_read_accepts_id_spellings_and_creates_missing_ids() -> None:
    scene = (
        f'<plant ID="p"><root id="" label="x">{LINE.format(x=1)}</root><root>{LINE.format(x=2)}</root></plant><plant/>'
    )
    read = document(scene)
    assert [plant.id for plant in read.plants] == ["p", "2"]
    assert [root.id for _, _, root in read.walk()] == ["p.1", "p.2"]
    assert {"rsml_id_spelling", "rsml_no_id"} <= set(codes(read))


def test_read_renames_duplicate_ids() -> None:
    root = f'<root id="1">{LINE.format(x=1)}</root>'
    read = document(f'<plant id="1">{root}{root}</plant>')
    assert [root.id for _, _, root in read.walk()] == ["1", "1-2"]
    assert codes(read) == ["rsml_duplicate_id"]


def test_read_accession_with_and_without_namespace() -> None:
    spellings = (
        'accession="PO:0020127"',
        'xmlns:po="http://www.plantontology.org/xml-dtd/po.dtd" po:accession="PO:0020127"',
        'poaccession="PO:0020127"',
    )
    for spelling in spellings:
        read = document(f'<plant id="1"><root id="1" {spelling}>{LINE.format(x=1)}</root></plant>')
        assert [root.accession for _, _, root in read.walk()] == ["PO:0020127"]


def test_read_error_names_undeclared_namespace() -> None:
    with pytest.raises(AnnotationError, match="po"):
        document(f'<plant id="1"><root id="1" po:accession="PO:1">{LINE.format(x=1)}</root></plant')


def test_read_nests_flat_laterals_below_nearest_primary() -> None:
    scene = (
        f'<plant id="1"><root id="a" label="primary">{LINE.format(x=0)}</root>'
        f'<root id="b" label="primary">{LINE.format(x=50)}</root>'
        '<root id="c" label="lateral"><geometry><polyline><point x="48" y="40"/><point x="30" y="60"/></polyline>'
        "</geometry></root></plant>"
    )
    read = document(scene)
    assert [(order, root.id) for _, order, root in read.walk()] == [(1, "a"), (1, "b"), (2, "c")]
    assert codes(read) == ["rsml_flat_laterals"]


def test_read_does_not_nest_laterals_without_primary() -> None:
    read = document(f'<plant id="1"><root id="a" label="lateral">{LINE.format(x=0)}</root></plant>')
    assert [order for _, order, _ in read.walk()] == [1]


def test_read_keeps_root_without_geometry_with_warning() -> None:
    read = document('<plant id="1"><root id="a" label="lost"/></plant>')
    assert [(root.id, root.points, root.length_px) for _, _, root in read.walk()] == [("a", (), 0.0)]
    assert codes(read) == ["rsml_no_geometry"]
    assert rsml.read(rsml.save(read)) == read


def test_catmull_rom_passes_through_control_points() -> None:
    control = ((0.0, 0.0), (50.0, 0.0), (50.0, 50.0))
    curve = catmull_rom(control)
    assert set(control) <= set(curve)
    assert (curve[0], curve[-1]) == (control[0], control[-1])
    assert catmull_rom(control[:2]) == control[:2]


def test_read_point_formats_and_skip_invalid_points() -> None:
    points = (
        '<point x="1,5" y="2"/><point><x>3</x><y>4</y></point><point x="NaN" y="1"/><point x="1e999" y="1"/><point/>'
    )
    read = document(f'<plant id="1"><root id="1"><geometry><polyline>{points}</polyline></geometry></root></plant>')
    assert read.plants[0].roots[0].points == ((1.5, 2.0), (3.0, 4.0))
    assert codes(read) == ["rsml_decimal_comma", "rsml_bad_point"]


def test_save_preserves_third_dimension() -> None:
    points = '<point x="1" y="2" z="3"/><point x="1" y="2"/>'
    read = document(f'<plant id="1"><root id="1"><geometry><polyline>{points}</polyline></geometry></root></plant>')
    assert read.plants[0].roots[0].depths == (3.0, None)
    assert rsml.read(rsml.save(read)) == read


def test_save_preserves_unknown_elements() -> None:
    scene = (
        "<properties><weather>rain</weather></properties>"
        f'<plant id="1" colour="red"><root id="1" mood="good"><properties><dead value="true"/><deep><er>1</er></deep>'
        f"</properties>{LINE.format(x=1)}"
        '<functions><function name="hair" domain="length" origin="tip">'
        '<sample position="1.5" value="0.0000001"/></function>'
        '<function name="odd" domain="uniform"><sample value="red"/></function></functions>'
        '<annotations><annotation name="note"><point x="1" y="2"/><value>here</value><software>RootNav</software>'
        "</annotation></annotations><future><thing/></future></root></plant><cloud/>"
    )
    read = document(scene)
    saved = rsml.save(read)
    assert rsml.read(saved) == read
    for preserved in (
        b"rain",
        b"colour",
        b"mood",
        b"<er>",
        b"hair",
        b"0.0000001",
        b'"red"',
        b"here",
        b"<thing/>",
        b"<cloud/>",
    ):
        assert preserved in saved
    assert read.plants[0].roots[0].functions == (rsml.Function("hair", "length", (rsml.Sample(1e-7, 1.5),), "tip"),)


def test_save_preserves_namespace_of_properties() -> None:
    read = document('<properties><x:age xmlns:x="urn:x">3</x:age><day>5</day></properties>')
    assert [(each.name, each.value) for each in read.properties] == [("age", "3"), ("day", "5")]
    saved = rsml.save(read)
    assert b'<x:age xmlns:x="urn:x">3</x:age>' in saved
    assert b"<day>5</day>" in saved
    assert rsml.read(saved) == read


def test_save_preserves_time_sequence_and_definitions() -> None:
    head = (
        "<metadata><time-sequence><label>s</label><index>3</index><unified>true</unified></time-sequence>"
        "<property-definitions><property-definition><label>age</label><type>real</type><unit>d</unit>"
        "<default>1</default></property-definition></property-definitions><private>x</private></metadata>"
    )
    read = rsml.read(f"<rsml>{head}<scene/></rsml>".encode())
    assert read.metadata.time_sequence == rsml.TimeSequence("s", 3, unified=True)
    assert read.metadata.property_definitions == (rsml.PropertyDefinition("age", "real", "d", "1"),)
    assert rsml.read(rsml.save(read)) == read


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"no xml",
        b"<rsml>",
        b"<rsml><scene></rsml>",
        b"<svg/>",
        b"\xff\xfe\x00",
        b"{}",
        b"<rsml>" + b"\x00" * 100,
        b'<?xml version="1.0" encoding="utf-99"?><rsml/>',
    ],
)
def test_read_rejects_other_data(data: bytes) -> None:
    with pytest.raises(AnnotationError):
        rsml.read(data)


def test_read_rejects_truncated_files() -> None:
    whole = f'<rsml><scene><plant id="1"><root id="1">{LINE.format(x=1)}</root></plant></scene></rsml>'.encode()
    for end in range(len(whole)):
        with pytest.raises(AnnotationError):
            rsml.read(whole[:end])


def test_read_rejects_entities(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret content")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    for declarations in (
        f'<!ENTITY x SYSTEM "{secret.as_uri()}">',
        '<!ENTITY x SYSTEM "http://127.0.0.1:1/x">',
        f'<!ENTITY l0 "ha">{laughs}<!ENTITY x "&l9;">',
        f'<!ENTITY % p SYSTEM "{secret.as_uri()}"><!ENTITY x "1">',
    ):
        for body in ("<rsml>&x;</rsml>", '<rsml a="&x;"/>' if "SYSTEM" not in declarations else "<rsml/>"):
            with pytest.raises(AnnotationError):
                rsml.read(f"<!DOCTYPE rsml [{declarations}]>{body}".encode())


def test_read_does_not_fetch_external_dtd() -> None:
    assert rsml.read(b'<!DOCTYPE rsml SYSTEM "http://127.0.0.1:1/rsml.dtd"><rsml><scene/></rsml>').plants == ()


def test_read_rejects_files_above_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnnotationError, match="depth"):
        rsml.read(b"<rsml><scene><plant>" + b"<root>" * 100_000)
    monkeypatch.setattr("thale.exports.rsml.xml.MAX_ELEMENTS", 1000)
    with pytest.raises(AnnotationError, match="more than 1000 elements"):
        rsml.read(b"<rsml>" + b"<a/>" * 2000 + b"</rsml>")
    monkeypatch.setattr("thale.exports.rsml.xml.MAX_BYTES", 2**20)
    with pytest.raises(AnnotationError, match="1 MiB"):
        rsml.read(b"<rsml>" + b" " * 2**21 + b"</rsml>")


def test_read_rejects_roots_above_max_order() -> None:
    deep = b"<root>" * (rsml.MAX_ORDER + 1) + b"</root>" * (rsml.MAX_ORDER + 1)
    with pytest.raises(AnnotationError, match="nested"):
        rsml.read(b"<rsml><scene><plant>" + deep + b"</plant></scene></rsml>")


def test_save_accepts_roots_of_max_order() -> None:
    depth = rsml.MAX_ORDER
    read = rsml.read(b"<rsml><scene><plant>" + b"<root>" * depth + b"</root>" * depth + b"</plant></scene></rsml>")
    assert max(order for _, order, _ in read.walk()) == depth
    assert rsml.read(rsml.save(read)) == read
