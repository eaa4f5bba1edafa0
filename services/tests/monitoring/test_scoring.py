"""Tests of scores with values that are easy to calculate by hand."""

import math

import numpy as np

from thale.monitoring.scoring import DiceCounter, PointMatchCounter, match_points, relative_error


def test_dice_counter_is_twice_the_intersection_over_the_sum() -> None:
    overlap = DiceCounter()
    overlap.add(np.array([True, True, False, False]), np.array([True, False, True, False]))
    assert overlap.dice == 2 * 1 / (2 + 2)


def test_dice_counter_pools_images_and_is_nan_without_pixels() -> None:
    overlap = DiceCounter()
    overlap.add(np.zeros(4, bool), np.zeros(4, bool))
    assert math.isnan(overlap.dice)
    overlap.add(np.ones(3, bool), np.ones(3, bool))
    assert overlap.dice == 1.0


def test_match_points_pairs_one_to_one_within_radius() -> None:
    true = np.array([[0.0, 0.0], [10.0, 0.0]])
    predicted = np.array([[1.0, 0.0], [0.5, 0.0], [50.0, 0.0]])
    assert match_points(predicted, true, radius=2.0) == [(1, 0)]


def test_match_points_maximises_number_of_pairs() -> None:
    true = np.array([[0.0, 0.0], [2.0, 0.0]])
    predicted = np.array([[1.0, 0.0], [-1.0, 0.0]])  # the first is near both, the second only near the first
    assert sorted(match_points(predicted, true, radius=1.5)) == [(0, 1), (1, 0)]


def test_f1_counts_false_negatives_and_false_positives_alike() -> None:
    matches = PointMatchCounter()
    matches.add(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([[0.0, 3.0]]), mm_per_px=0.5, radius_mm=2.0)
    assert (matches.precision, matches.recall, matches.f1) == (0.5, 1.0, 2 / 3)
    assert matches.distances_mm == [1.5]


def test_f1_is_nan_without_points() -> None:
    matches = PointMatchCounter()
    matches.add(np.empty((0, 2)), np.empty((0, 2)), mm_per_px=1.0, radius_mm=1.0)
    assert math.isnan(matches.f1)


def test_relative_error_is_nan_when_true_value_is_zero() -> None:
    assert relative_error(11.0, 10.0) == 0.1
    assert math.isnan(relative_error(1.0, 0.0))
