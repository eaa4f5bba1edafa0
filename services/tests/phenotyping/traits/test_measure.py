import math
from itertools import pairwise

import pytest

from thale.phenotyping.traits.measure import measure, measure_plate
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Flag, Organ, Plant, Plate, Point, Root, Scale, TraitValue

TENTH_MM_SCALE = Scale(mm_per_px=0.1, source="given")
UNKNOWN_SCALE = Scale(mm_per_px=math.nan, source="none")
CROSSING_FLAG = Flag(code="crossing", message="crossing at 3,4", at=Point(x=3, y=4))


def root(name: str, *points: tuple[float, float], parent: str | None = None, flags: tuple[Flag, ...] = ()) -> Root:
    length = sum(math.dist(a, b) for a, b in pairwise(points))
    order = name.count(".") + 1
    return Root(id=name, order=order, parent=parent, points=points, length_px=length, confidence=0.9, flags=flags)


def organ(kind: str, area_px: float) -> Organ:
    return Organ(kind=kind, ontology_id="PO:0", area_px=area_px, area_mm2=math.nan, confidence=0.9)  # type: ignore[arg-type]


def seedling(*roots: Root, flags: tuple[Flag, ...] = ()) -> Plant:
    """Return a plant; by default, a straight primary of 30 mm with laterals of 5 mm at 10 and 20 mm from the base."""
    default = (
        root("1", (100, 50), (100, 350)),
        root("1.1", (100, 150), (130, 190), parent="1"),
        root("1.2", (100, 250), (70, 290), parent="1"),
    )
    return Plant(
        id=1, organs=(organ("root", 400), organ("shoot", 800)), landmarks=(), roots=roots or default, flags=flags
    )


def measure_traits(plant: Plant, scale: Scale = TENTH_MM_SCALE, plate: Plate | None = None) -> dict[str, TraitValue]:
    return {value.trait: value for value in measure(plant, scale, plate)}


@pytest.mark.parametrize(
    ("trait", "value", "unit"),
    [
        ("primary_root_length", 30, "mm"),
        ("total_root_length", 40, "mm"),
        ("lateral_root_count", 2, "1"),
        ("lateral_root_length", 10, "mm"),
        ("mean_lateral_root_length", 5, "mm"),
        ("lateral_density", 2 / 30, "1/mm"),
        ("branched_zone_length", 10, "mm"),
        ("lateral_density_branched_zone", 0.2, "1/mm"),
        ("primary_root_angle", 0, "deg"),
        ("primary_root_tortuosity", 1, "1"),
        ("root_system_width", 6, "mm"),
        ("root_system_depth", 30, "mm"),
        ("root_width_depth_ratio", 0.2, "1"),
        ("convex_hull_area", 90, "mm2"),
        ("primary_tip_from_base_x", 0, "mm"),
        ("primary_tip_from_base_y", 30, "mm"),
        ("shoot_area", 8, "mm2"),
        ("root_shoot_area_ratio", 0.5, "1"),
    ],
)
def test_measure_returns_traits_of_known_seedling(trait: str, value: float, unit: str) -> None:
    row = measure_traits(seedling())[trait]
    assert (row.value, row.unit, row.quality) == (pytest.approx(value), unit, "ok")


def test_primary_root_angle_and_tortuosity_of_bent_root() -> None:
    row = measure_traits(seedling(root("1", (0, 0), (30, 0), (30, 40))))
    assert row["primary_root_angle"].value == pytest.approx(math.degrees(math.atan2(30, 40)))
    assert row["primary_root_tortuosity"].value == pytest.approx(70 / 50)


def test_measure_returns_pixels_without_scale() -> None:
    rows = measure_traits(seedling(), UNKNOWN_SCALE)
    assert (rows["primary_root_length"].value, rows["primary_root_length"].unit) == (300, "px")
    assert rows["shoot_area"].unit == "px2"
    assert [flag.code for flag in rows["primary_root_length"].flags] == ["no_scale"]
    assert not any("mm" in row.unit for row in [*rows.values(), *measure_plate([seedling()], UNKNOWN_SCALE)])


