"""Reconstruction of the plants of a plate from probability maps and landmarks.

    probability_maps    the mask in which roots are traced
    faint_roots         paths to tips outside the mask
    skeleton_graph      the skeleton of the mask as a graph of segments
    plant_detection     plants from shoots, root bases and seeds
    graph_repair        removal of spurs, bridges across gaps, nodes for bases and tips
    path_search         minimum-cost paths from the bases, assignment of tips to plants
    root_architecture   primary root and laterals (root_assignment, leftover_segments, hidden_laterals)
    centrelines         smooth polylines in source pixels
    root_diameter       mean diameter of each root
    insertion_angle     angle of each lateral to its parent
    contested_roots     share of each plant's length that may be exchanged with a neighbour
    unassigned_roots    visible root that is part of no plant
    organs              areas and outlines

Roots and shoots above a minimum size that belong to no plant are flagged with their position (ADR 0038, ADR 0114).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.imaging.components import find_pixels
from thale.models.predictions import SegmentationPrediction
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.centrelines import smooth_centrelines, start_at_base, to_root
from thale.phenotyping.plants.contested_roots import contested_shares, exchange_margins
from thale.phenotyping.plants.faint_roots import add_faint_roots
from thale.phenotyping.plants.graph_repair import Tips, attach_bases, attach_tips, bridge_gaps, prune_spurs
from thale.phenotyping.plants.insertion_angle import insertion_angles
from thale.phenotyping.plants.organs import build_organ
from thale.phenotyping.plants.path_search import ShortestPathTree, TurnCosts, edge_target, shortest_path_tree
from thale.phenotyping.plants.plant_detection import PlantCandidate, detect_plants
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps, root_mask
from thale.phenotyping.plants.root_architecture import assign_roots
from thale.phenotyping.plants.root_assignment import TracedRoot
from thale.phenotyping.plants.root_diameter import measure_diameters
from thale.phenotyping.plants.skeleton_graph import RootGraph, build_skeleton_graph
from thale.phenotyping.plants.unassigned_roots import find_unassigned_roots, unassigned_flag
from thale.schemas import Flag, Landmark, Organ, OrganKind, Plant, Point, Root, Scale

_MAX_PIXEL_DISTANCE_MM = 0.6
_MAX_LANDMARK_DISTANCE_MM = 1.0


@dataclass(frozen=True)
class PlateReconstruction:
    """The plants of one plate, left to right, without traits. `unassigned_px` is the length of unassigned root.

    `contested_shares` has the expected share of each plant's root length that is exchanged with a neighbour, and
    `exchange_margins` the additional cost of exchanging more than 5 % of it. `primary_margins` has the additional
    cost of exchanging the primary tip, if a neighbour reaches it. All are by plant id.
    """

    plants: tuple[Plant, ...]
    flags: tuple[Flag, ...]
    unassigned_px: float = 0.0
    contested_shares: Mapping[int, float] = field(default_factory=dict)
    exchange_margins: Mapping[int, float] = field(default_factory=dict)
    primary_margins: Mapping[int, float] = field(default_factory=dict)


def reconstruct_plants(
    segmentation: SegmentationPrediction, landmarks: Sequence[Landmark], expected_plants: int | None = None
) -> PlateReconstruction:
    """Return the plants of a plate with organs, landmarks and traced roots, in source pixels.

    Args:
        segmentation: Probabilities of root, shoot and seed.
        landmarks: Root bases and tips, source pixels.
        expected_plants: Number of plants that were sown, if known. If as many plants are detected, each has a lane
            between the midpoints to its neighbours. Ambiguous roots are then assigned to the plant of their lane.
    """
    maps = ProbabilityMaps.from_prediction(segmentation)
    mask_HW, mask_flags = root_mask(maps)
    if any(flag.code == "root_everywhere" for flag in mask_flags):
        return PlateReconstruction((), mask_flags)
    mask_HW = add_faint_roots(mask_HW, maps, landmarks)
    graph = build_skeleton_graph(maps, mask_HW)
    prune_spurs(graph, tips := attach_tips(graph, landmarks))
    candidates, flags = detect_plants(maps, graph, landmarks, tips)
    ends = graph.ends()
    bases = attach_bases(graph, candidates, tips)
    bridge_gaps(graph, tips)
    turn_costs = TurnCosts(graph, {base for base in bases if base is not None})
    trees = [None if base is None else shortest_path_tree(graph, turn_costs, base) for base in bases]
    traced_roots = assign_roots(graph, turn_costs, trees, ends, tips, _lane_boundaries(candidates, expected_plants))
    centrelines = _centrelines(graph, traced_roots, tips, candidates, mask_HW)
    unassigned = find_unassigned_roots(graph, traced_roots, [candidate.base_xy for candidate in candidates])
    merged_flags = _merged_flags(graph, trees, traced_roots, tips)
    scale = segmentation.meta.calibration.scale
    diameters = measure_diameters(centrelines, maps)
    angles = insertion_angles(centrelines, [root.parent for root in traced_roots], maps.px_per_mm)
    root_pixels = _pixels_by_plant(mask_HW, traced_roots, centrelines, maps)
    plants = []
    for index, candidate in enumerate(candidates):
        roots = _build_roots(index, traced_roots, centrelines, diameters, angles, maps)
        organs = _build_organs(candidate, root_pixels.get(index), maps, scale)
        plant = _build_plant(index, candidate, roots, organs, landmarks, maps)
        traced_px = sum(root.length_px for root in roots)
        doubt = unassigned_flag(unassigned.length_by_plant.get(index, 0.0), traced_px)
        added = (*merged_flags[index], *([doubt] if doubt else []))
        plants.append(plant.model_copy(update={"flags": (*plant.flags, *added)}) if added else plant)
    flags += [*mask_flags, *unassigned.flags, *_count_flags(len(plants), expected_plants)]
    lengths = [polyline.length(line) for line in centrelines]
    return PlateReconstruction(
        tuple(plants),
        tuple(flags),
        unassigned.total_px,
        dict(enumerate(contested_shares(traced_roots, lengths, len(plants)), start=1)),
        dict(enumerate(exchange_margins(traced_roots, lengths, len(plants)), start=1)),
        {root.plant + 1: root.margin for root in traced_roots if root.parent is None},
    )


def _lane_boundaries(candidates: Sequence[PlantCandidate], expected_plants: int | None) -> list[float]:
    """Return the boundaries between lanes (x, frame px); none unless the plant count is as expected."""
    if expected_plants is None or len(candidates) != expected_plants:
        return []
    xs = [float(candidate.position_xy[0]) for candidate in candidates]
    return [(left + right) / 2 for left, right in pairwise(xs)]


def _centrelines(
    graph: RootGraph,
    traced_roots: Sequence[TracedRoot],
    tips: Tips,
    candidates: Sequence[PlantCandidate],
    mask_HW: NDArray[np.bool_],
) -> list[Points]:
    lines = smooth_centrelines(graph, traced_roots, tips, mask_HW)
    for index, root in enumerate(traced_roots):
        base_xy = candidates[root.plant].base_xy
        if root.parent is None and base_xy is not None:
            lines[index] = start_at_base(lines[index], base_xy, mask_HW, graph.maps)
    return lines


def _build_roots(
    plant: int,
    traced_roots: Sequence[TracedRoot],
    lines: Sequence[Points],
    diameters: Sequence[float],
    angles: Sequence[float],
    maps: ProbabilityMaps,
) -> tuple[Root, ...]:
    """Return a plant's roots with hierarchical ids: 2 is the primary root of plant 2, and 2.1 its first lateral."""
    plant_roots = [index for index, root in enumerate(traced_roots) if root.plant == plant]
    root_ids: dict[int, str] = {}
    children: dict[int | None, list[int]] = {}
    for index in plant_roots:
        children.setdefault(traced_roots[index].parent, []).append(index)

    def assign_ids(index: int, root_id: str) -> None:
        root_ids[index] = root_id
        along = lambda child: polyline.nearest(lines[index], lines[child][0])[0]  # noqa: E731
        for number, child in enumerate(sorted(children.get(index, []), key=along), start=1):
            assign_ids(child, f"{root_id}.{number}")

    def parent_id(index: int) -> str | None:
        parent = traced_roots[index].parent
        return None if parent is None else root_ids[parent]

    for primary in children.get(None, []):
        assign_ids(primary, str(plant + 1))
    return tuple(
        to_root(
            lines[index],
            traced_roots[index],
            root_ids[index],
            parent_id(index),
            maps,
            diameters[index],
            angles[index],
        )
        for index in sorted(plant_roots, key=lambda i: [int(component) for component in root_ids[i].split(".")])
    )


