"""Nesting of lateral roots that a file lists next to their primary root."""

import itertools
import math
from dataclasses import replace

from thale.exports.rsml.document import XY, RsmlRoot

_LATERAL = "PO:0020121"
_LATERAL_LABELS = ("lat", "second")


def nest_laterals(roots: tuple[RsmlRoot, ...]) -> tuple[RsmlRoot, ...]:
    """Return the roots of a plant with each top-level lateral nested below the primary root nearest to its origin.

    A root is a lateral by its accession, or else by its label (lateral, lat_3, secondary). Laterals without geometry
    stay, and so do all laterals if no primary root is at the top level.
    """
    primary_roots = [root for root in roots if not _is_lateral(root) and root.points]
    laterals = [root for root in roots if _is_lateral(root) and root.points]
    if not primary_roots or not laterals:
        return roots
    laterals_by_primary: dict[str, list[RsmlRoot]] = {}
    for lateral in laterals:
        nearest = min(primary_roots, key=lambda primary: _distance(lateral.points[0], primary.points))
        laterals_by_primary.setdefault(nearest.id, []).append(lateral)
    moved_ids = {lateral.id for lateral in laterals}
    return tuple(
        replace(root, roots=(*root.roots, *laterals_by_primary.get(root.id, ())))
        for root in roots
        if root.id not in moved_ids
    )


def _is_lateral(root: RsmlRoot) -> bool:
    if root.accession:
        return root.accession.upper() == _LATERAL
    return (root.label or "").strip().lower().startswith(_LATERAL_LABELS)


def _distance(point: XY, line: tuple[XY, ...]) -> float:
    """Return the distance of a point to a polyline."""
    if len(line) == 1:
        return math.dist(point, line[0])
    return min(_distance_to_segment(point, a, b) for a, b in itertools.pairwise(line))


def _distance_to_segment(point: XY, a: XY, b: XY) -> float:
    along = (b[0] - a[0], b[1] - a[1])
    squared = along[0] ** 2 + along[1] ** 2
    if squared == 0:
        return math.dist(point, a)
    t = max(0.0, min(1.0, ((point[0] - a[0]) * along[0] + (point[1] - a[1]) * along[1]) / squared))
    return math.dist(point, (a[0] + t * along[0], a[1] + t * along[1]))
