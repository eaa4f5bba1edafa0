"""Tests of the overlay image."""

import io
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.sample_phenotypes import CROSSING_FLAG, NO_SCALE, UNLOCATED_FLAG, image_metadata, phenotype, seedling
from thale.errors import ParameterError
from thale.exports import overlay
from thale.exports.overlay.canvas import PALETTE, color_of, contrasting_text_color
from thale.exports.overlay.footer import nice_scale_length
from thale.exports.overlay.trait_table import format_value, trait_rows
from thale.schemas import Flag, Landmark, Phenotype, Point, TraitValue

GREY = 128


def photo(width: int = 400, height: int = 300) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def draw_overlay(found: Phenotype, long_side: int | None = None) -> NDArray[np.uint8]:
    """Return the pixels of the overlay on a grey photograph with the size of the phenotype's image."""
    png = overlay.draw(photo(found.image.width, found.image.height), found, long_side)
    return np.asarray(Image.open(io.BytesIO(png)))


def phenotype_of_width(width: int, *, scale_x: float = 1.0, flags: tuple[Flag, ...] = ()) -> Phenotype:
    return phenotype(
        seedling(x=100 * scale_x, flags=flags), image=image_metadata(width=width, height=width), plate=None
    )


@pytest.mark.slow
def test_draw_limits_long_side_and_adds_footer() -> None:
    found = phenotype_of_width(1200)
    for long_side, width in ((None, 1200), (1000, 1000), (700, 700), (5000, 1200)):
        pixels = draw_overlay(found, long_side)
        assert pixels.shape[1] == width
        assert pixels.shape[0] > width


def test_draw_leaves_root_visible_between_its_lines() -> None:
    pixels = draw_overlay(phenotype_of_width(1000))
    row = pixels[200, 90:111].astype(int)
    changed = np.abs(row - GREY).sum(axis=1) > 40
    assert not changed[10], "the middle of the root shows the photograph"
    assert changed[:10].any()
    assert changed[11:].any()


def test_draw_uses_thicker_lines_for_primary_roots() -> None:
    primary = seedling().roots[0]
    lateral = primary.model_copy(
        update={"id": "x", "order": 2, "parent": "1", "points": ((300.0, 50.0), (300.0, 250.0))}
    )
    plant = seedling().model_copy(update={"roots": (primary, lateral), "landmarks": (), "organs": ()})
    pixels = draw_overlay(phenotype(plant, image=image_metadata(width=1000, height=1000), plate=None)).astype(int)
    changed = np.abs(pixels[200, :, :] - GREY).sum(axis=1)
    assert changed[80:120].sum() > changed[280:320].sum() > 0


def test_draw_does_not_change_pixels_far_from_plants() -> None:
    assert (draw_overlay(phenotype_of_width(1000))[700:990, 400:990] == GREY).all()


def test_palette_separates_neighbours_and_contrasts_with_text() -> None:
    for number in range(1, 30):
        assert color_of(number) != color_of(number + 1)
    for color in PALETTE:
        assert abs(sum(color) - sum(contrasting_text_color(color))) > 150


def test_footer_depends_on_scale_and_grows_with_flags() -> None:
    plain = phenotype(seedling(), plate=None)
    assert draw_overlay(plain).shape == draw_overlay(phenotype(seedling(), plate=None, scale=NO_SCALE)).shape
    assert (draw_overlay(plain) != draw_overlay(phenotype(seedling(), plate=None, scale=NO_SCALE))).any()
    flagged = phenotype(seedling(), plate=None, flags=(UNLOCATED_FLAG,))
    assert draw_overlay(flagged).shape[0] > draw_overlay(plain).shape[0]
    many = phenotype(seedling(), plate=None, flags=tuple(Flag(code="x", message=f"flag {n}") for n in range(500)))
    assert draw_overlay(many).shape[0] < 2 * draw_overlay(plain).shape[0]


def with_interval(name: str, interval: tuple[float, float], quality: str = "ok") -> TraitValue:
    """Return the trait of a seedling with an interval."""
    measured = next(trait for trait in phenotype(seedling()).plants[0].traits if trait.trait == name)
    return measured.model_copy(update={"interval": interval, "quality": quality})


def test_format_value_has_interval_and_quality() -> None:
    length = with_interval("primary_root_length", (18.86, 21.5))
    assert format_value(length) == "20.0 [18.9, 21.5]"
    assert format_value(length.model_copy(update={"quality": "uncertain"})) == "~20.0 [18.9, 21.5]"
    assert format_value(length.model_copy(update={"interval": None})) == "20.0"
    assert format_value(length.model_copy(update={"value": math.nan, "quality": "unknown"})) == "?"
    count = length.model_copy(update={"trait": "lateral_root_count", "value": 3.0, "interval": (2.0, 5.0)})
    assert format_value(count) == "3 [2, 5]"