def test_measure_returns_nan_only_without_roots() -> None:
    bare = measure_traits(seedling(root("1", (0, 0), (0, 100))))
    assert (bare["lateral_root_count"].value, bare["lateral_root_length"].value) == (0, 0)
    assert bare["branched_zone_length"].value == 0
    assert math.isnan(bare["mean_lateral_root_length"].value)
    flag = Flag(code="no_root", message="no root is visible")
    rootless = Plant(id=1, organs=(organ("shoot", 800),), landmarks=(), roots=(), flags=(flag,))
    rows = measure_traits(rootless)
    for trait in ("primary_root_length", "total_root_length", "lateral_root_count", "convex_hull_area"):
        assert math.isnan(rows[trait].value)
        assert (rows[trait].quality, rows[trait].flags) == ("unknown", (flag,))
    assert (rows["shoot_area"].value, rows["shoot_area"].quality) == (pytest.approx(8), "ok")


def test_measure_returns_nan_for_traits_of_ambiguous_root() -> None:
    certain = root("1", (100, 50), (100, 350))
    ambiguous = root("1.1", (100, 150), (130, 190), parent="1", flags=(CROSSING_FLAG,))
    plant = seedling(certain, ambiguous, flags=(CROSSING_FLAG,))
    rows = measure_traits(plant)
    assert math.isnan(rows["total_root_length"].value)
    assert rows["total_root_length"].flags == (CROSSING_FLAG,)
    assert (rows["primary_root_length"].value, rows["primary_root_length"].quality) == (pytest.approx(30), "ok")
    plate = {value.trait: value for value in measure_plate([plant], TENTH_MM_SCALE, unassigned_px=20)}
    assert plate["plate_total_root_length"].value == pytest.approx(35)
    assert plate["plate_unassigned_root_length"].value == pytest.approx(2)


def test_measure_is_uncertain_when_crossing_is_resolved_by_lane() -> None:
    flag = Flag(code="crossing_by_lane", message="crossing at 3,4")
    rows = measure_traits(seedling(root("1", (0, 0), (0, 100), flags=(flag,))))
    assert (rows["primary_root_length"].value, rows["primary_root_length"].quality) == (pytest.approx(10), "uncertain")


def test_measure_is_uncertain_when_methods_disagree() -> None:
    flag = Flag(code="methods_disagree", message="two methods disagree")
    certain = root("1", (100, 50), (100, 350))
    plant = seedling(certain, root("1.1", (100, 150), (130, 190), parent="1"), flags=(flag,))
    rows = measure_traits(plant)
    for name in ("primary_root_length", "total_root_length", "lateral_root_length", "lateral_root_count"):
        assert (rows[name].quality, rows[name].flags) == ("uncertain", (flag,))
        assert rows[name].value > 0
    assert rows["shoot_area"].quality != "uncertain"
    plate = {value.trait: value for value in measure_plate([plant], TENTH_MM_SCALE)}
    assert plate["plate_total_root_length"].quality == "uncertain"
    assert plate["plant_count"].quality == "ok"


def test_tip_coordinates_follow_tilt_of_plate() -> None:
    turn = math.radians(5)
    right, down = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    corners = [Point(x=40 + a * right[0] + b * down[0], y=30 + a * right[1] + b * down[1])
               for a, b in ((0, 0), (1200, 0), (1200, 1200), (0, 1200))]  # fmt: skip
    plate = Plate(corners=(corners[0], corners[1], corners[2], corners[3]), tilt_deg=5, confidence=1)
    tip = (40 + 200 * right[0] + 700 * down[0], 30 + 200 * right[1] + 700 * down[1])
    rows = measure_traits(seedling(root("1", (100, 50), tip)), plate=plate)
    assert (rows["primary_tip_x"].value, rows["primary_tip_y"].value) == pytest.approx((20, 70))
    without = measure_traits(seedling())
    assert (math.isnan(without["primary_tip_x"].value), without["primary_tip_x"].quality) == (True, "unknown")


def test_convex_hull_area_of_straight_root_is_zero() -> None:
    assert measure_traits(seedling(root("1", (0, 0), (0, 50), (0, 100))))["convex_hull_area"].value == 0


def test_every_trait_has_method_and_ontology_term() -> None:
    assert [value.trait for value in measure(seedling(), TENTH_MM_SCALE)] == [
        t.name for t in TRAITS.values() if t.level == "plant"
    ]
    assert [v.trait for v in measure_plate([], TENTH_MM_SCALE)] == [
        t.name for t in TRAITS.values() if t.level == "plate"
    ]
    for trait in TRAITS.values():
        assert trait.method.endswith((".", ")."))
        assert trait.ontology_id is None or trait.ontology_id.startswith(("TO:", "PO:"))


def test_measure_plate_returns_zero_for_empty_plate() -> None:
    rows = {value.trait: value.value for value in measure_plate([], TENTH_MM_SCALE)}
    assert (rows["plant_count"], rows["plate_total_root_length"]) == (0, 0)
