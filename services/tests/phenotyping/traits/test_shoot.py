"""Shoots drawn as a stem with leaves on petioles, so that anybody can check how long and how many."""

import math

import numpy as np
import pytest

from thale.phenotyping.traits.measure import measure
from thale.phenotyping.traits.shoot import hypocotyl_length, leaf_count
from thale.schemas import Flag, Landmark, Organ, Plant, Root, Scale, TraitValue

TENTH_MM_SCALE = Scale(mm_per_px=0.1, source="given")
BASE = (200.0, 300.0)
STEM_WIDTH = 8.0

Outline = tuple[float, ...]


def bar(start: tuple[float, float], end: tuple[float, float], width: float = STEM_WIDTH) -> Outline:
    (x0, y0), (x1, y1) = start, end
    across = np.array([y0 - y1, x1 - x0]) / math.dist(start, end) * width / 2
    return tuple(float(v) for v in np.ravel([start + across, end + across, end - across, start - across]))


def leaf(centre: tuple[float, float], semi_axes: tuple[float, float], angle_deg: float) -> Outline:
    turn, along = math.radians(angle_deg), np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x, y = semi_axes[0] * np.cos(along), semi_axes[1] * np.sin(along)
    xs = centre[0] + x * math.cos(turn) - y * math.sin(turn)
    ys = centre[1] + x * math.sin(turn) + y * math.cos(turn)
    return tuple(float(v) for v in np.column_stack([xs, ys]).ravel())


def leaves(top: tuple[float, float], angles_deg: tuple[float, ...], petiole: float = 14) -> list[Outline]:
    """Draw leaves 40 px long and 22 px wide, each on a petiole of 5 px."""
    outlines = []
    for angle in angles_deg:
        way = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
        joint, centre = top + way * petiole, top + way * (petiole + 18)
        outlines += [bar(top, (joint[0], joint[1]), 5), leaf((centre[0], centre[1]), (20, 11), angle)]
    return outlines


def plant(*outlines: Outline, flags: tuple[Flag, ...] = (), root_width: float = 5) -> Plant:
    root = Root(id="1", order=1, points=(BASE, (200.0, 600.0)), length_px=300, confidence=1)
    organs = (
        Organ(kind="root", ontology_id="PO:0", area_px=300 * root_width, area_mm2=math.nan, confidence=1),
        Organ(kind="shoot", ontology_id="PO:0", area_px=1, area_mm2=math.nan, confidence=1, polygons=outlines),
    )
    return Plant(id=1, organs=organs, landmarks=(), roots=(root,), flags=flags)


def seedling(length: float = 60, angles_deg: tuple[float, ...] = (-160, -20)) -> Plant:
    top = (BASE[0], BASE[1] - length)
    return plant(bar(BASE, top), *leaves(top, angles_deg))


def rows(plant_: Plant, scale: Scale = TENTH_MM_SCALE) -> dict[str, TraitValue]:
    return {value.trait: value for value in measure(plant_, scale) if value.trait in ("hypocotyl_length", "leaf_count")}


@pytest.mark.parametrize("length", [30, 60, 120])
@pytest.mark.parametrize("angles_deg", [(-160, -20), (-150, -90, -30), (-130, -50)])
def test_the_hypocotyl_ends_where_the_leaves_part(length: float, angles_deg: tuple[float, ...]) -> None:
    assert hypocotyl_length(seedling(length, angles_deg)) == pytest.approx(length, abs=STEM_WIDTH)


def test_a_bent_hypocotyl_is_as_long_as_its_way() -> None:
    knee, top = (240.0, 270.0), (240.0, 220.0)
    bent = plant(bar(BASE, knee), bar(knee, top), *leaves(top, (-160, -20)))
    assert hypocotyl_length(bent) == pytest.approx(50 + 50, abs=STEM_WIDTH)


@pytest.mark.parametrize("angles_deg", [(-160, -20), (-160, -90, -20), (-170, -120, -60, -10)])
def test_every_leaf_that_stands_apart_is_counted(angles_deg: tuple[float, ...]) -> None:
    assert leaf_count(seedling(60, angles_deg)) == len(angles_deg)


