"""The organs of one plant: area, confidence and outlines in source pixels."""

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.schemas import Organ, OrganKind, Scale

ORGAN_TERMS: dict[OrganKind, str] = {"root": "PO:0025025", "shoot": "PO:0009006", "seed": "PO:0009010"}
"""Plant Ontology terms of root system (all roots of a plant, not a single root), shoot system, and seed."""

_OUTLINE_TOLERANCE_PX = 0.7
_MIN_OUTLINE_POINTS = 3


def build_organ(kind: OrganKind, pixels_rc: NDArray[np.int64], maps: ProbabilityMaps, scale: Scale) -> Organ:
    """Return an organ from its pixels (N2, row and column in the frame, at least one).

    The confidence is the mean probability of the pixels. Holes are not part of the area and have no outline.
    """
    probability_HW = {"root": maps.root_HW, "shoot": maps.shoot_HW, "seed": maps.seed_HW}[kind]
    area_px = len(pixels_rc) / maps.frame.factor**2
    return Organ(
        kind=kind,
        ontology_id=ORGAN_TERMS[kind],
        area_px=area_px,
        area_mm2=area_px * scale.mm_per_px**2,
        confidence=float(probability_HW[tuple(pixels_rc.T)].mean()) / 255,
        polygons=_outlines(pixels_rc, maps),
    )


def _outlines(pixels_rc: NDArray[np.int64], maps: ProbabilityMaps) -> tuple[tuple[float, ...], ...]:
    corner = pixels_rc.min(axis=0) - 1
    mask_HW = np.zeros(pixels_rc.max(axis=0) - corner + 2, bool)
    mask_HW[tuple((pixels_rc - corner).T)] = True
    outlines = []
    for contour_rc in find_contours(mask_HW.astype(float), 0.5, fully_connected="high"):
        if _signed_area(contour_rc) <= 0:
            continue
        simple_rc = polyline.simplify(contour_rc, _OUTLINE_TOLERANCE_PX)[:-1]
        if len(simple_rc) >= _MIN_OUTLINE_POINTS:
            source_xy = maps.frame.to_source((simple_rc + corner)[:, ::-1])
            outlines.append(tuple(np.round(source_xy, 2).ravel().tolist()))
    return tuple(outlines)


def _signed_area(contour_rc: NDArray[np.float64]) -> float:
    """Return the area inside a closed contour, negative for a hole: contours of holes have the opposite orientation."""
    rows, cols = contour_rc.T
    return float(np.sum(cols[:-1] * rows[1:] - cols[1:] * rows[:-1])) / 2
