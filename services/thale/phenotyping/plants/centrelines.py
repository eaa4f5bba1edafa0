"""Centre lines of traced roots: smooth polylines from the parent (or the root base) to the tip, as `schemas.Root`."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.graph_repair import Tips
from thale.phenotyping.plants.path_search import edge_target
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.root_assignment import TracedRoot
from thale.phenotyping.plants.skeleton_graph import RootGraph
from thale.schemas import Flag, Point, Root

_TIP_REACH_MM = 0.5
_BASE_REACH_MM = 1.0
_PARENT_REACH_MM = 1.5
_FREE_DISTANCE_MM = 0.25
"""Distance from the parent's centre line at which a lateral is free of its parent: about its half width and that of
its parent."""
_FREE_REACH_MM = 0.8
_MEETING_PX = 1.0
_OUTPUT_DECIMALS = 2


def smooth_centrelines(
    graph: RootGraph, roots: Sequence[TracedRoot], tips: Tips, mask_HW: NDArray[np.bool_]
) -> list[Points]:
    """Return the smooth line of each root, frame px. In `roots`, parents precede their children.

    A line ends at the edge of the mask, or at the landmark of its tip.
    """
    lines: list[Points] = []
    for root in roots:
        rough = _join_segments(graph, root)
        rough = _trim_end_hook(rough) if len(rough) > 2 else rough
        rough = polyline.extend_to_edge(rough, mask_HW, graph.maps.mm_to_px(_TIP_REACH_MM))
        landmark = tips.get(edge_target(graph, root.edges[-1]))
        if landmark is not None:
            tip_xy = graph.maps.frame.from_source(np.array([[landmark.x, landmark.y]]))[0]
            rough = polyline.snap_end(rough, tip_xy, graph.maps.mm_to_px(_TIP_REACH_MM))
        if root.parent is not None:
            rough = _attach_to_parent(rough, lines[root.parent], graph.maps)
        lines.append(polyline.smooth(rough))
    return lines


def start_at_base(line: Points, base_xy: Points, mask_HW: NDArray[np.bool_], maps: ProbabilityMaps) -> Points:
    """Return a primary root's line extended to its base, or to the edge of the mask if the base is elsewhere."""
    gap = float(np.hypot(*(line[0] - base_xy)))
    if 0 < gap <= maps.mm_to_px(_BASE_REACH_MM):
        outward = -polyline.direction(line, 1.0, 8.0)
        if float((base_xy - line[0]) @ outward) >= 0:
            return polyline.smooth(np.vstack([base_xy, line]))
    return polyline.extend_to_edge(line[::-1], mask_HW, maps.mm_to_px(_TIP_REACH_MM))[::-1]


def _join_segments(graph: RootGraph, root: TracedRoot) -> Points:
    chains = []
    for number, forward in root.edges:
        points = graph.segments[number].points
        chains.append(points if forward else points[::-1])
    return np.vstack(chains)


def _trim_end_hook(line: Points) -> Points:
    """Drop the last pixel, because a skeleton often deviates from the centre line at its end."""
    return line[:-1] if len(line) > 8 else line


def _attach_to_parent(line: Points, parent: Points, maps: ProbabilityMaps) -> Points:
    """Return the line from its insertion on its parent's centre line, if that is at most `_PARENT_REACH_MM` away.

    In the mask, a lateral and its parent are one region until their edges separate. The junction of the skeleton is
    therefore too far along the parent. The insertion is where the free part of the lateral, continued straight back,
    meets the parent. A lateral without a free part, or parallel to its parent, starts at the nearest point.
    """
    nearest, gap = polyline.nearest(parent, line[0])
    reach = maps.mm_to_px(_PARENT_REACH_MM)
    if gap > reach:
        return line
    window = round(2 * reach)
    near_N2 = parent[max(0, nearest - window) : nearest + window + 1]
    rough = polyline.resample(line[: 4 * window])
    parent_tree = cKDTree(near_N2)
    is_free = parent_tree.query(rough)[0] >= maps.mm_to_px(_FREE_DISTANCE_MM)
    if is_free.any():
        first = int(np.argmax(is_free))
        heading = -polyline.direction(rough[first:], 0.0, maps.mm_to_px(_FREE_REACH_MM))
        back_N2 = rough[first] + np.arange(0.5, reach, 0.5)[:, None] * heading
        distances, indices = parent_tree.query(back_N2)
        meeting = int(np.argmax(distances <= _MEETING_PX))
        if distances[meeting] <= _MEETING_PX and first < len(rough) - 1:
            rest = line[_index_at(line, rough[first]) :]
            return np.vstack([near_N2[indices[meeting]], rough[first], rest])
    return np.vstack([parent[nearest], line]) if gap > 0 else line


def _index_at(line: Points, point_xy: Points) -> int:
    """Return the index of the point after a position on the line."""
    return min(polyline.nearest(line, point_xy)[0] + 1, len(line) - 1)


def to_root(
    line: Points,
    root: TracedRoot,
    root_id: str,
    parent_id: str | None,
    maps: ProbabilityMaps,
    diameter: float = math.nan,
    insertion_angle_deg: float = math.nan,
) -> Root:
    """Return a root in source pixels. Its confidence is the mean root probability under its line.

    `diameter` is in frame px.
    """
    source = np.round(maps.frame.to_source(polyline.subsample(line)), _OUTPUT_DECIMALS)
    return Root(
        id=root_id,
        order=root.order,
        parent=parent_id,
        points=tuple((float(x), float(y)) for x, y in source),
        length_px=polyline.length(source),
        confidence=float(polyline.sample(maps.root_HW, line).mean()) / 255,
        diameter_px=diameter / maps.frame.factor,
        insertion_angle_deg=insertion_angle_deg,
        flags=(*_crossing_flags(root, maps), *_hidden_flags(root, source)),
    )


def _hidden_flags(root: TracedRoot, source_N2: Points) -> tuple[Flag, ...]:
    if not root.hidden:
        return ()
    x, y = (float(value) for value in source_N2[-1])
    message = f"a lateral ends at {x:.0f},{y:.0f} and is hidden by another root: its length is unknown"
    return (Flag(code="lateral_hidden", message=message, at=Point(x=x, y=y)),)


def _crossing_flags(root: TracedRoot, maps: ProbabilityMaps) -> tuple[Flag, ...]:
    if root.ambiguous_at_xy is None:
        return ()
    x, y = maps.frame.to_source(np.array([root.ambiguous_at_xy]))[0]
    if root.resolved_by_lane:
        message = f"crossing at {x:.0f},{y:.0f}: two plants are equally likely; assigned to the plant of the lane"
        return (Flag(code="crossing_by_lane", message=message, at=Point(x=x, y=y)),)
    message = f"crossing at {x:.0f},{y:.0f}: two plants are equally likely owners of the root beyond it"
    return (Flag(code="crossing", message=message, at=Point(x=x, y=y)),)