def test_a_leaf_that_hangs_down_is_counted_too() -> None:
    assert leaf_count(seedling(90, (-160, 40))) == 2


def test_leaf_tips_that_a_model_saw_are_counted_first() -> None:
    tip = Landmark(kind="leaf_tip", x=0, y=0, score=1)
    seen = seedling().model_copy(update={"landmarks": (tip, tip, tip)})
    assert (rows(seen)["leaf_count"].value, rows(seen)["leaf_count"].quality) == (3, "ok")


def test_a_petiole_that_broke_in_the_mask_still_leads_to_its_leaf() -> None:
    top = (200.0, 240.0)
    apart = leaf((245.0, 225.0), (20, 11), -20)
    broken = plant(bar(BASE, top), *leaves(top, (-160,)), apart)
    assert leaf_count(broken) == 2
    assert hypocotyl_length(broken) == pytest.approx(60, abs=2 * STEM_WIDTH)


def test_numbers_read_off_an_outline_are_uncertain() -> None:
    found = rows(seedling())
    assert found["hypocotyl_length"].value == pytest.approx(6, abs=0.8)
    assert {row.quality for row in found.values()} == {"uncertain"}


def test_without_a_scale_the_hypocotyl_is_in_pixels() -> None:
    unknown = rows(seedling(), Scale(mm_per_px=math.nan, source="none"))["hypocotyl_length"]
    assert (unknown.unit, [flag.code for flag in unknown.flags]) == ("px", ["no_scale"])
    assert unknown.value == pytest.approx(60, abs=STEM_WIDTH)


HIDDEN = {
    "a leaf in front": plant(leaf((200, 260), (50, 40), 0)),
    "a wide leaf below": plant(leaf((200, 270), (16, 30), 0), leaf((200, 200), (90, 40), 0), root_width=3),
    "begins far from the base": plant(bar((200, 260), (200, 200)), *leaves((200, 200), (-160, -20))),
    "a stem alone": plant(bar(BASE, (200, 200))),
    "a dot": plant((199, 299, 201, 299, 201, 301)),
}


@pytest.mark.parametrize("shoot", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_hypocotyl_that_is_not_seen_is_unknown_with_the_reason(shoot: Plant) -> None:
    row = rows(shoot)["hypocotyl_length"]
    assert math.isnan(row.value)
    assert (row.quality, [flag.code for flag in row.flags]) == ("unknown", ["hypocotyl_hidden"])


@pytest.mark.parametrize("code", ["shoot_at_rim", "shoots_touch"])
def test_a_shoot_whose_outline_is_not_its_own_has_no_form(code: str) -> None:
    flag = Flag(code=code, message="cut")
    for row in rows(seedling().model_copy(update={"flags": (flag,)})).values():
        assert math.isnan(row.value)
        assert (row.quality, row.flags) == ("unknown", (flag,))


def test_a_seed_has_neither() -> None:
    flag = Flag(code="ungerminated", message="a seed")
    for row in rows(Plant(id=1, organs=(), landmarks=(), roots=(), flags=(flag,))).values():
        assert math.isnan(row.value)
        assert (row.quality, row.flags) == ("unknown", (flag,))


def test_a_shoot_of_one_pixel_has_no_form() -> None:
    for row in rows(plant((200, 300, 200, 300, 200, 300))).values():
        assert math.isnan(row.value)


def test_a_shoot_in_hundreds_of_pieces_is_read_all_the_same() -> None:
    places = np.random.default_rng(0).uniform(0, 4000, (300, 2))
    specks = tuple(tuple(float(v) for v in (x, y, x + 3, y, x + 3, y + 3)) for x, y in places)
    found = rows(plant(*specks))
    assert math.isnan(found["hypocotyl_length"].value)
    assert found["leaf_count"].quality == "uncertain"


def test_a_shoot_of_thousands_of_pixels_is_drawn_smaller() -> None:
    large = seedling(600, (-160, -20))
    outlines = tuple(tuple(v * 12 for v in outline) for outline in large.organs[1].polygons)
    grown = plant(*outlines).model_copy(
        update={"roots": (large.roots[0].model_copy(update={"points": ((2400, 3600), (2400, 7000))}),)}
    )
    assert leaf_count(grown) >= 1
