"""Tests of the ridge filter on lines of known width and contrast."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.draw import disk, line

from thale.imaging.ridge_filter import NOISE_FLOOR, ridge_response


def grey_image(height: int = 200, width: int = 160, level: float = 150) -> NDArray[np.float64]:
    return np.full((height, width), level)


def to_photo(grey_HW: NDArray[np.float64]) -> NDArray[np.uint8]:
    soft = gaussian_filter(grey_HW, 0.8)
    return np.repeat(np.clip(np.rint(soft), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("contrast", [-30, 30])
@pytest.mark.parametrize("width", [3, 5, 8, 12, 16])
def test_ridge_response_of_line_has_sign_of_its_contrast(width: int, contrast: int) -> None:
    grey_HW = grey_image()
    grey_HW[:, 70 : 70 + width] += contrast
    middle = ridge_response(to_photo(grey_HW))[100, 70 + width // 2]
    assert np.sign(middle) == np.sign(contrast)
    assert 0.4 * abs(contrast) < abs(int(middle)) < 1.6 * abs(contrast)


def test_ridge_response_ignores_illumination_gradient() -> None:
    slope_HW = np.linspace(60, 220, 200)[:, None] * np.ones((1, 160))
    assert not ridge_response(to_photo(slope_HW))[32:-32].any()


def test_ridge_response_suppresses_camera_noise() -> None:
    noise = np.random.default_rng(1).normal(150, 2, (400, 400, 1)).repeat(3, axis=2)
    assert (ridge_response(np.rint(noise).astype(np.uint8)) != 0).mean() < 0.05
    assert NOISE_FLOOR > 1


def test_ridge_response_has_no_seam_between_bands() -> None:
    """The response of an image of 2.5 bands equals that of the same rows in an image that starts elsewhere."""
    rng = np.random.default_rng(2)
    grey_HW = grey_image(700, 90)
    for _ in range(30):
        ends = rng.integers(0, [700, 90, 700, 90])
        grey_HW[line(*ends)] -= 60
    pixels_HW3 = to_photo(grey_HW)
    whole_HW, later_HW = ridge_response(pixels_HW3), ridge_response(pixels_HW3[128:])
    np.testing.assert_array_equal(whole_HW[160:], later_HW[32:])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (257, 31), (513, 64)])
def test_ridge_response_has_shape_of_image(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    ridge_HW = ridge_response(noise)
    assert (ridge_HW.shape, ridge_HW.dtype) == (shape, np.int8)
    assert ridge_HW.min(initial=0) >= -127


def test_ridge_response_is_zero_inside_disc() -> None:
    grey_HW = grey_image()
    grey_HW[disk((100, 80), 40)] = 100
    ridge_HW = ridge_response(to_photo(grey_HW))
    assert not ridge_HW[90:110, 70:90].any()
