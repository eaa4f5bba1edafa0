import math

import numpy as np
import pytest

from tests.support.skeleton_drawings import drawing_maps, same_frame
from thale.imaging.geometry import Frame
from thale.models.predictions import SegmentationMeta, SegmentationPrediction
from thale.phenotyping.plants.probability_maps import NOMINAL_MM_PER_PX, ProbabilityMaps, root_mask
from thale.schemas import Calibration, ModelRef, Scale

MODEL = ModelRef(name="plate-seg", version="1.0.0", digest="sha256:0")


def prediction(frame: Frame, scale: Scale, classes: tuple[str, ...]) -> SegmentationPrediction:
    meta = SegmentationMeta(model=MODEL, classes=classes, frame=frame, calibration=Calibration(scale=scale))
    levels = np.arange(1, len(classes), dtype=np.uint8)[:, None, None]
    return SegmentationPrediction(meta, np.broadcast_to(levels, (len(classes) - 1, frame.height, frame.width)))


def mask_rows(drawing: str, px_per_mm: float = 4.0) -> list[str]:
    mask_HW, _ = root_mask(drawing_maps(drawing, px_per_mm))
    return ["".join(".#"[int(pixel)] for pixel in row) for row in mask_HW]


def test_maps_scale_follows_the_frame_and_the_calibration() -> None:
    half = Frame(x0=0, y0=0, source_width=40, source_height=20, width=20, height=10)
    maps = ProbabilityMaps.from_prediction(
        prediction(half, Scale(mm_per_px=0.05, source="given"), ("background", "root", "shoot", "seed"))
    )
    assert maps.px_per_mm == pytest.approx(10)  # 20 source pixels per millimetre, half as many frame pixels
    assert maps.mm_to_px(2.5) == pytest.approx(25)
    assert maps.mm2_to_px2(2.5) == pytest.approx(250)


def test_maps_scale_is_nominal_when_unknown() -> None:
    unknown = Scale(mm_per_px=math.nan, source="none")
    maps = ProbabilityMaps.from_prediction(
        prediction(same_frame(4, 6), unknown, ("background", "root", "shoot", "seed"))
    )
    assert maps.px_per_mm == pytest.approx(1 / NOMINAL_MM_PER_PX) == 16


def test_maps_read_classes_by_name() -> None:
    scale = Scale(mm_per_px=0.1, source="given")
    maps = ProbabilityMaps.from_prediction(prediction(same_frame(4, 6), scale, ("background", "seed", "root")))
    assert (maps.seed_HW.max(), maps.root_HW.max(), maps.shoot_HW.max()) == (1, 2, 0)
    assert maps.shoot_HW.shape == (4, 6)


def test_root_mask_retains_likely_root_joined_to_certain_root() -> None:
    # Root of 40 % counts if connected to root of 60 %. Root of 30 % never counts.
    rows = mask_rows(
        """
        ................
        .664443333......
        ................
        ..........44444.
        ................
        ................
        """
    )
    assert rows[1] == ".#####.........."
    assert rows[3] == "." * 16


def test_root_mask_excludes_shoots_and_seeds() -> None:
    # Pixel 4 is more likely shoot and pixel 9 more likely seed. Ties (pixels 0, 1 and 13) are root.
    maps = drawing_maps("\n".join(["." * 14, "#" * 14, *["." * 14] * 4]))
    maps.shoot_HW[1, [0, 1, 4]] = 255
    maps.seed_HW[1, [9, 13]] = 255
    maps.root_HW[1, [4, 9]] = 254
    mask_HW, flags = root_mask(maps)
    assert np.flatnonzero(mask_HW[1]).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    assert flags == ()


def test_root_mask_drops_specks_below_0_15_square_mm() -> None:
    # At 4 px/mm, a speck of 2 px has 0.125 square millimetres, one of 3 px has 0.19. Diagonal pixels are connected.
    rows = mask_rows(
        """
        ................
        .##......#......
        ..........#.....
        ...........#....
        ................
        """
    )
    assert rows[1:4] == [".........#......", "..........#.....", "...........#...."]


def test_root_mask_fills_holes_up_to_0_12_square_mm() -> None:
    rows = mask_rows(
        """
        ....................
        .###.####...........
        .#.#.#..#...........
        .###.####...........
        ....................
        ....................
        """
    )
    assert rows[2] == ".###.#..#..........."


@pytest.mark.parametrize(("columns", "is_everywhere"), [(2, False), (3, True)])
def test_root_mask_is_empty_when_root_is_everywhere(columns: int, is_everywhere: bool) -> None:
    # Two of eight columns are a quarter of the image, which is accepted.
    mask_HW, flags = root_mask(drawing_maps("\n".join(4 * ["#" * columns + "." * (8 - columns)])))
    assert [flag.code for flag in flags] == (["root_everywhere"] if is_everywhere else [])
    assert int(mask_HW.sum()) == (0 if is_everywhere else 8)


def test_root_mask_flags_clutter_beyond_pixel_limit() -> None:
    maps = drawing_maps("." * 2500)
    root_HW = np.zeros((2500, 2500), np.uint8)
    root_HW[:600] = 255  # 1.5 million pixels: the limit
    root_HW[800:803, 100:103] = 255
    empty_HW = np.zeros_like(root_HW)
    mask_HW, flags = root_mask(ProbabilityMaps(root_HW, empty_HW, empty_HW, maps.frame, maps.px_per_mm))
    assert [flag.code for flag in flags] == ["clutter"]
    assert flags[0].message.startswith("1 ")
    assert (int(mask_HW.sum()), bool(mask_HW[801, 101])) == (1_500_000, False)
