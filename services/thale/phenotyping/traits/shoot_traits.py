"""Traits of shoots: hypocotyl, projected area and leaves."""

from thale.phenotyping.traits import area, ontology, shoot
from thale.phenotyping.traits.definitions import Trait
from thale.phenotyping.traits.sources import OWN, VERROUST_LAZARUS_2000
from thale.schemas import Flag

SHOOT_TRAITS = (
    Trait(
        name="hypocotyl_length",
        label="Hypocotyl length",
        dimension="length",
        definition="Length of the hypocotyl, from the root base to the cotyledons.",
        formula="geodesic distance from the root base to the end of the hypocotyl",
        method="Geodesic length through the shoot's outline from the root base to the point where a geodesic front "
        "splits or widens. Unknown if leaves hide the hypocotyl.",
        source=f"own method; level sets as in {VERROUST_LAZARUS_2000}",
        ontology=ontology.HYPOCOTYL_LENGTH,
        basis="hypocotyl",
        function=lambda plant, _plate: shoot.hypocotyl_length(plant),
        unknown=Flag(code="hypocotyl_hidden", message="the end of the hypocotyl is not visible in the shoot's outline"),
    ),
    Trait(
        name="shoot_area",
        label="Shoot area, projected",
        dimension="area",
        definition="Area of the shoot's projection into the image plane.",
        formula="number of shoot pixels",
        method="Pixels of the shoot in the image. Overlapping leaves count once.",
        source=OWN,
        ontology=ontology.leaf_area("projected area of the shoot, hypocotyl included"),
        basis="shoot",
        function=lambda plant, _plate: area.shoot_area(plant),
    ),
    Trait(
        name="leaf_count",
        label="Leaf count",
        dimension="number",
        definition="Number of visible leaves, cotyledons included.",
        formula="n",
        method="Leaf tips of a landmark model that detects them, else the ends of the outline: prominent maxima of the "
        "geodesic distance from the root base. Overlapping leaves count once.",
        source=f"own method; level sets as in {VERROUST_LAZARUS_2000}",
        ontology=ontology.LEAF_NUMBER,
        basis="leaves",
        function=lambda plant, _plate: shoot.leaf_count(plant),
    ),
    Trait(
        name="root_shoot_area_ratio",
        label="Root to shoot ratio, of projected areas",
        dimension="number",
        definition="Projected area of the root system over projected area of the shoot; not a ratio of masses.",
        formula="root area / shoot area",
        method="Pixels of the root system within 0.6 mm of its centre lines, over pixels of the shoot.",
        source=OWN,
        basis="roots_and_shoot",
        function=lambda plant, _plate: area.root_shoot_area_ratio(plant),
    ),
)