def _pixels_by_plant(
    mask_HW: NDArray[np.bool_], traced_roots: Sequence[TracedRoot], lines: Sequence[Points], maps: ProbabilityMaps
) -> dict[int, NDArray[np.int64]]:
    """Return each plant's root pixels (row, column): mask pixels near a centre line, assigned to the nearest line."""
    if not traced_roots:
        return {}
    owner = np.repeat([root.plant for root in traced_roots], [len(line) for line in lines])
    pixels_rc = find_pixels(mask_HW)
    distance, index = cKDTree(np.vstack(lines)).query(
        pixels_rc[:, ::-1], distance_upper_bound=maps.mm_to_px(_MAX_PIXEL_DISTANCE_MM)
    )
    is_near = np.isfinite(distance)
    plants = owner[index[is_near]]
    return {int(plant): pixels_rc[is_near][plants == plant] for plant in np.unique(plants)}


def _build_organs(
    candidate: PlantCandidate, root_rc: NDArray[np.int64] | None, maps: ProbabilityMaps, scale: Scale
) -> tuple[Organ, ...]:
    pixels: dict[OrganKind, NDArray[np.int64] | None] = {
        "root": root_rc,
        "shoot": candidate.shoot_rc,
        "seed": candidate.seed_rc,
    }
    return tuple(build_organ(kind, rc, maps, scale) for kind, rc in pixels.items() if rc is not None and len(rc))


