"""Traits of roots: lengths, counts, angles, diameter and the shape of the root system."""

from thale.phenotyping.traits import angle, area, diameter, length, ontology, shape
from thale.phenotyping.traits.definitions import Trait
from thale.phenotyping.traits.sources import (
    DELORY_2016,
    DUBROVSKY_FORDE_2012,
    GALKOVSKYI_2012,
    GRABOV_2005,
    LOBET_2011,
    OWN,
    SEETHEPALLI_2021,
)
from thale.schemas import Flag

_CENTRE_LINE = "Length of the traced centre line, smoothed along its arc, because a chain of pixels is too long"
_PLATE_AXES = (
    "The axes are those of the plate: its upper edge, and the direction perpendicular to it. Without a plate edge they "
    "are those of the image, and the value is uncertain"
)
_DIAMETER = (
    "D is the Euclidean distance transform of the root probability at 0.5 and above, without sections near other "
    "roots, near ends, and below 0.5. Unknown for a root of less than 4.5 px in the image or at the model's scale "
    "(0.28 mm at 16 px/mm), which the prediction makes too wide."
)
_DIAMETER_UNKNOWN = Flag(
    code="diameter_unknown",
    message="the diameter is unknown: the roots are thinner than 4.5 px at the scale of the model, too faint, or too "
    "close to other roots",
)

_LENGTHS = (
    Trait(
        name="primary_root_length",
        label="Primary root length",
        dimension="length",
        definition="Length of the primary root from the root base to the primary tip.",
        formula="L = sum of |P(i+1) - P(i)|",
        method=f"{_CENTRE_LINE}.",
        source=SEETHEPALLI_2021,
        ontology=ontology.root_length("broadMatch", "primary root"),
        basis="primary",
        function=lambda plant, _plate: length.primary_root_length(plant),
    ),
    Trait(
        name="total_root_length",
        label="Total root length",
        dimension="length",
        definition="Length of the primary root and of laterals of every order.",
        formula="sum of L over all roots",
        method=f"{_CENTRE_LINE}.",
        source=SEETHEPALLI_2021,
        ontology=ontology.root_length("relatedMatch", "sum over all roots of a plant"),
        basis="roots",
        function=lambda plant, _plate: length.total_root_length(plant),
    ),
    Trait(
        name="lateral_root_count",
        label="Lateral root count",
        dimension="number",
        definition="Number of laterals of every order.",
        formula="n",
        method="Laterals that end at a detected tip, whatever their length, and other laterals of at least 6 mm.",
        source=OWN,
        ontology=ontology.lateral_root_number("closeMatch", "visible laterals of every order"),
        basis="roots",
        function=lambda plant, _plate: length.lateral_root_count(plant),
    ),
    Trait(
        name="lateral_root_length",
        label="Lateral root length, sum",
        dimension="length",
        definition="Length of the laterals of every order, from their parent's centre line to their tip.",
        formula="sum of L over the laterals",
        method=f"{_CENTRE_LINE}. It starts where the straight continuation of its free part meets its parent. Of a "
        "lateral that other roots cover, only the end counts.",
        source=SEETHEPALLI_2021,
        ontology=ontology.lateral_root_length("sum over the laterals of a plant"),
        basis="laterals",
        function=lambda plant, _plate: length.lateral_root_length(plant),
    ),
    Trait(
        name="mean_lateral_root_length",
        label="Lateral root length, mean",
        dimension="length",
        definition="Mean length of the laterals of every order.",
        formula="sum of L over the laterals / n",
        method=f"{_CENTRE_LINE}. Unknown without laterals.",
        source=SEETHEPALLI_2021,
        ontology=ontology.lateral_root_length("mean of the laterals of a plant"),
        basis="laterals",
        function=lambda plant, _plate: length.mean_lateral_root_length(plant),
    ),
)

