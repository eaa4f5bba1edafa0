import math
from itertools import pairwise

import pytest

from thale.phenotyping.traits.measure import measure, measure_plate
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import Flag, Organ, Plant, Plate, Point, Root, Scale, TraitValue

TENTH_MM_SCALE = Scale(mm_per_px=0.1, source="given")
UNKNOWN_SCALE = Scale(mm_per_px=math.nan, source="none")
CROSSING_FLAG = Flag(code="crossing", message="crossing at 3,4", at=Point(x=3, y=4))


def root(
    name: str,
    *points: tuple[float, float],
    parent: str | None = None,
    flags: tuple[Flag, ...] = (),
    diameter_px: float = math.nan,
    angle_deg: float = math.nan,
) -> Root:
    return Root(
        id=name,
        order=name.count(".") + 1,
        parent=parent,
        points=points,
        length_px=sum(math.dist(a, b) for a, b in pairwise(points)),
        confidence=0.9,
        diameter_px=diameter_px,
        insertion_angle_deg=angle_deg,
        flags=flags,
    )


def organ(kind: str, area_px: float) -> Organ:
    return Organ(kind=kind, ontology_id="PO:0", area_px=area_px, area_mm2=math.nan, confidence=0.9)  # type: ignore[arg-type]


def seedling(*roots: Root, flags: tuple[Flag, ...] = ()) -> Plant:
    """Return a plant; by default, a straight primary of 30 mm with laterals of 5 mm at 10 and 20 mm from the base."""
    default = (
        root("1", (100, 50), (100, 350), diameter_px=4),
        root("1.1", (100, 150), (130, 190), parent="1", diameter_px=2, angle_deg=40),
        root("1.2", (100, 250), (70, 290), parent="1", diameter_px=2, angle_deg=50),
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
    row = measure_traits(seedling(), plate=turned_plate(0))[trait]
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


def turned_plate(tilt_deg: float) -> Plate:
    """Return a plate of 120 mm at a scale of 0.1 mm per px, turned clockwise about its top left corner at (40, 30)."""
    right, down = axes_at(tilt_deg)
    corners = [Point(x=40 + a * right[0] + b * down[0], y=30 + a * right[1] + b * down[1])
               for a, b in ((0, 0), (1200, 0), (1200, 1200), (0, 1200))]  # fmt: skip
    return Plate(corners=(corners[0], corners[1], corners[2], corners[3]), tilt_deg=tilt_deg, confidence=1)


def axes_at(tilt_deg: float) -> tuple[tuple[float, float], tuple[float, float]]:
    turn = math.radians(tilt_deg)
    return (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))


