"""Comparison of traits with sleap-roots (Berrigan et al. 2024, Plant Phenomics 6, 0175) on the same RSML file.

The values of sleap-roots are pinned, with its version, in tests/support/sleap_roots.json.
"""

import json
import math
from itertools import pairwise

import pytest

from tests.support.sample_phenotypes import NO_SCALE, phenotype
from tests.support.sleap_roots_values import FILE, ROOT_SYSTEMS, Polyline, drawn_roots, sleap_roots_values
from thale.exports import rsml
from thale.phenotyping.traits.measure import measure
from thale.schemas import Plant, Root

PINNED = json.loads(FILE.read_text())
CASES = range(ROOT_SYSTEMS)


def drawn_plant(number: int) -> Plant:
    roots = drawn_roots(number)
    return Plant(
        id=1,
        organs=(),
        landmarks=(),
        roots=tuple(
            Root(
                id="1" if index == 0 else f"1.{index}",
                order=1 if index == 0 else 2,
                parent=None if index == 0 else "1",
                points=root,
                length_px=sum(math.dist(a, b) for a, b in pairwise(root)),
                confidence=1,
            )
            for index, root in enumerate(roots)
        ),
    )


def traits(number: int) -> dict[str, float]:
    return {value.trait: value.value for value in measure(drawn_plant(number), NO_SCALE)}


def roots_of_rsml(number: int) -> tuple[Polyline, ...]:
    """Return the polylines of the RSML file of a plant."""
    data = rsml.write(phenotype(drawn_plant(number), scale=NO_SCALE))
    return tuple(root.points for _, _, root in rsml.read(data).walk())


@pytest.mark.parametrize("number", CASES)
def test_rsml_has_the_roots_that_sleap_roots_measured(number: int) -> None:
    assert roots_of_rsml(number) == drawn_roots(number)


@pytest.mark.parametrize("number", CASES)
def test_lengths_equal_those_of_sleap_roots(number: int) -> None:
    expected, measured = PINNED["values"][number], traits(number)
    assert measured["primary_root_length"] == pytest.approx(expected["root_lengths"][0])
    assert measured["lateral_root_length"] == pytest.approx(sum(expected["root_lengths"][1:]))
    assert measured["total_root_length"] == pytest.approx(expected["network_length"])
    assert [root.length_px for _, _, root in rsml.read(rsml.write(phenotype(drawn_plant(number)))).walk()] == (
        pytest.approx(expected["root_lengths"], rel=1e-4)
    )


@pytest.mark.parametrize("number", CASES)
def test_shape_equals_that_of_sleap_roots(number: int) -> None:
    expected, measured = PINNED["values"][number], traits(number)
    assert measured["root_system_width"] == pytest.approx(expected["width"])
    assert measured["root_system_depth"] == pytest.approx(expected["depth"])
    assert measured["root_width_depth_ratio"] == pytest.approx(expected["width_depth_ratio"])
    assert measured["convex_hull_area"] == pytest.approx(expected["hull_area"])


@pytest.mark.parametrize("number", CASES)
def test_angle_and_tortuosity_equal_those_of_sleap_roots(number: int) -> None:
    # The angle of sleap-roots has no sign. Its curve index is 1 - distance / length.
    expected, measured = PINNED["values"][number], traits(number)
    assert abs(measured["primary_root_angle"]) == pytest.approx(expected["angle"])
    assert 1 - 1 / measured["primary_root_tortuosity"] == pytest.approx(expected["curve_index"])


@pytest.mark.parametrize("number", CASES)
def test_pinned_values_are_those_of_sleap_roots(number: int) -> None:
    pytest.importorskip("sleap_roots", reason="sleap-roots is not installed; its values are pinned")
    expected = PINNED["values"][number]
    for name, value in sleap_roots_values(roots_of_rsml(number)).items():
        assert value == pytest.approx(expected[name]), name
