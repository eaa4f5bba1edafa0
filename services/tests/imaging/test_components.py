import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from thale.imaging.components import (
    bounding_window,
    fill_small_holes,
    find_components,
    find_pixels,
    hysteresis_mask,
)

EIGHT_NEIGHBOURS = np.ones((3, 3), int)


def random_levels(seed: int, top: int = 5, left: int = 7) -> NDArray[np.uint8]:
    """Return smooth levels whose upper rows and left columns are 0."""
    rng = np.random.default_rng(seed)
    levels_HW = np.clip(ndimage.gaussian_filter(rng.normal(0, 1, (40, 50)), 1.5) * 400 + 60, 0, 255).astype(np.uint8)
    levels_HW[:top] = 0
    levels_HW[:, :left] = 0
    return levels_HW


@given(st.integers(0, 1000), st.sampled_from([(89.25, 140.25), (89, 140), (200.5, 254.5), (254.5, 255)]))
def test_hysteresis_mask_equals_skimage(seed: int, thresholds: tuple[float, float]) -> None:
    levels_HW = random_levels(seed)
    expected_HW = apply_hysteresis_threshold(levels_HW, *thresholds)
    assert np.array_equal(hysteresis_mask(levels_HW, *thresholds), expected_HW)


def test_hysteresis_mask_accepts_signed_levels() -> None:
    levels_HW = (random_levels(3).astype(int) - 100).clip(-127, 127).astype(np.int8)
    assert np.array_equal(hysteresis_mask(levels_HW, 2.5, 5.5), apply_hysteresis_threshold(levels_HW, 2.5, 5.5))


@given(st.integers(0, 1000), st.sampled_from([4, 8]))
def test_components_equal_those_of_scipy(seed: int, connectivity: int) -> None:
    mask_HW = random_levels(seed) > 100
    labels_HW, count = ndimage.label(mask_HW, EIGHT_NEIGHBOURS if connectivity == 8 else None)
    components = find_components(mask_HW, connectivity)
    assert components.sizes.tolist() == [0, *(np.count_nonzero(labels_HW == label) for label in range(1, count + 1))]
    pixels = components.pixels(np.arange(1, count + 1))
    assert [rc.tolist() for rc in pixels] == [np.argwhere(labels_HW == label).tolist() for label in range(1, count + 1)]
    is_large = components.sizes >= 9
    assert np.array_equal(components.select(is_large), is_large[labels_HW])


@given(st.integers(0, 1000), st.sampled_from([0, 1, 4, 8.5, 30, 5000]), st.sampled_from([0, 12]))
def test_small_holes_are_those_of_the_whole_image(seed: int, max_px: float, top: int) -> None:
    mask_HW = random_levels(seed, top, 0) > 60
    labels_HW, _ = ndimage.label(~mask_HW)
    is_small = np.bincount(labels_HW.ravel()) <= max_px
    is_small[0] = False
    expected_HW = mask_HW | is_small[labels_HW]
    fill_small_holes(mask_HW, max_px)
    assert np.array_equal(mask_HW, expected_HW)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_empty_mask_has_no_components(connectivity: int) -> None:
    empty_HW = np.zeros((6, 8), bool)
    components = find_components(empty_HW, connectivity)
    assert components.sizes.tolist() == [0]
    assert not components.select(np.array([True])).any()
    assert not hysteresis_mask(empty_HW.astype(np.uint8), 1, 2).any()
    fill_small_holes(empty_HW, 5)
    assert not empty_HW.any()


def test_bounding_window_has_a_margin_inside_the_image() -> None:
    mask_HW = np.zeros((10, 20), bool)
    mask_HW[2:4, 15] = True
    assert bounding_window(mask_HW) == (slice(2, 4), slice(15, 16))
    assert bounding_window(mask_HW, 5) == (slice(0, 9), slice(10, 20))


def test_find_pixels_equals_argwhere() -> None:
    mask_HW = random_levels(1) > 100
    assert find_pixels(mask_HW).tolist() == np.argwhere(mask_HW).tolist()