_BRANCHING = (
    Trait(
        name="lateral_density",
        label="Lateral density of the primary root",
        dimension="per_length",
        definition="First-order laterals per length of the primary root.",
        formula="n / L(primary)",
        method="Count of the laterals whose parent is the primary root.",
        source=DUBROVSKY_FORDE_2012,
        ontology=ontology.root_branching("laterals per length of the primary root"),
        basis="roots",
        function=lambda plant, _plate: length.lateral_density(plant),
    ),
    Trait(
        name="lateral_density_branched_zone",
        label="Lateral density of the branched zone",
        dimension="per_length",
        definition="First-order laterals per length of the branched zone.",
        formula="n / L(branched zone)",
        method="Count of the laterals whose parent is the primary root. Unknown with fewer than two.",
        source=DUBROVSKY_FORDE_2012,
        ontology=ontology.root_branching("laterals per length of the branched zone"),
        basis="roots",
        function=lambda plant, _plate: length.lateral_density_of_branched_zone(plant),
    ),
    Trait(
        name="branched_zone_length",
        label="Branched-zone length",
        dimension="length",
        definition="Length of the primary root from its first to its last lateral.",
        formula="s(last) - s(first), with s the arc length of a lateral's origin along the primary root",
        method="Origins of the first-order laterals, projected to the primary root. Zero with fewer than two.",
        source=DUBROVSKY_FORDE_2012,
        basis="roots",
        function=lambda plant, _plate: length.branched_zone_length(plant),
    ),
    Trait(
        name="lateral_insertion_angle",
        label="Lateral insertion angle, mean",
        dimension="angle",
        definition="Angle between a lateral and its parent at the insertion, mean of the laterals of every order: 0 "
        "for a lateral along its parent towards the parent's tip, 90 for a perpendicular one.",
        formula="arccos(u · v), with the unit vectors u of the parent's tip direction and v of the lateral",
        method="u is the parent's chord from 0.5 mm before to 0.5 mm beyond the insertion. v is the lateral's chord "
        "from 0.3 to 2 mm of its length. Unknown for a lateral of less than 1 mm.",
        source=f"{LOBET_2011}; {DELORY_2016}",
        basis="laterals",
        function=lambda plant, _plate: angle.lateral_insertion_angle(plant),
        unknown=Flag(code="insertion_angle_unknown", message="no lateral has a measurable insertion angle"),
    ),
)

_PRIMARY_ROOT = (
    Trait(
        name="primary_root_angle",
        label="Primary root angle to gravity",
        dimension="angle",
        definition="Angle between the plate's vertical axis and the line from the root base to the primary tip, "
        "positive to the right. Plates are upright during growth, so that this axis is the direction of gravity.",
        formula="atan2(x(tip) - x(base), y(tip) - y(base))",
        method=f"{_PLATE_AXES}.",
        source=GRABOV_2005,
        basis="primary",
        function=angle.primary_root_angle,
        uses_axes=True,
    ),
    Trait(
        name="primary_root_tortuosity",
        label="Primary root tortuosity",
        dimension="number",
        definition="Length of the primary root over the distance from its base to its tip: 1 for a straight root.",
        formula="L / |P(tip) - P(base)|",
        method="The inverse of straightness.",
        source=GRABOV_2005,
        ontology=ontology.ROOT_SHAPE,
        basis="primary",
        function=lambda plant, _plate: angle.primary_root_tortuosity(plant),
    ),
    Trait(
        name="primary_root_diameter",
        label="Primary root diameter, mean",
        dimension="length",
        definition="Mean diameter of the primary root.",
        formula="d = mean of 2 D along the centre line, with D the distance to the root's edge",
        method=_DIAMETER,
        source=SEETHEPALLI_2021,
        ontology=ontology.root_thickness("mean diameter of the primary root in the image plane"),
        basis="primary",
        function=lambda plant, _plate: diameter.primary_root_diameter(plant),
        unknown=_DIAMETER_UNKNOWN,
    ),
    Trait(
        name="root_diameter",
        label="Root diameter, mean",
        dimension="length",
        definition="Mean diameter of the roots of every order, weighted by their length.",
        formula="sum of L d / sum of L over all roots",
        method=f"{_DIAMETER} Unknown if the diameter is unknown for more than 10 % of the root length.",
        source=SEETHEPALLI_2021,
        ontology=ontology.root_thickness("mean diameter of all roots in the image plane"),
        basis="roots",
        function=lambda plant, _plate: diameter.root_diameter(plant),
        unknown=_DIAMETER_UNKNOWN,
    ),
)

