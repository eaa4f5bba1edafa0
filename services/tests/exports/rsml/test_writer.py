"""Tests of the RSML writer: the schema, and the round trip through the reader."""

import math
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from tests.support.sample_phenotypes import (
    CROSSING_FLAG,
    GIVEN_SCALE,
    NO_SCALE,
    UNLOCATED_FLAG,
    image_metadata,
    phenotype,
    phenotypes,
    seedling,
)
from thale.exports import rsml
from thale.schemas import Phenotype, Root

ACCESSION = "{http://www.plantontology.org/xml-dtd/po.dtd}accession"


def xml_of(found: Phenotype) -> etree._Element:
    return etree.fromstring(rsml.write(found))


def test_write_metadata_has_image_digest_software_and_date() -> None:
    head = xml_of(phenotype(seedling())).find("metadata")
    assert [child.tag for child in head][:7] == [
        "version", "unit", "resolution", "last-modified", "software", "user", "file-key",
    ]  # fmt: skip
    assert head.findtext("image/name") == "plate.png"
    assert head.findtext("image/sha256") == "ab" * 32
    assert head.findtext("software") == "thale 0.1.0"
    assert datetime.fromisoformat(head.findtext("last-modified")).year == 2026


def test_write_resolution_is_pixels_per_millimetre() -> None:
    root = xml_of(phenotype(seedling(), scale=GIVEN_SCALE))
    length_px = float(root.findtext(".//root/properties/length"))
    assert root.findtext("metadata/unit") == "mm"
    assert length_px / float(root.findtext("metadata/resolution")) == pytest.approx(20.0)


def test_write_unknown_scale_is_pixel_with_resolution_one() -> None:
    data = rsml.write(phenotype(seedling(), scale=NO_SCALE))
    head = etree.fromstring(data).find("metadata")
    assert (head.findtext("unit"), head.findtext("resolution")) == ("pixel", "1")
    assert math.isnan(rsml.read(data).mm_per_px)


def test_write_nests_laterals_with_ontology_terms() -> None:
    plant = xml_of(phenotype(seedling())).find("scene/plant")
    primary = plant.find("root")
    assert primary.get(ACCESSION) == "PO:0020127"
    assert primary.find("root").get(ACCESSION) == "PO:0020121"
    assert [child.tag for child in primary] == ["properties", "geometry", "functions", "annotations", "root"]
    assert [(point.get("x"), point.get("y")) for point in primary.iterfind("root/geometry/polyline/point")] == [
        ("100", "150"),
        ("130", "190"),
    ]


def test_write_trait_properties_have_units() -> None:
    root = xml_of(phenotype(seedling()))
    properties = root.find("scene/plant/root/properties")
    assert float(properties.findtext("primary_root_length_mm")) == pytest.approx(20.0)
    definitions = {d.findtext("label"): d.findtext("unit") for d in root.iterfind(".//property-definition")}
    assert definitions["primary_root_length_mm"] == "mm"
    assert definitions["length"] == "pixel"


def test_write_unknown_trait_has_no_property() -> None:
    assert not list(xml_of(phenotype(seedling())).iter("hypocotyl_length_mm"))


def test_write_flags_are_annotations_and_property() -> None:
    root = xml_of(phenotype(seedling(flags=(CROSSING_FLAG, UNLOCATED_FLAG)))).find("scene/plant/root")
    annotation = root.find("annotations/annotation")
    assert (annotation.get("name"), annotation.findtext("value")) == ("crossing", CROSSING_FLAG.message)
    assert root.findtext("properties/flags") == "crossing not_focused"
    assert root.findtext("properties/plant_flags") == "crossing not_focused"


def test_write_landmarks_are_annotations_of_the_first_root() -> None:
    first, second = xml_of(phenotype(seedling())).iterfind("scene/plant//root")
    names = [annotation.get("name") for annotation in first.iterfind("annotations/annotation")]
    assert names == ["root_base", "primary_tip", "lateral_tip"]
    assert second.find("annotations") is None


