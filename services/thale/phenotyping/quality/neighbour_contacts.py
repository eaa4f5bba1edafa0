"""Neighbour contacts: flags plants whose roots touch, if the tracing may have exchanged roots between them.

Both plants are flagged, because a root that is too much in one plant is missing in the other (ADR 0114).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from scipy.spatial import cKDTree

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.quality.tip_agreement import ASSUMED_MM_PER_PX
from thale.schemas import Flag, Plant, Point, Root, Scale

_CONTACT_MM = 0.5
_MIN_ROOT_MM = 3.0
"""Shorter roots change a plant's total length by little."""

_MAX_MARGIN = 2.3
"""Drawn pairs: 95 % of 40 wrong plants have a smaller margin and a root in another lane, and 54 % of 134 right ones."""

_NO_MARGINS: Mapping[int, float] = MappingProxyType({})

_MIN_SHARE = 0.05
"""Smallest share of a plant's total length that matters: its traits are meant to be right within 5 %."""


def flag_neighbour_contacts(
    plants: Sequence[Plant], scale: Scale, exchange_margins: Mapping[int, float] = _NO_MARGINS
) -> tuple[Plant, ...]:
    """Return the plants with flags for exchanged roots.

    `lateral_longer`: a lateral is longer than the primary root of its plant. If it touches a root of a neighbour, the
    neighbour is flagged as well. `root_in_other_lane`: a root touches a neighbour's root and ends in the lane of that
    neighbour, nearer to its base than to its own. The part in that lane is more than 5 % of the roots of one of both. A
    plant is spared if the exchange of 5 % of its roots would cost much (`_MAX_MARGIN`).

    Args:
        plants: Traced plants.
        scale: Scale of the image.
        exchange_margins: `PlateReconstruction.exchange_margins`. A plant without one is not spared.
    """
    mm_per_px = scale.mm_per_px if scale.is_known else ASSUMED_MM_PER_PX
    lines = {plant.id: _sample(plant.roots) for plant in plants if plant.roots}
    trees = {plant_id: cKDTree(points) for plant_id, points in lines.items()}
    bases = {plant.id: plant.roots[0].points[0][0] for plant in plants if plant.roots}
    totals_px = {plant.id: sum(root.length_px for root in plant.roots) for plant in plants}
    flags: dict[int, list[Flag]] = defaultdict(list)
    for plant in plants:
        for root in plant.roots:
            if root.length_px * mm_per_px < _MIN_ROOT_MM:
                continue
            points = _sample([root])
            touched = [
                other for other, tree in trees.items() if other != plant.id and _touches(tree, points, mm_per_px)
            ]
            for flag, neighbours in _contact_flags(plant, root, touched, bases, totals_px):
                for plant_id in (plant.id, *neighbours):
                    is_sure = exchange_margins.get(plant_id, 0.0) >= _MAX_MARGIN
                    if flag.code == "root_in_other_lane" and is_sure:
                        continue
                    if all(flag.code != known.code for known in flags[plant_id]):
                        flags[plant_id].append(flag)
    return tuple(
        plant.model_copy(update={"flags": (*plant.flags, *flags[plant.id])}) if flags[plant.id] else plant
        for plant in plants
    )


def _touches(tree: cKDTree, points_N2: Points, mm_per_px: float) -> bool:
    """Return True if a point is at most `_CONTACT_MM` from a point of the tree."""
    reach = 2 * _CONTACT_MM / mm_per_px
    is_near_N = np.all((points_N2 >= tree.mins - reach) & (points_N2 <= tree.maxes + reach), axis=1)
    distance_N, _ = tree.query(points_N2[is_near_N], distance_upper_bound=reach)
    return bool((distance_N * mm_per_px <= _CONTACT_MM).any())


def _contact_flags(
    plant: Plant, root: Root, touched: Sequence[int], bases: dict[int, float], totals_px: dict[int, float]
) -> Iterator[tuple[Flag, Sequence[int]]]:
    """Yield the flags of one root, and the ids of the neighbours that have them as well."""
    x, y = root.points[-1]
    if root.order > 1 and root.length_px > max(other.length_px for other in plant.roots if other.order == 1):
        message = f"the lateral that ends at {x:.0f},{y:.0f} is longer than the primary root: it may be another root"
        yield Flag(code="lateral_longer", message=message, at=Point(x=x, y=y)), touched
    entered = [other for other in touched if _is_in_lane(plant, root, other, bases, totals_px)]
    if entered:
        message = (
            f"the root that ends at {x:.0f},{y:.0f} touches a root of a neighbour and ends in the neighbour's lane: "
            "it may belong to the neighbour"
        )
        yield Flag(code="root_in_other_lane", message=message, at=Point(x=x, y=y)), entered


def _is_in_lane(plant: Plant, root: Root, other: int, bases: dict[int, float], totals_px: dict[int, float]) -> bool:
    """Return True if a root ends nearer to the base of another plant, and much of it lies in that plant's lane."""
    columns = _sample([root])[:, 0]
    is_nearer = np.abs(columns - bases[other]) < np.abs(columns - bases[plant.id])
    length_px = root.length_px * float(is_nearer.mean())
    return bool(is_nearer[-1]) and length_px > _MIN_SHARE * min(totals_px[plant.id], totals_px[other])


def _sample(roots: Sequence[Root]) -> Points:
    """Return points at steps of about one pixel along roots, source px."""
    return np.vstack([polyline.resample(np.array(root.points)) for root in roots])
