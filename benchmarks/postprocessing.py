"""CPU seconds from the predictions of a 12-megapixel plate to its phenotype, and of some functions and their peers.

The plates are drawn, or photographs of your own. Both default models predict them once. Then the post-processing of
each plate is measured, and these functions with the predictions of the plate:

    hysteresis   mask of one organ, against `skimage.filters.apply_hysteresis_threshold`
    simplify     outline of the root mask, against `skimage.measure.approximate_polygon`
    faint root   path to a root 3 mm away, against `MCP_Geometric.find_costs` with the pixels of the root as ends

    python benchmarks/postprocessing.py [--plates 3] [photograph ...]
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.filters import apply_hysteresis_threshold
from skimage.graph import MCP_Geometric
from skimage.measure import approximate_polygon, find_contours

from thale._version import __version__
from thale.imaging.components import hysteresis_mask
from thale.imaging.image_io import read_header
from thale.phenotyping.pipeline import build_phenotype
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.faint_roots import _RootSearch
from thale.phenotyping.quality.error_model import error_model_for
from thale.schemas import Provenance, Timings
from thale_models.evaluation.plate_scores import EvaluatedPlate, evaluate_plate
from thale_models.evaluation.run import load_models
from thale_models.synthesis import draw_plate

WEIGHTS = Path(__file__).parents[1] / "model-server" / "weights"
WIDTH, HEIGHT = 4200, 3000
PX_PER_MM = 16
REPEATS = 5


def main() -> None:
    """Run the benchmark and print one line per plate and function."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="*", type=Path)
    parser.add_argument("--plates", type=int, default=3, help="number of drawn plates")
    arguments = parser.parse_args()
    images = {path.stem: path.read_bytes() for path in arguments.photographs}
    for seed in range(arguments.plates):
        images[f"drawn {seed}"] = draw_plate(seed, plants=5, width=WIDTH, height=HEIGHT).encoded
    models = load_models([WEIGHTS / "plate-seg" / "1.0.0", WEIGHTS / "plate-landmarks" / "1.0.0"], "openvino")
    for name, image in images.items():
        plate = evaluate_plate(image, name, models["segmentation"], models["landmarks"])
        seconds = fastest(lambda plate=plate, image=image, name=name: postprocess(plate, image, name))
        roots = sum(len(plant.roots) for plant in plate.phenotype.plants) if plate.phenotype else 0
        sys.stdout.write(f"{name}: {seconds:.2f} s of CPU time, {roots} roots\n")
        for function, (own, peer) in functions(plate).items():
            own_s, peer_s = fastest(own), fastest(peer)
            sys.stdout.write(
                f"    {function:11s} {own_s * 1e3:7.1f} ms, peer {peer_s * 1e3:7.1f} ms: {peer_s / own_s:.1f} x\n"
            )


def postprocess(plate: EvaluatedPlate, image: bytes, name: str) -> None:
    """Compute the phenotype from the predictions."""
    assert plate.maps is not None and plate.points is not None  # noqa: S101, PT018 (both models predicted the plate)
    models = plate.maps.meta.model, plate.points.model
    provenance = Provenance(models=models, config_digest="benchmark", package_version=__version__, created="2026-01-01")
    error_model = error_model_for(*(model.digest for model in models))
    untimed = Timings(segment_s=0.0, landmarks_s=0.0, plants_s=0.0, total_s=0.0)
    build_phenotype(read_header(image, name), plate.maps, plate.points, provenance, untimed, error_model=error_model)


def functions(plate: EvaluatedPlate) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return each function with its peer, on the data of a plate."""
    assert plate.maps is not None  # noqa: S101 (the model predicted the plate)
    root_HW = plate.maps.class_probability("root")
    mask_HW = hysteresis_mask(root_HW, 89.25, 140.25)
    outline = max(find_contours(mask_HW.astype(float), 0.5), key=len, default=np.zeros((2, 2)))
    row, col = np.argwhere(mask_HW)[np.count_nonzero(mask_HW) // 2].tolist()
    half = 7 * PX_PER_MM
    window = slice(max(0, row - half), row + half + 1), slice(max(0, col - half), col + half + 1)
    cost_HW = np.full(mask_HW[window].shape, 1 / PX_PER_MM)
    start_rc = _remote_pixel(mask_HW[window])
    ends_rc = np.argwhere(mask_HW[window])
    return {
        "hysteresis": (
            lambda: hysteresis_mask(root_HW, 89.25, 140.25),
            lambda: apply_hysteresis_threshold(root_HW, 89.25, 140.25),
        ),
        "simplify": (lambda: polyline.simplify(outline, 0.7), lambda: approximate_polygon(outline, 0.7)),
        "faint root": (
            lambda: _RootSearch(cost_HW, mask_HW[window]).find_path(start_rc),
            lambda: MCP_Geometric(cost_HW).find_costs([start_rc], ends_rc, find_all_ends=False),
        ),
    }


def _remote_pixel(mask_HW: NDArray[np.bool_]) -> tuple[int, int]:
    """Return a pixel about 3 mm from the mask, or the first pixel without one."""
    rows, cols = np.nonzero(np.abs(distance_transform_edt(~mask_HW) - 3 * PX_PER_MM) < 1)
    return (int(rows[0]), int(cols[0])) if len(rows) else (0, 0)


def fastest(function: Callable[[], object]) -> float:
    """Return the CPU seconds of the fastest of several calls."""
    durations = []
    for _ in range(REPEATS):
        started_s = time.process_time()
        function()
        durations.append(time.process_time() - started_s)
    return min(durations)


if __name__ == "__main__":
    main()