def on_plate(tilt_deg: float, *points: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the image positions of points given in px along the axes of the turned plate."""
    right, down = axes_at(tilt_deg)
    return [(40 + a * right[0] + b * down[0], 30 + a * right[1] + b * down[1]) for a, b in points]


def test_tip_coordinates_follow_tilt_of_plate() -> None:
    (tip,) = on_plate(5, (200, 700))
    rows = measure_traits(seedling(root("1", (100, 50), tip)), plate=turned_plate(5))
    assert (rows["primary_tip_x"].value, rows["primary_tip_y"].value) == pytest.approx((20, 70))
    without = measure_traits(seedling())
    assert (math.isnan(without["primary_tip_x"].value), without["primary_tip_x"].quality) == (True, "unknown")


@pytest.mark.parametrize("tilt_deg", [-12.0, 0.0, 5.0])
def test_angle_and_extents_use_axes_of_tilted_plate(tilt_deg: float) -> None:
    primary = root("1", *on_plate(tilt_deg, (300, 100), (400, 273.2)))
    lateral = root("1.1", *on_plate(tilt_deg, (350, 186.6), (250, 186.6)), parent="1")
    rows = measure_traits(seedling(primary, lateral), plate=turned_plate(tilt_deg))
    assert rows["primary_root_angle"].value == pytest.approx(30, abs=0.01)
    extents = [rows[name].value for name in ("root_system_width", "root_system_depth", "root_width_depth_ratio")]
    assert extents == pytest.approx([15, 17.32, 15 / 17.32])
    assert [rows[f"primary_tip_from_base_{axis}"].value for axis in "xy"] == pytest.approx([10, 17.32])
    assert {rows[name].quality for name in rows if TRAITS[name].name in AXIS_TRAITS} == {"ok"}


AXIS_TRAITS = {
    "primary_root_angle",
    "root_system_width",
    "root_system_depth",
    "root_width_depth_ratio",
    "primary_tip_from_base_x",
    "primary_tip_from_base_y",
}


def test_measure_is_uncertain_about_axes_without_plate() -> None:
    rows = measure_traits(seedling())
    uncertain = {name for name, row in rows.items() if "tilt_unknown" in [flag.code for flag in row.flags]}
    assert uncertain == AXIS_TRAITS
    assert {rows[name].quality for name in AXIS_TRAITS} == {"uncertain"}


def test_root_diameter_is_mean_weighted_by_length() -> None:
    rows = measure_traits(seedling())
    assert (rows["root_diameter"].value, rows["root_diameter"].unit) == (
        pytest.approx((300 * 4 + 100 * 2) / 4000),
        "mm",
    )
    assert measure_traits(seedling())["primary_root_diameter"].value == pytest.approx(0.4)
    thick = root("1", (100, 50), (100, 350), diameter_px=4)
    unknown = root("1.1", (100, 150), (118, 174), parent="1")
    known = measure_traits(seedling(thick, unknown))["root_diameter"]
    assert (known.value, known.quality) == (pytest.approx(0.4), "ok")


def test_root_diameter_is_unknown_if_thin_roots_are() -> None:
    thick, thin = root("1", (100, 50), (100, 350), diameter_px=4), root("1.1", (100, 150), (124, 182), parent="1")
    rows = measure_traits(seedling(thick, thin))
    assert (math.isnan(rows["root_diameter"].value), rows["root_diameter"].quality) == (True, "unknown")
    assert [flag.code for flag in rows["root_diameter"].flags] == ["diameter_unknown"]
    assert (rows["primary_root_diameter"].value, rows["primary_root_diameter"].quality) == (pytest.approx(0.4), "ok")


def test_lateral_insertion_angle_is_mean_of_known_angles() -> None:
    row = measure_traits(seedling())["lateral_insertion_angle"]
    assert (row.value, row.unit, row.quality) == (pytest.approx(45), "deg", "ok")
    bare = measure_traits(seedling(root("1", (0, 0), (0, 100))))["lateral_insertion_angle"]
    assert (math.isnan(bare.value), bare.quality) == (True, "unknown")
    assert [flag.code for flag in bare.flags] == ["insertion_angle_unknown"]


def test_convex_hull_area_of_straight_root_is_zero() -> None:
    assert measure_traits(seedling(root("1", (0, 0), (0, 50), (0, 100))))["convex_hull_area"].value == 0


def test_measure_plate_returns_zero_for_empty_plate() -> None:
    rows = {value.trait: value.value for value in measure_plate([], TENTH_MM_SCALE)}
    assert (rows["plant_count"], rows["plate_total_root_length"]) == (0, 0)


@pytest.mark.parametrize(
    "code",
    [
        *("no_plate", "round_plate", "not_a_plate", "not_a_photograph", "plate_cropped", "plate_edge_weak"),
        *("few_grey_levels", "clipped", "roots_grow_upwards", "very_low_resolution", "strong_compression"),
    ],
)
def test_no_trait_is_ok_when_the_gate_doubts_the_image(code: str) -> None:
    doubt = Flag(code=code, message="doubt")
    plant = seedling()
    values = [*measure(plant, TENTH_MM_SCALE, None, [doubt]), *measure_plate([plant], TENTH_MM_SCALE, 0.0, [doubt])]
    assert "ok" not in {value.quality for value in values}


def test_totals_are_unknown_without_plants_in_a_doubted_image() -> None:
    values = measure_plate([], TENTH_MM_SCALE, 0.0, [Flag(code="no_plate", message="no plate")])
    assert all(math.isnan(value.value) and value.quality == "unknown" for value in values)


def test_totals_are_unknown_when_roots_belong_to_no_plant() -> None:
    values = measure_plate([], TENTH_MM_SCALE, 300.0, [Flag(code="no_plant", message="no plant")])
    assert {value.quality for value in values} == {"unknown"}


def test_totals_of_a_plate_without_plants_are_uncertain_zeros() -> None:
    values = measure_plate([], TENTH_MM_SCALE, 0.0, [Flag(code="no_plant", message="no plant")])
    assert {(value.value, value.quality) for value in values} == {(0.0, "uncertain")}


def test_branched_zone_follows_a_bent_primary() -> None:
    """Laterals start 3 px from the primary root, on different segments. The zone is measured along the root."""
    plant = seedling(
        root("1", (100, 50), (100, 150), (180, 210), (180, 400)),
        root("1.1", (103, 90), (160, 90), parent="1"),
        root("1.2", (143, 176), (60, 300), parent="1"),
        root("1.3", (177, 310), (90, 390), parent="1"),
    )
    values = measure_traits(plant)
    assert values["branched_zone_length"].value == pytest.approx(26.0)  # 60 px on the first, 100 and 100 on the next
    assert values["lateral_density_branched_zone"].value == pytest.approx(3 / 26.0)


FAINT, HIDDEN = Flag(code="crossing", message="1 at 3,4"), Flag(code="crossing", message="2 at 5,6")


@pytest.mark.parametrize(
    ("trait", "flags"),
    [
        ("primary_root_length", {"1 at 3,4"}),
        ("lateral_root_count", {"1 at 3,4", "2 at 5,6"}),
        ("mean_lateral_root_length", {"2 at 5,6"}),
        ("total_root_length", {"1 at 3,4", "2 at 5,6"}),
        ("shoot_area", set()),
    ],
)
def test_flags_of_a_trait_are_those_of_its_roots(trait: str, flags: set[str]) -> None:
    plant = seedling(
        root("1", (100, 50), (100, 350), flags=(FAINT,)),
        root("1.1", (100, 150), (130, 190), parent="1", flags=(HIDDEN,)),
    )
    assert {flag.message for flag in measure_traits(plant)[trait].flags} & {"1 at 3,4", "2 at 5,6"} == flags


@pytest.mark.parametrize("code", ["compression", "low_resolution"])
def test_compression_makes_the_traits_of_laterals_uncertain(code: str) -> None:
    values = {value.trait: value for value in measure(seedling(), TENTH_MM_SCALE, None, [Flag(code=code, message="x")])}
    assert values["primary_root_length"].quality == "ok"
    assert values["mean_lateral_root_length"].quality == "uncertain"
    assert values["total_root_length"].quality == "uncertain"
