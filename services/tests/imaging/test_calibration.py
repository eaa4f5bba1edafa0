import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from thale.errors import ScaleError
from thale.imaging.calibration import calibrate, interior_mask, plate_interior, region_of_interest
from thale.imaging.geometry import Frame
from thale.imaging.plate_search import plate_side_px
from thale.schemas import Calibration, Plate, Point, Scale
from thale_models.synthesis import draw_plate

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the photographs are missing: {DATA}")

OUTERMOST_EDGES = {
    "J10_Photo_001": (575, 2895, 317, 2643, 2320),
    "J10_Photo_011": (487, 2854, 268, 2598, 2330),
    "J11_Photo_001": (608, 3079, 159, 2636, 2470),
    "J11_Photo_011": (541, 3065, 111, 2598, 2477),
}
"""Measured by eye at native resolution, in px: left at y = 1400, right at y = 2000, top and bottom at x = 1300, and the
side length from these values and the tilt."""


def photograph(name: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(DATA / "arabidopsis-plates" / f"{name}.jpg"))


def codes(calibration: Calibration) -> list[str]:
    return [flag.code for flag in calibration.flags]


def point_on_line(start: Point, end: Point, *, x: float | None = None, y: float | None = None) -> float:
    """Return the y of a side of the plate at column x, or its x at row y."""
    if x is not None:
        return start.y + (end.y - start.y) * (x - start.x) / (end.x - start.x)
    assert y is not None
    return start.x + (end.x - start.x) * (y - start.y) / (end.y - start.y)


def square(side: float = 1200, left: float = 100, top: float = 50) -> Plate:
    corners = ((left, top), (left + side, top), (left + side, top + side), (left, top + side))
    return Plate(corners=tuple(Point(x=x, y=y) for x, y in corners), tilt_deg=0, confidence=1)  # type: ignore[arg-type]


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", OUTERMOST_EDGES)
def test_calibrate_finds_outer_edge_of_photographed_plate(name: str) -> None:
    left, right, top, bottom, side = OUTERMOST_EDGES[name]
    calibration = calibrate(photograph(name))
    plate = calibration.plate
    assert plate is not None
    assert calibration.scale.source == "assumed"
    assert calibration.scale.mm_per_px == pytest.approx(120 / side, rel=0.01)
    assert codes(calibration) == []
    top_left, top_right, bottom_right, bottom_left = plate.corners
    assert point_on_line(top_left, bottom_left, y=1400) == pytest.approx(left, abs=25)
    assert point_on_line(top_right, bottom_right, y=2000) == pytest.approx(right, abs=25)
    assert point_on_line(top_left, top_right, x=1300) == pytest.approx(top, abs=25)
    assert point_on_line(bottom_left, bottom_right, x=1300) == pytest.approx(bottom, abs=25)


@pytest.mark.slow
def test_calibrate_finds_synthetic_plates_within_2_percent() -> None:
    errors = []
    for seed in range(6):
        synthetic = draw_plate(5200 + seed, style=("backlit", "dark")[seed % 2], width=1700, height=1450)
        calibration = calibrate(synthetic.image_HW3)
        assert calibration.plate is not None, seed
        errors.append(abs(calibration.scale.mm_per_px / synthetic.mm_per_px - 1))
    assert np.median(errors) < 0.005
    assert max(errors) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("tilt_deg", [-6.0, 6.0])
def test_calibrate_flags_tilted_plate(tilt_deg: float) -> None:
    synthetic = draw_plate(1, style="backlit", width=1700, height=1450, tilt_deg=tilt_deg, px_per_mm=10.0)
    calibration = calibrate(synthetic.image_HW3)
    assert calibration.plate is not None
    assert calibration.plate.tilt_deg == pytest.approx(tilt_deg, abs=0.6)
    assert calibration.scale.mm_per_px == pytest.approx(synthetic.mm_per_px, rel=0.02)
    assert "plate_tilted" in codes(calibration)


@pytest.mark.slow
def test_calibrate_reports_assumed_or_given_plate_width() -> None:
    synthetic = draw_plate(2, style="backlit", width=1700, height=1450)
    assumed = calibrate(synthetic.image_HW3).scale
    given = calibrate(synthetic.image_HW3, plate_width_mm=240).scale
    assert (assumed.source, assumed.plate_width_mm) == ("assumed", 120)
    assert (given.source, given.plate_width_mm) == ("plate_edge", 240)
    assert given.mm_per_px == pytest.approx(2 * synthetic.mm_per_px, rel=0.02)


PLAIN = {
    "constant": np.full((900, 1200, 3), 128, np.uint8),
    "black": np.zeros((900, 1200, 3), np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8),
    "gradient": np.repeat(np.linspace(0, 255, 1200).astype(np.uint8)[None, :, None], 900, axis=0).repeat(3, axis=2),
    "32 x 32": np.full((32, 32, 3), 90, np.uint8),
    "a strip": np.full((32, 5000, 3), 90, np.uint8),
}


@pytest.mark.parametrize("name", PLAIN)
def test_calibrate_finds_no_plate_in_plain_images(name: str) -> None:
    calibration = calibrate(PLAIN[name])
    assert calibration.plate is None
    assert calibration.scale.source == "none"
    assert math.isnan(calibration.scale.mm_per_px)
    assert [code for code in codes(calibration) if code != "not_a_photograph"] == ["no_plate", "scale_unknown"]


