"""Tests of the assignment of plants by the positions of their root bases."""

import numpy as np

from thale.series.matching import assign


def bases(*xs_mm: float) -> list[np.ndarray]:
    return [np.array([x, 15.0]) for x in xs_mm]


def test_assign_is_independent_of_order() -> None:
    found = assign(bases(20, 40, 60), bases(61, 21, 39))
    assert set(found.pairs) == {(0, 1), (1, 2), (2, 0)}
    assert not found.ambiguous


def test_assign_leaves_distant_plants_unassigned() -> None:
    found = assign(bases(20, 40), bases(40, 60))
    assert found.pairs == ((1, 0),)


def test_assign_is_one_to_one() -> None:
    found = assign(bases(20, 23), bases(21.5))
    assert len(found.pairs) == 1
    assert found.ambiguous == {found.pairs[0][0]}


def test_assign_marks_exchangeable_pairs() -> None:
    found = assign(bases(20, 22), bases(20.5, 21.5))
    assert set(found.pairs) == {(0, 0), (1, 1)}
    assert found.ambiguous == {0, 1}


def test_assign_marks_displacement_near_limit() -> None:
    assert assign(bases(20), bases(25)).ambiguous == {0}
    assert not assign(bases(20), bases(23)).ambiguous


def test_assign_of_no_plants_is_empty() -> None:
    assert assign([], bases(20)).pairs == ()
    assert assign(bases(20), []).pairs == ()
