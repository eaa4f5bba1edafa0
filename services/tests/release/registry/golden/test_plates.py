"""Tests of the golden plates: content, size, and reproducible rendering."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.release.registry.golden import golden_plates
from thale.release.registry.golden.plates import TRUTH_FILE, TRUTHS
from thale_models.golden import draw_golden_plates


def test_golden_plates_show_every_organ_and_landmark() -> None:
    plates = golden_plates()
    assert len(plates) == 3
    for plate in plates:
        image_HW3 = decode(plate.image)
        assert image_HW3.shape[:2] == plate.mask_HW.shape == (640, 640)
        assert {0, 1, 2} <= set(np.unique(plate.mask_HW)) <= {0, 1, 2, 3}
        assert calibrate(image_HW3, plate.mm_per_px).plate is None, "models return no predictions on a rim"
    assert {mark.kind for plate in plates for mark in plate.landmarks} == {"root_base", "primary_tip", "lateral_tip"}
    brightness = [float(decode(plate.image).mean()) for plate in plates]
    assert min(brightness) < 90 < 120 < max(brightness)


def test_golden_plates_are_small_package_files() -> None:
    spec = importlib.util.find_spec("thale.release.registry.golden")
    assert spec is not None
    assert spec.origin is not None
    files = list((Path(spec.origin).parent / "plates").iterdir())
    assert sum(file.stat().st_size for file in files) < 300_000


@pytest.mark.slow
def test_draw_golden_plates_is_reproducible(tmp_path: Path) -> None:
    paths = draw_golden_plates(tmp_path)
    second_paths = draw_golden_plates(tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in second_paths]
    truths = TRUTHS.validate_json((tmp_path / TRUTH_FILE).read_bytes())
    assert [truth.name for truth in truths] == [plate.name for plate in golden_plates()] == [p.stem for p in paths]
