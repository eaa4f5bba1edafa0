import math

import pytest

from thale.phenotyping.quality.neighbour_contacts import flag_neighbour_contacts
from thale.phenotyping.traits.measure import measure
from thale.schemas import Plant, Root, Scale

SCALE = Scale(mm_per_px=0.05, source="given")
XY = tuple[float, float]


def plant(number: int, *lines: tuple[XY, XY]) -> Plant:
    """Return a plant with a primary root along the first line, and laterals along the others."""
    roots = tuple(
        Root(
            id=f"{number}.{index}",
            order=1 if index == 0 else 2,
            parent=None if index == 0 else f"{number}.0",
            points=line,
            length_px=math.dist(*line),
            confidence=1.0,
        )
        for index, line in enumerate(lines)
    )
    return Plant(id=number, organs=(), landmarks=(), roots=roots)


def codes(*plants: Plant) -> list[list[str]]:
    return [[flag.code for flag in each.flags] for each in flag_neighbour_contacts(plants, SCALE)]


LEFT = ((100.0, 50.0), (100.0, 850.0))
RIGHT = ((500.0, 50.0), (500.0, 850.0))


def test_neighbours_apart_are_not_flagged() -> None:
    lateral = ((100.0, 200.0), (480.0, 400.0))
    assert codes(plant(1, LEFT, lateral), plant(2, RIGHT)) == [[], []]


def test_root_that_ends_in_neighbours_lane_flags_both() -> None:
    # The lateral of the left plant touches the right primary root, and ends below the right plant.
    lateral = ((100.0, 200.0), (495.0, 400.0))
    assert codes(plant(1, LEFT, lateral), plant(2, RIGHT)) == [["root_in_other_lane"], ["root_in_other_lane"]]


@pytest.mark.parametrize(
    ("margins", "flagged"), [({1: 2.0, 2: 2.0}, [1, 2]), ({1: 2.0, 2: 2.6}, [1]), ({1: 3.0, 2: math.inf}, [])]
)
def test_plants_of_a_sure_assignment_are_spared(margins: dict[int, float], flagged: list[int]) -> None:
    lateral = ((100.0, 200.0), (495.0, 400.0))
    plants = flag_neighbour_contacts([plant(1, LEFT, lateral), plant(2, RIGHT)], SCALE, margins)
    assert [each.id for each in plants if each.flags] == flagged


def test_short_part_in_neighbours_lane_is_not_flagged() -> None:
    # The lateral ends 20 px beyond the midpoint, where it touches a lateral of the right plant: 3 % of the roots.
    lateral = ((100.0, 200.0), (320.0, 400.0))
    touched = ((500.0, 300.0), (322.0, 400.0))
    assert codes(plant(1, LEFT, lateral), plant(2, RIGHT, touched)) == [[], []]


def test_root_that_touches_within_its_own_lane_is_right() -> None:
    # The lateral of the right plant reaches into the left lane. The left lateral touches it before the midpoint.
    left = plant(1, LEFT, ((100.0, 200.0), (200.0, 400.0)))
    right = plant(2, RIGHT, ((500.0, 300.0), (310.0, 300.0)))
    touching = plant(1, LEFT, ((100.0, 200.0), (290.0, 400.0)))
    longer = plant(2, RIGHT, ((500.0, 300.0), (305.0, 390.0)))
    assert codes(left, right) == [[], []]
    assert codes(touching, longer) == [[], []]


def test_lateral_longer_than_primary_flags_touched_neighbour() -> None:
    # The lateral of the left plant and one of the right plant meet at the midpoint between the plants.
    short = ((100.0, 50.0), (100.0, 150.0))
    lateral = ((100.0, 100.0), (299.0, 400.0))
    touched = plant(2, RIGHT, ((500.0, 300.0), (301.0, 400.0)))
    apart = plant(3, ((900.0, 50.0), (900.0, 850.0)))
    assert codes(plant(1, short, lateral), touched, apart) == [["lateral_longer"], ["lateral_longer"], []]


def test_lateral_of_up_to_3_mm_is_not_flagged() -> None:
    short = ((100.0, 50.0), (100.0, 60.0))
    assert codes(plant(1, short, ((100.0, 55.0), (150.0, 55.0)))) == [[]]


@pytest.mark.parametrize("name", ["primary_root_length", "total_root_length", "lateral_root_count"])
def test_traits_of_both_plants_become_uncertain(name: str) -> None:
    lateral = ((100.0, 200.0), (495.0, 400.0))
    for each in flag_neighbour_contacts([plant(1, LEFT, lateral), plant(2, RIGHT)], SCALE):
        (trait,) = [trait for trait in measure(each, SCALE) if trait.trait == name]
        assert trait.quality == "uncertain"