def test_write_provenance_and_plate_are_defaults_of_definitions() -> None:
    bare = seedling(2).model_copy(update={"roots": ()})
    root = xml_of(phenotype(seedling(), bare, flags=(UNLOCATED_FLAG,)))
    defaults = {d.findtext("label"): d.findtext("default") for d in root.iterfind(".//property-definition")}
    assert defaults["plants_without_roots"] == "2"
    assert defaults["image_flags"] == "not_focused: the photograph is out of focus"
    assert float(defaults["plate_total_root_length_mm"]) == pytest.approx(25)
    assert (defaults["models"], defaults["scale_source"]) == ("plate-seg@1.0.0;plate-landmarks@1.2.0", "given")
    assert [plant.get("id") for plant in root.iterfind("scene/plant")] == ["1"]


def test_write_diameters_in_pixels_and_millimetres() -> None:
    primary = rsml.read(rsml.write(phenotype(seedling()))).plants[0].roots[0]
    values = [(function.name, {sample.value for sample in function.samples}) for function in primary.functions]
    assert values == [("diameter", {4.0}), ("rootDiameter", {0.4})]
    assert [function.name for function in rsml.from_phenotype(phenotype(seedling(), scale=NO_SCALE)).plants[0].roots[0]
            .functions] == ["diameter"]  # fmt: skip


def test_write_insertion_angle_of_lateral_only() -> None:
    primary, lateral = xml_of(phenotype(seedling())).iterfind("scene/plant//root")
    assert float(lateral.findtext("properties/insertion_angle_deg")) == pytest.approx(36.9)
    assert primary.find("properties/insertion_angle_deg") is None


def test_has_roots_is_false_without_plants_or_roots() -> None:
    bare = seedling().model_copy(update={"roots": ()})
    assert [rsml.has_roots(found) for found in (phenotype(), phenotype(bare), phenotype(seedling()))] == [
        False, False, True,
    ]  # fmt: skip
    for found in (phenotype(), phenotype(bare)):
        assert rsml.read(rsml.write(found)).plants == ()


def test_from_phenotype_keeps_roots_with_invalid_parents() -> None:
    def root(own_id: str, parent: str | None) -> Root:
        points = ((0.0, 0.0), (1.0, 1.0))
        return Root(id=own_id, order=2, parent=parent, points=points, length_px=1.4, confidence=1)

    roots = (root("a", "missing"), root("b", "b"), root("c", "d"), root("d", "c"), root("e", "d"))
    document = rsml.from_phenotype(phenotype(seedling().model_copy(update={"roots": roots})))
    assert [(order, each.id) for _, order, each in document.walk()] == [
        (1, "a"), (1, "b"), (1, "c"), (1, "d"), (2, "e"),
    ]  # fmt: skip


def test_from_phenotype_makes_shared_ids_unique() -> None:
    twins = [seedling(), seedling().model_copy(update={"id": 2})]
    ids = [root.id for _, _, root in rsml.from_phenotype(phenotype(*twins)).walk()]
    assert ids == ["1.1", "1.2", "2.1", "2.2"]


def test_write_replaces_characters_invalid_in_xml() -> None:
    found = phenotype(seedling(), image=image_metadata(name="a\x00<b>&\ud800\uffff.png"))
    image = rsml.read(rsml.write(found)).metadata.image
    assert image is not None
    assert image.name == "a�<b>&��.png"


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(phenotypes())
def test_write_round_trips_any_phenotype(found: Phenotype) -> None:
    document = rsml.read(rsml.write(found))
    assert document.warnings == ()
    assert [plant.id for plant in document.plants] == [str(plant.id) for plant in found.plants if plant.roots]
    parents = {child.id: root.id for _, _, root in document.walk() for child in root.roots}
    read = {root.id: (order, root) for _, order, root in document.walk()}
    for root in (root for plant in found.plants for root in plant.roots):
        order, again = read.pop(root.id)
        assert (order, parents.get(root.id)) == (root.order, root.parent)
        for point, other in zip(root.points, again.points, strict=True):
            assert point == pytest.approx(other, abs=6e-4)
    assert not read
    if found.scale.is_known:
        assert document.mm_per_px == pytest.approx(found.scale.mm_per_px)
    assert rsml.read(rsml.save(document)) == document