_SHAPE = (
    Trait(
        name="root_system_width",
        label="Root-system width",
        dimension="length",
        definition="Horizontal extent of all centre lines.",
        formula="max x - min x",
        method=f"{_PLATE_AXES}.",
        source=GALKOVSKYI_2012,
        ontology=ontology.ROOT_SYSTEM_WIDTH,
        basis="roots",
        function=shape.root_system_width,
        uses_axes=True,
    ),
    Trait(
        name="root_system_depth",
        label="Root-system depth",
        dimension="length",
        definition="Vertical extent of all centre lines.",
        formula="max y - min y",
        method=f"{_PLATE_AXES}.",
        source=GALKOVSKYI_2012,
        ontology=ontology.ROOT_SYSTEM_DEPTH,
        basis="roots",
        function=shape.root_system_depth,
        uses_axes=True,
    ),
    Trait(
        name="root_width_depth_ratio",
        label="Root-system width over depth",
        dimension="number",
        definition="Width over depth of the root system.",
        formula="(max x - min x) / (max y - min y)",
        method=f"{_PLATE_AXES}.",
        source=GALKOVSKYI_2012,
        ontology=ontology.ROOT_SYSTEM_WIDTH_TO_DEPTH,
        basis="roots",
        function=shape.width_depth_ratio,
        uses_axes=True,
    ),
    Trait(
        name="convex_hull_area",
        label="Convex-hull area of the root system",
        dimension="area",
        definition="Area of the convex hull of all centre lines.",
        formula="area of the convex hull of all P",
        method="Zero for a straight root.",
        source=GALKOVSKYI_2012,
        basis="roots",
        function=lambda plant, _plate: area.convex_hull_area(plant),
    ),
)

_TIP_POSITION = (
    Trait(
        name="primary_tip_x",
        label="Primary tip, from the plate's left",
        dimension="length",
        definition="Position of the primary tip along the plate's upper edge, from its top left corner.",
        formula="(P(tip) - corner) · (upper edge)",
        method="Unknown if no plate edge was found.",
        source=OWN,
        basis="primary",
        function=lambda plant, plate: float(shape.tip_from_plate_corner(plant, plate)[0]),
    ),
    Trait(
        name="primary_tip_y",
        label="Primary tip, from the plate's top",
        dimension="length",
        definition="Position of the primary tip perpendicular to the plate's upper edge, downwards.",
        formula="(P(tip) - corner) · (perpendicular of the upper edge)",
        method="Unknown if no plate edge was found.",
        source=OWN,
        basis="primary",
        function=lambda plant, plate: float(shape.tip_from_plate_corner(plant, plate)[1]),
    ),
    Trait(
        name="primary_tip_from_base_x",
        label="Primary tip, right of the root base",
        dimension="length",
        definition="Horizontal distance from root base to primary tip, positive to the right.",
        formula="x(tip) - x(base)",
        method=f"{_PLATE_AXES}.",
        source=OWN,
        basis="primary",
        function=lambda plant, plate: float(shape.tip_from_base(plant, plate)[0]),
        uses_axes=True,
    ),
    Trait(
        name="primary_tip_from_base_y",
        label="Primary tip, below the root base",
        dimension="length",
        definition="Vertical distance from root base to primary tip, positive downwards.",
        formula="y(tip) - y(base)",
        method=f"{_PLATE_AXES}.",
        source=OWN,
        basis="primary",
        function=lambda plant, plate: float(shape.tip_from_base(plant, plate)[1]),
        uses_axes=True,
    ),
)

ROOT_TRAITS = (*_LENGTHS, *_BRANCHING, *_PRIMARY_ROOT, *_SHAPE, *_TIP_POSITION)