def _build_plant(
    index: int,
    candidate: PlantCandidate,
    roots: tuple[Root, ...],
    organs: tuple[Organ, ...],
    landmarks: Sequence[Landmark],
    maps: ProbabilityMaps,
) -> Plant:
    flags = list(candidate.flags)
    if not roots and not any(flag.code in ("no_root", "ungerminated") for flag in flags):
        x, y = maps.frame.to_source(candidate.position_xy[None])[0]
        message = "the plant has no visible root: its root traits are unknown"
        flags.append(Flag(code="no_root", message=message, at=Point(x=x, y=y)))
    flags += [flag for root in roots for flag in root.flags if flag not in flags]
    plant_landmarks = [] if candidate.landmark is None else [candidate.landmark]
    max_distance = maps.mm_to_px(_MAX_LANDMARK_DISTANCE_MM) / maps.frame.factor
    for landmark in landmarks:
        tips = [root.points[-1] for root in roots]
        if landmark.kind in ("primary_tip", "lateral_tip") and tips:
            near = min(np.hypot(landmark.x - x, landmark.y - y) for x, y in tips)
            plant_landmarks += [landmark] if near <= max_distance else []
    return Plant(id=index + 1, organs=organs, landmarks=tuple(plant_landmarks), roots=roots, flags=tuple(flags))


def _merged_flags(
    graph: RootGraph, trees: Sequence[ShortestPathTree | None], traced_roots: Sequence[TracedRoot], tips: Tips
) -> list[list[Flag]]:
    """Return `tip_shared` flags by plant: for a plant whose root leads into another plant's, without a tip of its own.

    Both plants are flagged, because the root beyond their meeting can be that of either of them.
    """
    flags: list[list[Flag]] = [[] for _ in trees]
    primaries = {root.plant: root for root in traced_roots if root.parent is None}
    owner = {number: root.plant for root in traced_roots for number, _ in root.edges}
    for plant, tree in enumerate(trees):
        if tree is None:
            continue
        if plant in primaries:
            end = edge_target(graph, primaries[plant].edges[-1])
            met = [] if end in tips else [number for number in graph.segments_at_node[end] if number in owner]
        else:
            met = [
                number for _, number in sorted((cost, edge[0]) for edge, cost in tree.cost.items()) if number in owner
            ]
        others = [number for number in met if owner[number] != plant]
        if others:
            meeting_xy = graph.nodes[end] if plant in primaries else graph.segments[others[0]].points[0]
            x, y = graph.maps.frame.to_source(meeting_xy[None])[0]
            message = f"the roots of two plants meet near {x:.0f},{y:.0f}, and only one tip was found beyond that point"
            flag = Flag(code="tip_shared", message=message, at=Point(x=x, y=y))
            for index in (plant, owner[others[0]]):
                flags[index] += [flag] if flag not in flags[index] else []
    return flags


def _count_flags(plant_count: int, expected_plants: int | None) -> list[Flag]:
    if expected_plants is None or plant_count == expected_plants:
        return []
    return [Flag(code="plant_count", message=f"{plant_count} plants were found, {expected_plants} were expected")]
