"""Tests of degradations: each changes what it names, and nothing moves."""

from dataclasses import replace

import numpy as np
import pytest

from thale_models.synthesis import draw_plate
from thale_models.synthesis.degradation import Degradation, degrade, degrade_plate, sample_degradation
from thale_models.synthesis.organs import ROOT

RNG_SEED = 4


def draw_gradient(height: int = 120, width: int = 200) -> np.ndarray:
    """Return a colour gradient with one dark vertical line at a quarter of the width."""
    x = np.linspace(60, 190, width)
    image_HW3 = np.stack([np.tile(x * factor, (height, 1)) for factor in (1.0, 0.8, 0.9)], axis=2)
    image_HW3[:, width // 4 - 1 : width // 4 + 2] -= 40
    return image_HW3.astype(np.uint8)


def apply(**changes: object) -> np.ndarray:
    return degrade(draw_gradient(), replace(Degradation(), **changes), np.random.default_rng(RNG_SEED))[0]  # type: ignore[arg-type]


def test_default_degradation_changes_nothing() -> None:
    image_HW3, factor = degrade(draw_gradient(), Degradation(), np.random.default_rng(RNG_SEED))
    assert factor == 1.0
    assert (image_HW3 == draw_gradient()).all()


def test_degrade_reports_the_exact_factor_of_a_smaller_copy() -> None:
    image_HW3, factor = degrade(draw_gradient(), Degradation(size_factor=0.333), np.random.default_rng(RNG_SEED))
    assert image_HW3.shape == (64, 67, 3)
    assert factor == 67 / 200
    line = image_HW3[:, 5:40].mean((0, 2)).argmin() + 5
    assert line == pytest.approx(50 * factor, abs=1)


def test_degrade_makes_grey_levels_of_a_colour_image() -> None:
    assert np.ptp(draw_gradient(), axis=2).max() > 20
    assert np.ptp(apply(grey=True), axis=2).max() == 0
    assert np.ptp(apply(grey=True, noise=5.0), axis=2).max() == 0


def test_degrade_inverts_the_line() -> None:
    inverted = apply(inverted=True)
    assert (inverted == 255 - draw_gradient()).all()


def test_contrast_scales_the_depth_of_the_line() -> None:
    def depth(image_HW3: np.ndarray) -> float:
        grey = image_HW3.mean((0, 2))
        return float((grey[44] + grey[56]) / 2 - grey[50])

    assert depth(apply(contrast=1.5)) == pytest.approx(1.5 * depth(draw_gradient()), rel=0.05)
    assert depth(apply(contrast=0.6)) == pytest.approx(0.6 * depth(draw_gradient()), rel=0.05)


def test_noise_has_the_given_standard_deviation() -> None:
    difference = apply(noise=6.0).astype(float) - draw_gradient()
    assert difference.std() == pytest.approx(6.0, rel=0.03)
    assert difference.mean() == pytest.approx(0.0, abs=0.2)


def test_jpeg_of_low_quality_loses_detail() -> None:
    errors = {
        quality: np.abs(apply(jpeg_quality=quality).astype(float) - draw_gradient()).mean() for quality in (90, 20)
    }
    assert 0 < errors[90] < errors[20] / 2


def test_degrade_is_reproducible() -> None:
    assert (apply(noise=3.0, jpeg_quality=50) == apply(noise=3.0, jpeg_quality=50)).all()


def test_sample_degradation_covers_all_changes() -> None:
    sampled = [sample_degradation(np.random.default_rng(seed)) for seed in range(300)]
    for name in ("size_factor", "contrast", "gamma", "noise", "jpeg_quality"):
        unchanged = sum(getattr(each, name) == getattr(Degradation(), name) for each in sampled)
        assert 0.5 < unchanged / len(sampled) < 0.7, name
    assert 0.3 < np.mean([each.grey for each in sampled]) < 0.5
    assert 0.15 < np.mean([each.inverted for each in sampled]) < 0.35


@pytest.mark.parametrize("change", [{"size_factor": 0.0}, {"contrast": -1.0}, {"gamma": 0.0}, {"jpeg_quality": 0}])
def test_degradation_refuses_an_impossible_value(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        replace(Degradation(), **change)  # type: ignore[arg-type]


def test_degrade_plate_moves_the_truth_with_the_pixels() -> None:
    plate = draw_plate(3, width=700, height=700, plants=3, style="backlit")
    smaller = degrade_plate(plate, Degradation(size_factor=0.5, jpeg_quality=60), np.random.default_rng(RNG_SEED))
    assert smaller.image_HW3.shape == (350, 350, 3)
    assert smaller.mm_per_px == pytest.approx(2 * plate.mm_per_px)
    assert smaller.encoded.startswith(b"\xff\xd8")
    points = np.array([point for plant in smaller.plants for point in plant.roots[0].points])
    columns, rows = np.round(points).astype(int).T
    assert (smaller.mask_HW[rows, columns] == ROOT).mean() > 0.8
    width_mm = [each.plants[1].roots[0].width_px * each.mm_per_px for each in (plate, smaller)]
    assert width_mm[0] == pytest.approx(width_mm[1])
    tips = [each.landmarks[1].x * each.mm_per_px for each in (plate, smaller)]
    assert tips[0] == pytest.approx(tips[1], abs=plate.mm_per_px)


def test_degrade_plate_writes_png_without_compression() -> None:
    plate = draw_plate(5, width=400, height=400)
    copy = degrade_plate(plate, Degradation(contrast=1.5), np.random.default_rng(RNG_SEED))
    assert copy.encoded.startswith(b"\x89PNG")
    assert copy.plants == plate.plants
    assert copy.image_HW3.std() > 1.2 * plate.image_HW3.std()
