"""The golden plates themselves: small, with everything on them that models are asked for, and made by one command."""

import importlib.util
from pathlib import Path

import numpy as np

from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.release.registry.golden import golden_plates
from thale.release.registry.golden.plates import TRUTH_FILE, TRUTHS
from thale_models.golden import draw_golden_plates


def test_the_plates_show_every_organ_and_landmark_in_both_styles() -> None:
    plates = golden_plates()
    assert len(plates) == 3
    for plate in plates:
        image_HW3 = decode(plate.image)
        assert image_HW3.shape[:2] == plate.mask_HW.shape == (640, 640)
        assert {0, 1, 2} <= set(np.unique(plate.mask_HW)) <= {0, 1, 2, 3}
        assert calibrate(image_HW3, plate.mm_per_px).plate is None, "a rim would hide what models say"
    assert {mark.kind for plate in plates for mark in plate.landmarks} == {"root_base", "primary_tip", "lateral_tip"}
    light = [float(decode(plate.image).mean()) for plate in plates]
    assert min(light) < 90 < 120 < max(light)


def test_the_plates_are_part_of_the_package_and_small() -> None:
    spec = importlib.util.find_spec("thale.release.registry.golden")
    assert spec is not None
    assert spec.origin is not None
    files = list((Path(spec.origin).parent / "plates").iterdir())
    assert sum(file.stat().st_size for file in files) < 300_000


def test_one_command_draws_plates_with_their_truth(tmp_path: Path) -> None:
    drawn = draw_golden_plates(tmp_path)
    again = draw_golden_plates(tmp_path / "again")
    assert [path.read_bytes() for path in drawn] == [path.read_bytes() for path in again]
    truths = TRUTHS.validate_json((tmp_path / TRUTH_FILE).read_bytes())
    assert [truth.name for truth in truths] == [plate.name for plate in golden_plates()] == [p.stem for p in drawn]
