"""Tests of shoot traits on synthetic shoots: a stem with leaves on petioles, of known length and number."""

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
        direction = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
        joint, centre = top + direction * petiole, top + direction * (petiole + 18)
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
def test_hypocotyl_length_ends_at_leaves(length: float, angles_deg: tuple[float, ...]) -> None:
    assert hypocotyl_length(seedling(length, angles_deg)) == pytest.approx(length, abs=STEM_WIDTH)


def test_hypocotyl_length_follows_bent_hypocotyl() -> None:
    bend, top = (240.0, 270.0), (240.0, 220.0)
    bent = plant(bar(BASE, bend), bar(bend, top), *leaves(top, (-160, -20)))
    assert hypocotyl_length(bent) == pytest.approx(50 + 50, abs=STEM_WIDTH)


@pytest.mark.parametrize("angles_deg", [(-160, -20), (-160, -90, -20), (-170, -120, -60, -10)])
def test_leaf_count_counts_separate_leaves(angles_deg: tuple[float, ...]) -> None:
    assert leaf_count(seedling(60, angles_deg)) == len(angles_deg)


def test_leaf_count_counts_drooping_leaf() -> None:
    assert leaf_count(seedling(90, (-160, 40))) == 2


def test_leaf_count_prefers_landmarks() -> None:
    tip = Landmark(kind="leaf_tip", x=0, y=0, score=1)
    with_tips = seedling().model_copy(update={"landmarks": (tip, tip, tip)})
    assert (rows(with_tips)["leaf_count"].value, rows(with_tips)["leaf_count"].quality) == (3, "ok")


def test_leaf_count_includes_leaf_on_broken_petiole() -> None:
    top = (200.0, 240.0)
    apart = leaf((245.0, 225.0), (20, 11), -20)
    broken = plant(bar(BASE, top), *leaves(top, (-160,)), apart)
    assert leaf_count(broken) == 2
    assert hypocotyl_length(broken) == pytest.approx(60, abs=2 * STEM_WIDTH)


def test_traits_from_outline_are_uncertain() -> None:
    traits = rows(seedling())
    assert traits["hypocotyl_length"].value == pytest.approx(6, abs=0.8)
    assert {row.quality for row in traits.values()} == {"uncertain"}


def test_hypocotyl_length_is_in_pixels_without_scale() -> None:
    unknown = rows(seedling(), Scale(mm_per_px=math.nan, source="none"))["hypocotyl_length"]
    assert (unknown.unit, [flag.code for flag in unknown.flags]) == ("px", ["no_scale"])
    assert unknown.value == pytest.approx(60, abs=STEM_WIDTH)


HIDDEN = {
    "a leaf in front": plant(leaf((200, 260), (50, 40), 0)),
    "a wide leaf below": plant(leaf((200, 270), (16, 30), 0), leaf((200, 200), (90, 40), 0), root_width=3),
    "starts far from the base": plant(bar((200, 260), (200, 200)), *leaves((200, 200), (-160, -20))),
    "a stem alone": plant(bar(BASE, (200, 200))),
    "a dot": plant((199, 299, 201, 299, 201, 301)),
}


@pytest.mark.parametrize("shoot", HIDDEN.values(), ids=HIDDEN.keys())
def test_hypocotyl_length_is_nan_and_flagged_when_hidden(shoot: Plant) -> None:
    row = rows(shoot)["hypocotyl_length"]
    assert math.isnan(row.value)
    assert (row.quality, [flag.code for flag in row.flags]) == ("unknown", ["hypocotyl_hidden"])


@pytest.mark.parametrize("code", ["shoot_at_rim", "shoots_touch"])
def test_shoot_traits_are_nan_when_outline_is_incomplete(code: str) -> None:
    flag = Flag(code=code, message="cut")
    for row in rows(seedling().model_copy(update={"flags": (flag,)})).values():
        assert math.isnan(row.value)
        assert (row.quality, row.flags) == ("unknown", (flag,))


def test_shoot_traits_are_nan_for_seed() -> None:
    flag = Flag(code="ungerminated", message="a seed")
    for row in rows(Plant(id=1, organs=(), landmarks=(), roots=(), flags=(flag,))).values():
        assert math.isnan(row.value)
        assert (row.quality, row.flags) == ("unknown", (flag,))


def test_shoot_traits_are_nan_for_one_pixel() -> None:
    for row in rows(plant((200, 300, 200, 300, 200, 300))).values():
        assert math.isnan(row.value)


def test_shoot_traits_accept_shoot_of_hundreds_of_components() -> None:
    corners_N2 = np.random.default_rng(0).uniform(0, 4000, (300, 2))
    specks = tuple(tuple(float(v) for v in (x, y, x + 3, y, x + 3, y + 3)) for x, y in corners_N2)
    traits = rows(plant(*specks))
    assert math.isnan(traits["hypocotyl_length"].value)
    assert traits["leaf_count"].quality == "uncertain"


def test_leaf_count_downsamples_large_shoot() -> None:
    large = seedling(600, (-160, -20))
    outlines = tuple(tuple(v * 12 for v in outline) for outline in large.organs[1].polygons)
    grown = plant(*outlines).model_copy(
        update={"roots": (large.roots[0].model_copy(update={"points": ((2400, 3600), (2400, 7000))}),)}
    )
    assert leaf_count(grown) >= 1
