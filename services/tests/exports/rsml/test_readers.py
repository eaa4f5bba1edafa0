"""Tests of what other programs require of an RSML file: archiDART 3.4, SmartRoot and the viewer of RootNav 2.

The requirements are from the source of their readers. The test with archiDART itself runs if Rscript and archiDART are
installed: `apt-get install r-base-core r-cran-xml r-cran-sp r-cran-geometry r-cran-gtools`, then in R
`install.packages("archiDART")`, or `R CMD INSTALL` of its source.
"""

import csv
import io
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from tests.support.sample_phenotypes import (
    CROSSING_FLAG,
    NO_SCALE,
    UNLOCATED_FLAG,
    image_metadata,
    phenotype,
    phenotypes,
    seedling,
)
from thale.exports import rsml
from thale.schemas import Phenotype, Plant, Root

ARCHIDART_UNITS = {"pixel", "m", "cm", "mm", "um", "nm", "inch"}
METADATA = {
    "version", "unit", "resolution", "last-modified", "software", "user", "file-key", "image", "property-definitions",
    "time-sequence",
}  # fmt: skip
FLAGGED = (CROSSING_FLAG, UNLOCATED_FLAG)


def bare(number: int) -> Plant:
    return seedling(number).model_copy(update={"roots": ()})


def branched(number: int, x: float) -> Plant:
    """Return a plant with roots of three orders. Laterals begin between the points of their parents."""
    plant = seedling(number, x)
    points = ((x + 15.0, 170.0), (x + 60.0, 175.0))
    second = Root(
        id=f"{number}.1.1",
        order=3,
        parent=f"{number}.1",
        points=points,
        length_px=math.dist(*points),
        confidence=0.8,
        diameter_px=2.5,
    )
    return plant.model_copy(update={"roots": (*plant.roots, second)})


EXAMPLES = {
    "two plants": phenotype(seedling(), branched(2, 250.0)),
    "flags of image and plants": phenotype(seedling(1, 100.0, FLAGGED), seedling(2, 250.0), flags=FLAGGED),
    "a plant without roots": phenotype(bare(1), seedling(2, 250.0), bare(3)),
    "no scale": phenotype(branched(1, 100.0), scale=NO_SCALE, plate=None),
}


@pytest.fixture(params=EXAMPLES)
def document(request: pytest.FixtureRequest) -> etree._Element:
    return etree.fromstring(rsml.write(EXAMPLES[request.param]))


def polyline_of(root: etree._Element) -> list[etree._Element]:
    return list(root.find("geometry/polyline"))


def test_archidart_finds_only_plants_in_a_scene(document: etree._Element) -> None:
    # rsmlToDART: `for (r0 in plants)` visits every child of the scene, and treats it as a plant.
    assert {child.tag for child in document.find("scene")} == {"plant"}


def test_archidart_finds_only_roots_in_a_plant(document: etree._Element) -> None:
    # rsmlToDART: every child of a plant that is a list is a root with geometry. A plant needs at least one.
    for plant in document.iterfind("scene/plant"):
        assert {child.tag for child in plant} == {"root"}


def test_archidart_reads_points_by_position(document: etree._Element) -> None:
    # xnodes and ynodes take the first and the second attribute, and each child of the polyline is a point.
    for root in document.iter("root"):
        points = polyline_of(root)
        assert len(points) > 1
        assert {(point.tag, tuple(point.attrib)) for point in points} == {("point", ("x", "y"))}


def test_archidart_reads_one_diameter_per_point(document: etree._Element) -> None:
    # The samples are assigned to the rows of the points, and a sample's first attribute is its value.
    for root in document.iter("root"):
        for function in root.iterfind("functions/function"):
            assert len(function) == len(polyline_of(root))
            assert {tuple(sample.attrib) for sample in function} == {("value",)}


def test_archidart_reads_diameters_in_millimetres(document: etree._Element) -> None:
    # The last definition and the last function named diameter or rootDiameter win. Millimetres are not multiplied by
    # the resolution, while pixels would be mixed with lengths in millimetres.
    labels = [definition.findtext("label") for definition in document.iter("property-definition")]
    diameters = [label for label in labels if label in ("diameter", "rootDiameter")]
    expected = ["diameter", "rootDiameter"] if document.findtext("metadata/unit") == "mm" else ["diameter"]
    assert diameters == expected
    for functions in document.iter("functions"):
        assert [function.get("name") for function in functions] == expected


def test_archidart_converts_the_unit(document: etree._Element) -> None:
    assert document.findtext("metadata/unit") in ARCHIDART_UNITS
    assert float(document.findtext("metadata/resolution")) > 0


