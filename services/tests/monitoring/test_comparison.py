"""Tests of the comparison of two versions, with values that are easy to calculate by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationMeta, SegmentationPrediction
from thale.monitoring.comparison import dice, match_landmarks, relative_differences
from thale.monitoring.plate_statistics import PlateStatistics
from thale.monitoring.shadow_difference import ShadowDifference
from thale.schemas import Calibration, Landmark, ModelRef, Scale

SCALE = Scale(mm_per_px=0.5, source="given")
MODEL = ModelRef(name="plate-seg", version="1.0.0", digest="sha256:w")


def make_segmentation(root_HW: NDArray[np.bool_], factor: int = 1) -> SegmentationPrediction:
    """Return a prediction for an image of 8 x 6 px, at `factor` frame pixels per source pixel."""
    frame = Frame(x0=0, y0=0, source_width=8, source_height=6, width=8 * factor, height=6 * factor)
    meta = SegmentationMeta(
        model=MODEL, classes=("background", "root", "seed"), frame=frame, calibration=Calibration(scale=SCALE)
    )
    probabilities_CHW = np.zeros((2, 6, 8), np.uint8)
    probabilities_CHW[0] = np.where(root_HW, 200, 100)
    return SegmentationPrediction(meta, probabilities_CHW.repeat(factor, axis=1).repeat(factor, axis=2))


def mask_of_columns(*numbers: int) -> NDArray[np.bool_]:
    mask_HW = np.zeros((6, 8), bool)
    mask_HW[:, list(numbers)] = True
    return mask_HW


def make_landmarks(*points: tuple[float, float]) -> list[Landmark]:
    return [Landmark(kind="primary_tip", x=x, y=y, score=0.9) for x, y in points]


def test_dice_omits_organ_that_neither_version_predicts() -> None:
    coefficients = dice(make_segmentation(mask_of_columns(1, 2)), make_segmentation(mask_of_columns(2, 3, 4)))
    assert coefficients == {"root": pytest.approx(2 * 6 / (12 + 18))}


def test_dice_compares_frames_of_different_scale() -> None:
    assert dice(make_segmentation(mask_of_columns(1, 2)), make_segmentation(mask_of_columns(1, 2), factor=3)) == {
        "root": 1.0
    }
    assert dice(make_segmentation(mask_of_columns(1, 2), factor=2), make_segmentation(mask_of_columns(1, 2))) == {
        "root": 1.0
    }


def test_match_landmarks_minimises_distance_within_2_mm() -> None:
    distances_px, f1 = match_landmarks(
        make_landmarks((0, 0), (10, 0), (50, 50)), make_landmarks((9, 0), (0, 3), (90, 90)), SCALE
    )
    assert sorted(distances_px["primary_tip"]) == [1, 3]
    assert f1 == pytest.approx(2 * 2 / 6)


def test_match_landmarks_returns_no_score_without_landmarks() -> None:
    assert match_landmarks([], [], SCALE) == ({}, None)
    assert match_landmarks(make_landmarks((1, 1)), [], SCALE) == ({"primary_tip": []}, 0.0)


def test_relative_differences_is_1_when_one_version_has_no_value() -> None:
    def make_statistics(**traits: float) -> PlateStatistics:
        return PlateStatistics(1, "given", {}, {}, {}, None, False, traits)

    stable = make_statistics(primary=20.0, shoot=0.0, total=math.nan, area=5.0)
    assert relative_differences(stable, make_statistics(primary=18.0, shoot=3.0, total=math.nan, area=math.nan)) == {
        "primary": pytest.approx(0.1),
        "shoot": 1.0,
        "area": 1.0,
    }


def test_agreement_score_is_minimum_of_all_scores() -> None:
    assert ShadowDifference().agreement_score == 1
    assert ShadowDifference(dice={"root": 0.8, "seed": 0.6}, traits={"area": 0.1}).agreement_score == 0.6
    assert ShadowDifference(landmark_f1=0.9, traits={"area": 0.3}).agreement_score == pytest.approx(0.7)
