"""Reasons of the gate against an image, each with a drawing that has only this property."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.support.drawn_dishes import blank, draw_dish, draw_roots, photograph
from thale.imaging.plate_gate import check_image


def codes(pixels_HW3: NDArray[np.uint8]) -> list[str]:
    return [flag.code for flag in check_image(pixels_HW3).flags]


def dish(seed: int = 1, left: int = 60, top: int = 50, corner_share: float = 0.11) -> Image.Image:
    image = blank(760, 700, 140 + 10 * seed)
    draw_dish(image, left, top, 580, corner_share)
    draw_roots(image, left, top, 580, 2 + seed)
    return image


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gate_accepts_a_dish_with_rounded_corners(seed: int) -> None:
    result = check_image(photograph(dish(seed, 30 + 20 * seed, 60 - 10 * seed), seed))
    assert result.flags == ()
    assert len(result.plates) == 1


@pytest.mark.slow
def test_gate_doubts_a_frame_with_sharp_corners() -> None:
    [flag] = check_image(photograph(dish(corner_share=0), 4)).flags
    assert flag.code == "not_a_plate"
    assert "corners are sharp" in flag.message


def test_gate_doubts_a_rounded_frame_without_rims() -> None:
    image = blank(760, 700)
    ImageDraw.Draw(image).rounded_rectangle((60, 50, 640, 630), 70, outline=(90, 90, 90), width=3)
    draw_roots(image, 60, 50, 580)
    [flag] = check_image(photograph(image, 5)).flags
    assert flag.code == "not_a_plate"
    assert "no parallel rims" in flag.message


@pytest.mark.slow
def test_gate_doubts_a_dish_full_of_pattern() -> None:
    image = dish()
    draw = ImageDraw.Draw(image)
    for step in range(130, 560, 16):
        draw.line((130, step, 560, 690 - step), (60, 60, 60), 4)
        draw.line((step, 130, 690 - step, 560), (60, 60, 60), 4)
    [flag] = check_image(photograph(image, 6)).flags
    assert "patterned" in flag.message


@pytest.mark.slow
def test_gate_doubts_a_printed_grid() -> None:
    image = dish()
    draw = ImageDraw.Draw(image)
    for step in range(120, 600, 48):
        draw.line((90, step, 610, step), (110, 110, 110), 2)
        draw.line((step, 90, step, 600), (110, 110, 110), 2)
    assert "not_a_plate" in codes(photograph(image, 7))


@pytest.mark.slow
def test_gate_takes_no_scale_from_a_round_dish() -> None:
    image = blank(760, 700)
    draw = ImageDraw.Draw(image)
    for radius, level in ((290, 80), (281, 180), (272, 110)):
        draw.circle((370, 350), radius, outline=(level,) * 3, width=3)
    draw_roots(image, 180, 150, 400)
    result = check_image(photograph(image, 8))
    assert (result.plate, result.plates) == (None, ())
    assert [flag.code for flag in result.flags] == ["round_plate", "no_plate"]


def test_gate_finds_no_circle_in_a_crop_without_edges() -> None:
    image = blank(760, 700)
    draw_roots(image, 20, -100, 700, 5)
    assert codes(photograph(image, 9)) == ["no_plate"]


@pytest.mark.slow
def test_gate_flags_a_drawing_without_noise() -> None:
    assert "not_a_photograph" in codes(np.asarray(dish(corner_share=0)))


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "is_flagged"), [(256, False), (128, False), (8, True)])
def test_gate_flags_few_grey_levels(levels: int, is_flagged: bool) -> None:
    light = np.linspace(-50, 50, 760)[None, :, None]
    shaded = (photograph(dish(), 10).astype(float) + light).clip(0, 255)
    step = 256 // levels
    posterised = (shaded // step * step).astype(np.uint8)
    assert ("few_grey_levels" in codes(posterised)) == is_flagged


def test_gate_flags_a_clipped_image() -> None:
    bright = photograph(dish(), 11).astype(int) + np.linspace(0, 200, 760).astype(int)[None, :, None]
    assert "clipped" in codes(bright.clip(0, 255).astype(np.uint8))
