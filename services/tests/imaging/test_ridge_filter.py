"""Lines of known width and contrast, and what the ridge filter says of them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.draw import disk, line

from thale.imaging.ridge_filter import NOISE_FLOOR, ridge_response


def picture(height: int = 200, width: int = 160, level: float = 150) -> NDArray[np.float64]:
    return np.full((height, width), level)


def to_photo(grey_HW: NDArray[np.float64]) -> NDArray[np.uint8]:
    soft = gaussian_filter(grey_HW, 0.8)
    return np.repeat(np.clip(np.rint(soft), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("contrast", [-30, 30])
@pytest.mark.parametrize("width", [3, 5, 8, 12, 16])
def test_a_line_is_a_ridge_along_its_middle_with_the_sign_of_its_contrast(width: int, contrast: int) -> None:
    grey_HW = picture()
    grey_HW[:, 70 : 70 + width] += contrast
    middle = ridge_response(to_photo(grey_HW))[100, 70 + width // 2]
    assert np.sign(middle) == np.sign(contrast)
    assert 0.4 * abs(contrast) < abs(int(middle)) < 1.6 * abs(contrast)


def test_a_slope_of_light_is_no_ridge() -> None:
    slope_HW = np.linspace(60, 220, 200)[:, None] * np.ones((1, 160))
    assert not ridge_response(to_photo(slope_HW))[32:-32].any()


def test_the_noise_of_a_camera_stays_under_the_floor_nearly_everywhere() -> None:
    noise = np.random.default_rng(1).normal(150, 2, (400, 400, 1)).repeat(3, axis=2)
    assert (ridge_response(np.rint(noise).astype(np.uint8)) != 0).mean() < 0.05
    assert NOISE_FLOOR > 1


def test_bands_of_rows_leave_no_seam() -> None:
    """A picture of two bands and a half answers as its rows do in a picture that begins elsewhere."""
    rng = np.random.default_rng(2)
    grey_HW = picture(700, 90)
    for _ in range(30):
        ends = rng.integers(0, [700, 90, 700, 90])
        grey_HW[line(*ends)] -= 60
    pixels_HW3 = to_photo(grey_HW)
    whole_HW, later_HW = ridge_response(pixels_HW3), ridge_response(pixels_HW3[128:])
    np.testing.assert_array_equal(whole_HW[160:], later_HW[32:])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (257, 31), (513, 64)])
def test_every_size_of_picture_has_an_answer_of_its_size(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    ridge_HW = ridge_response(noise)
    assert (ridge_HW.shape, ridge_HW.dtype) == (shape, np.int8)
    assert ridge_HW.min(initial=0) >= -127


def test_a_blot_is_not_taken_for_a_line_at_its_edge() -> None:
    grey_HW = picture()
    grey_HW[disk((100, 80), 40)] = 100
    ridge_HW = ridge_response(to_photo(grey_HW))
    assert not ridge_HW[90:110, 70:90].any()
