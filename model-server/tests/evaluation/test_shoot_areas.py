"""Tests of the true shoot areas from the mask of a synthetic plate."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thale.exports import rsml
from thale_models.evaluation.shoot_areas import SHOOT_AREA, read_mask, with_shoot_areas
from thale_models.evaluation.trait_records import true_plants_of, true_shoots_of


def document(*bases: tuple[float, float]) -> rsml.RsmlDocument:
    plants = tuple(
        rsml.RsmlPlant(id=str(number), label="", roots=(rsml.RsmlRoot(id="1", points=((x, y), (x, y + 50))),))
        for number, (x, y) in enumerate(bases, start=1)
    )
    return rsml.RsmlDocument(metadata=rsml.Metadata(), plants=plants)


def test_shoot_pixels_belong_to_nearest_base(tmp_path: Path) -> None:
    mask_HW = np.zeros((100, 200), np.uint8)
    mask_HW[20:30, 40:50] = mask_HW[20:30, 140:160] = 2
    mask_HW[30:80, 45] = 1
    Image.fromarray(mask_HW).save(tmp_path / "mask.png")
    given = document((45, 30), (150, 30))
    shoots = with_shoot_areas(true_shoots_of(given, 0.1), given, read_mask(tmp_path / "mask.png"), 0.1)
    assert {number: shoot[SHOOT_AREA] for number, shoot in shoots.items()} == pytest.approx({1: 1.0, 2: 2.0})


def test_plate_without_plants_has_no_shoot_areas() -> None:
    assert with_shoot_areas({}, document(), np.full((9, 9), 2, np.uint8), 0.1) == {}


def test_true_insertion_angle_needs_scale() -> None:
    lateral = rsml.RsmlRoot(id="1.1", points=((100.0, 100.0), (140.0, 140.0)))
    primary = rsml.RsmlRoot(id="1", points=((100.0, 50.0), (100.0, 150.0)), roots=(lateral,))
    plants = rsml.RsmlDocument(metadata=rsml.Metadata(), plants=(rsml.RsmlPlant(id="1", label="", roots=(primary,)),))
    [known] = true_plants_of(plants, 1.0, 16.0)
    assert known.roots[1].insertion_angle_deg == pytest.approx(45, abs=1)
    [unknown] = true_plants_of(plants, 1.0)
    assert math.isnan(unknown.roots[1].insertion_angle_deg)
