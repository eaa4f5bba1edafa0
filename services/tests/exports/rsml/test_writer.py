"""RSML as thale writes it: by the format's schema, and read back as it was."""

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


def test_the_head_names_the_image_its_digest_the_program_and_the_date() -> None:
    head = xml_of(phenotype(seedling())).find("metadata")
    assert [child.tag for child in head][:7] == [
        "version", "unit", "resolution", "last-modified", "software", "user", "file-key",
    ]  # fmt: skip
    assert head.findtext("image/name") == "plate.png"
    assert head.findtext("image/sha256") == "ab" * 32
    assert head.findtext("software") == "thale 0.1.0"
    assert datetime.fromisoformat(head.findtext("last-modified")).year == 2026


def test_resolution_is_pixels_per_millimetre_so_that_length_over_resolution_is_millimetres() -> None:
    root = xml_of(phenotype(seedling(), scale=GIVEN_SCALE))
    length_px = float(root.findtext(".//root/properties/length"))
    assert root.findtext("metadata/unit") == "mm"
    assert length_px / float(root.findtext("metadata/resolution")) == pytest.approx(20.0)


def test_an_unknown_scale_is_unit_pixel_with_resolution_one() -> None:
    data = rsml.write(phenotype(seedling(), scale=NO_SCALE))
    head = etree.fromstring(data).find("metadata")
    assert (head.findtext("unit"), head.findtext("resolution")) == ("pixel", "1")
    assert math.isnan(rsml.read(data).mm_per_px)


def test_laterals_stand_inside_their_primary_with_their_ontology_terms() -> None:
    plant = xml_of(phenotype(seedling())).find("scene/plant")
    primary = plant.find("root")
    assert primary.get(ACCESSION) == "PO:0020127"
    assert primary.find("root").get(ACCESSION) == "PO:0020121"
    assert [child.tag for child in primary] == ["properties", "geometry", "root"]
    assert [(point.get("x"), point.get("y")) for point in primary.iterfind("root/geometry/polyline/point")] == [
        ("100", "150"),
        ("130", "190"),
    ]


def test_traits_are_properties_with_their_unit_in_the_name_and_in_the_definitions() -> None:
    root = xml_of(phenotype(seedling()))
    assert float(root.findtext("scene/plant/properties/primary_root_length_mm")) == pytest.approx(20.0)
    definitions = {d.findtext("label"): d.findtext("unit") for d in root.iterfind(".//property-definition")}
    assert definitions["primary_root_length_mm"] == "mm"
    assert definitions["length"] == "pixel"


def test_a_trait_that_is_not_known_has_no_property() -> None:
    assert xml_of(phenotype(seedling())).find("scene/plant/properties/hypocotyl_length_mm") is None


def test_flags_with_a_place_are_annotations_and_all_flags_are_named() -> None:
    plant = xml_of(phenotype(seedling(flags=(CROSSING_FLAG, UNLOCATED_FLAG)))).find("scene/plant")
    annotation = plant.find("root/annotations/annotation")
    assert (annotation.get("name"), annotation.findtext("value")) == ("crossing", CROSSING_FLAG.message)
    assert plant.findtext("root/properties/flags") == "crossing not_focused"


def test_a_plate_without_plants_and_a_plant_without_roots_are_files_too() -> None:
    bare = seedling().model_copy(update={"roots": ()})
    assert rsml.read(rsml.write(phenotype())).plants == ()
    assert [plant.roots for plant in rsml.read(rsml.write(phenotype(bare))).plants] == [()]


def test_no_root_is_lost_whose_parent_is_missing_or_itself() -> None:
    def root(own_id: str, parent: str | None) -> Root:
        points = ((0.0, 0.0), (1.0, 1.0))
        return Root(id=own_id, order=2, parent=parent, points=points, length_px=1.4, confidence=1)

    roots = (root("a", "nobody"), root("b", "b"), root("c", "d"), root("d", "c"), root("e", "d"))
    document = rsml.from_phenotype(phenotype(seedling().model_copy(update={"roots": roots})))
    assert [(order, each.id) for _, order, each in document.walk()] == [
        (1, "a"), (1, "b"), (1, "c"), (1, "d"), (2, "e"),
    ]  # fmt: skip


def test_ids_that_plants_share_are_made_unique() -> None:
    twins = [seedling(), seedling().model_copy(update={"id": 2})]
    ids = [root.id for _, _, root in rsml.from_phenotype(phenotype(*twins)).walk()]
    assert ids == ["1.1", "1.2", "2.1", "2.2"]


def test_characters_that_xml_cannot_hold_do_not_break_the_file() -> None:
    found = phenotype(seedling(), image=image_metadata(name="a\x00<b>&\ud800\uffff.png"))
    image = rsml.read(rsml.write(found)).metadata.image
    assert image is not None
    assert image.name == "a�<b>&��.png"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(phenotypes())
def test_any_phenotype_is_read_back_with_the_same_lines_nesting_and_ids(found: Phenotype) -> None:
    document = rsml.read(rsml.write(found))
    assert document.warnings == ()
    assert [plant.id for plant in document.plants] == [str(plant.id) for plant in found.plants]
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