def test_smartroot_reads_texts_that_it_requires(document: etree._Element) -> None:
    # RootModel.readRSML takes the first child node of these elements, and Mark.readRSML the name of an annotation.
    for tag in ("unit", "resolution", "file-key", "software"):
        assert document.findtext(f"metadata/{tag}")
    for annotation in document.iter("annotation"):
        assert annotation.get("name")
        assert annotation.findtext("software")


def test_smartroot_reads_diameters_in_pixels(document: etree._Element) -> None:
    # Root.readRSML takes the function "diameter" of the domain "polyline". It advances through points and samples in
    # step, with the white space between them, and its coordinates are pixels.
    for root in document.iter("root"):
        for function in root.iterfind("functions/function[@name='diameter']"):
            assert function.get("domain") == "polyline"
            geometry = root.find("geometry/polyline")
            assert bool((geometry.text or "").strip()) == bool((function.text or "").strip())
            assert all(1 < float(sample.get("value")) < 100 for sample in function)


def test_rootnav_reads_samples_and_definitions(document: etree._Element) -> None:
    # RSMLRootReader fails on a sample without a value, and reads definitions by label and type.
    assert all(sample.get("value") for sample in document.iter("sample"))
    assert {function.get("domain") for function in document.iter("function")} <= {"polyline", "uniform", "length"}
    for definition in document.iter("property-definition"):
        assert definition.findtext("label")
        assert definition.findtext("type") in ("real", "string")


def check_schema(document: etree._Element) -> None:
    """Check the order and number of elements by rsml.xsd of the RSML validator."""
    assert {child.tag for child in document.find("metadata")} <= METADATA
    for definition in document.iter("property-definition"):
        assert {child.tag for child in definition} <= {"label", "type", "unit", "default"}
    order = ["properties", "geometry", "functions", "annotations", "root"]
    for root in document.iter("root"):
        tags = [child.tag for child in root]
        assert tags == sorted(tags, key=order.index)
        assert all(tags.count(tag) <= 1 for tag in order[:-1])
        assert "geometry" in tags
    for function in document.iter("function"):
        assert len(function) > 0
        assert all(math.isfinite(float(sample.get("value"))) for sample in function)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(phenotypes())
def test_write_any_phenotype_follows_the_schema(found: Phenotype) -> None:
    check_schema(etree.fromstring(rsml.write(found)))


def run_archidart(folder: Path) -> list[dict[str, str]]:
    """Return the rows of archiDART's rsmlToTable for all files of a folder, with lengths in mm."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed: apt-get install r-base-core r-cran-xml")
    check = subprocess.run(["Rscript", "-e", "library(archiDART)"], capture_output=True, text=True, check=False)
    if check.returncode:
        pytest.skip('archiDART is not installed in R: install.packages("archiDART") in R, or set R_LIBS to its folder')
    script = (
        f'folder <- "{folder}"; table <- archiDART::rsmlToTable(folder, unitlength="mm"); '
        f'traits <- archiDART::architect(inputrsml=folder, unitlength="mm"); '
        f'write.csv(as.data.frame(unclass(table)), file.path(folder, "table.csv")); '
        f'write.csv(traits, file.path(folder, "traits.csv"))'
    )
    run = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return list(csv.DictReader(io.StringIO((folder / "table.csv").read_text())))


def all_roots(found: Phenotype) -> Iterator[tuple[Plant, Root]]:
    for plant in found.plants:
        for root in plant.roots:
            yield plant, root


@pytest.mark.integration
def test_archidart_measures_the_written_roots(tmp_path: Path) -> None:
    for number, found in enumerate(EXAMPLES.values()):
        renamed = found.model_copy(update={"image": image_metadata(f"{number}.png")})
        (tmp_path / f"plate{number}.rsml").write_bytes(rsml.write(renamed))
    rows = run_archidart(tmp_path)
    for number, found in enumerate(EXAMPLES.values()):
        own = [row for row in rows if row["file"] == f"plate{number}"]
        mm_per_px = found.scale.mm_per_px if found.scale.is_known else 1.0
        expected = {(plant.id, root.order): root for plant, root in all_roots(found)}
        ids = [plant.id for plant in found.plants if plant.roots]
        measured: dict[tuple[int, int], float] = {}
        for row in own:
            key = (ids[int(row["plant"]) - 1], int(row["order"]))
            measured[key] = measured.get(key, 0.0) + float(row["length"])
            diameter = expected[key].diameter_px * mm_per_px
            if math.isfinite(diameter):
                assert float(row["diameter1"]) == pytest.approx(diameter)
        assert measured.keys() == expected.keys()
        for key, length in measured.items():
            # archiDART connects a lateral to its parent, which can add a segment.
            assert length == pytest.approx(expected[key].length_px * mm_per_px, rel=0.02)
    traits = list(csv.DictReader(io.StringIO((tmp_path / "traits.csv").read_text())))
    assert len(traits) == sum(bool(plant.roots) for found in EXAMPLES.values() for plant in found.plants)