def test_footer_has_table_of_main_traits() -> None:
    plain = phenotype(seedling(), plate=None)
    assert trait_rows(plain, 1900, 21.0) == []
    traits = tuple(
        with_interval(name, (1.0, 99.0), quality)
        for name, quality in (("primary_root_length", "ok"), ("total_root_length", "uncertain"))
    )
    plant = plain.plants[0].model_copy(update={"traits": traits})
    measured = plain.model_copy(update={"plants": (plant,)})
    texts = [[text for _, text in row] for row in trait_rows(measured, 1900, 21.0)]
    assert texts[:3] == [["plant", "1"], ["primary root (mm)", "20.0 [1.0, 99.0]"], ["all roots (mm)", texts[2][1]]]
    assert texts[2][1].startswith("~")
    assert draw_overlay(measured).shape[0] > draw_overlay(plain).shape[0]
    unknown = plant.model_copy(update={"id": 2, "traits": (traits[0].model_copy(update={"value": math.nan}),)})
    rows = trait_rows(plain.model_copy(update={"plants": (plant, unknown)}), 1900, 21.0)
    assert [text for _, text in rows[1]][2] == "?"


def test_table_continues_below_when_plants_do_not_fit() -> None:
    plain = phenotype(seedling(), plate=None)
    traits = (with_interval("primary_root_length", (1.0, 99.0)),)
    plants = tuple(plain.plants[0].model_copy(update={"id": number, "traits": traits}) for number in range(1, 41))
    rows = trait_rows(plain.model_copy(update={"plants": plants}), 700, 21.0)
    columns = len(rows[0]) - 1
    assert len(rows) == 3 * 5 + 1
    assert all(left < 700 for row in rows for left, _ in row)
    assert f"and {40 - 3 * columns} more plants" in rows[-1][0][1]


def test_draw_marks_crossing_at_its_position() -> None:
    without_flag, with_flag = (
        draw_overlay(phenotype_of_width(1000)),
        draw_overlay(phenotype_of_width(1000, flags=(CROSSING_FLAG,))),
    )
    assert (without_flag[130:190, 80:140] != with_flag[130:190, 80:140]).any()


@pytest.mark.parametrize(
    ("max_length", "expected"), [(17.0, 10.0), (9.99, 5.0), (20.0, 20.0), (0.034, 0.02), (1e-5, 1e-5)]
)
def test_nice_scale_length_rounds_down(max_length: float, expected: float) -> None:
    assert nice_scale_length(max_length) == pytest.approx(expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (64, 64)])
def test_draw_accepts_any_image_shape(size: tuple[int, int]) -> None:
    found = phenotype(
        seedling(flags=(CROSSING_FLAG, UNLOCATED_FLAG)), image=image_metadata(width=size[0], height=size[1])
    )
    assert draw_overlay(found, long_side=500).size > 0


def test_draw_accepts_downscaled_image() -> None:
    found = phenotype_of_width(1000)
    png = overlay.draw(photo(500, 500), found)
    assert Image.open(io.BytesIO(png)).width == 640, "a narrow image is centred above the footer"


def test_draw_rejects_image_of_another_shape() -> None:
    with pytest.raises(ParameterError, match="EXIF"):
        overlay.draw(photo(300, 400), phenotype(seedling()))


def test_draw_rejects_long_side_below_one() -> None:
    with pytest.raises(ParameterError, match="long_side"):
        overlay.draw(photo(), phenotype(seedling()), long_side=0)


def test_draw_skips_distant_and_non_finite_positions() -> None:
    plant = seedling()
    odd = plant.model_copy(
        update={
            "roots": (
                plant.roots[0].model_copy(update={"points": ((1e12, math.nan), (math.inf, 5.0), (-1e300, 1.0))}),
            ),
            "landmarks": (Landmark(kind="leaf_tip", x=math.nan, y=1e15, score=0),),
            "flags": (Flag(code="crossing", message="", at=Point(x=1e18, y=math.inf)),),
        }
    )
    found = phenotype(image=image_metadata()).model_copy(update={"plants": (odd,)})
    assert draw_overlay(found).shape[1] == 640


def test_draw_accepts_names_of_any_script_and_length() -> None:
    for name in ("拟南芥 é \x00\n.png", "x" * 5000, "👩‍🌾.png"):
        assert draw_overlay(phenotype(seedling(), image=image_metadata(name), flags=(UNLOCATED_FLAG,))).size > 0