@pytest.mark.slow
@needs_data
def test_calibrate_finds_no_plate_in_photos_of_other_objects() -> None:
    others = [
        *sorted((DATA / "roots-barley-paper").glob("*.jpg"))[:4],
        *sorted((DATA / "maize-leaf-tips").glob("*.jpg"))[::5],
        *sorted((DATA / "arabidopsis-rosettes").glob("*.jpg"))[::4],
    ]
    assert others
    detected = [path.name for path in others if calibrate(np.asarray(Image.open(path).convert("RGB"))).plate]
    assert detected == []


@pytest.mark.slow
@needs_data
def test_calibrate_finds_no_plate_in_crop_of_plate() -> None:
    photo = photograph("J10_Photo_001")
    rng = np.random.default_rng(0)
    for _ in range(12):
        size = int(rng.integers(500, 2200))
        left, top = int(rng.integers(0, 3200 - size)), int(rng.integers(0, 2848 - size))
        assert calibrate(photo[top : top + size, left : left + size]).plate is None, (left, top, size)


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("rim", ["left", "top"])
def test_calibrate_rejects_or_flags_plate_without_one_rim(rim: str) -> None:
    photo = photograph("J11_Photo_001")
    cropped = photo[:, 760:] if rim == "left" else photo[300:]
    calibration = calibrate(cropped)
    assert calibration.plate is None or "plate_edge_weak" in codes(calibration)


@pytest.mark.slow
def test_calibrate_uses_given_scale_and_flags_conflict() -> None:
    synthetic = draw_plate(3, style="dark", width=1700, height=1450)
    consistent = calibrate(synthetic.image_HW3, mm_per_px=synthetic.mm_per_px)
    assert (consistent.scale.mm_per_px, consistent.scale.source) == (synthetic.mm_per_px, "given")
    assert "scale_conflict" not in codes(consistent)
    conflicting = calibrate(synthetic.image_HW3, mm_per_px=synthetic.mm_per_px * 1.5)
    assert conflicting.scale.mm_per_px == synthetic.mm_per_px * 1.5
    assert "scale_conflict" in codes(conflicting)


def test_calibrate_uses_given_scale_without_plate() -> None:
    calibration = calibrate(PLAIN["constant"], mm_per_px=0.05)
    assert calibration.scale == Scale(mm_per_px=0.05, source="given")
    assert codes(calibration) == ["no_plate", "not_a_photograph"]  # one grey level


@pytest.mark.parametrize("mm_per_px", [0.0, -0.05, math.nan, math.inf, -math.inf, 1e-9, 1.5])
def test_calibrate_rejects_impossible_scale(mm_per_px: float) -> None:
    with pytest.raises(ScaleError, match=r"typically 0\.04 to 0\.07"):
        calibrate(PLAIN["constant"], mm_per_px=mm_per_px)


def test_calibrate_suggests_value_when_unit_is_wrong() -> None:
    with pytest.raises(ScaleError, match=r"pixels per mm, send 0\.05"):
        calibrate(PLAIN["constant"], mm_per_px=20)
    with pytest.raises(ScaleError, match="centimetres, send 120"):
        calibrate(PLAIN["constant"], plate_width_mm=12)


@pytest.mark.parametrize("plate_width_mm", [0.0, -120.0, math.nan, math.inf, 5000.0])
def test_calibrate_rejects_impossible_plate_width(plate_width_mm: float) -> None:
    with pytest.raises(ScaleError, match="typically 120"):
        calibrate(PLAIN["constant"], plate_width_mm=plate_width_mm)


def test_region_of_interest_is_plate_clipped_to_image() -> None:
    scale = Scale(mm_per_px=0.1, source="plate_edge", plate_width_mm=120)
    assert region_of_interest(Calibration(scale=scale, plate=square()), 1400, 1500) == (100, 50, 1301, 1251)
    assert region_of_interest(Calibration(scale=scale, plate=square(left=-20.5)), 1200, 1000) == (0, 50, 1000, 1200)
    assert region_of_interest(Calibration(scale=scale), 1400, 1500) == (0, 0, 1500, 1400)


def test_plate_interior_excludes_rim() -> None:
    assert plate_side_px(square()) == 1200
    interior = plate_interior(square(), margin_mm=5)
    assert [(corner.x, corner.y) for corner in interior] == [(150, 100), (1250, 100), (1250, 1200), (150, 1200)]


def test_interior_mask_excludes_rim_and_round_corners() -> None:
    plate = square(side=1200, left=0, top=0)  # 0.1 mm per pixel
    calibration = Calibration(scale=Scale(mm_per_px=0.1, source="plate_edge", plate_width_mm=120), plate=plate)
    frame = Frame.from_box((0, 0, 1201, 1201), 0.5)
    inside_HW = interior_mask(calibration, frame)
    assert inside_HW.shape == (frame.height, frame.width)
    assert inside_HW[300, 300]
    assert inside_HW[300, 30]  # 6 mm from the edge
    assert not inside_HW[300, 20]  # 4 mm from the edge
    assert not inside_HW[45, 45]  # 9 mm from both edges, outside the round corner


def test_interior_mask_is_whole_frame_without_plate() -> None:
    calibration = Calibration(scale=Scale(mm_per_px=0.1, source="given"))
    assert interior_mask(calibration, Frame.from_box((0, 0, 40, 30), 1.0)).all()
