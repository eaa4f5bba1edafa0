"""Skeleton graph of the root mask: segments between ends and junctions (ADR 0042).

The `cost` of a segment grows as the probability of a root along it falls. It is low along certain root and high across
a gap. `path_search` adds the costs of turns.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.morphology import skeletonize

from thale.imaging.components import bounding_window, find_pixels
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps

COST_PER_MM_CERTAIN = 0.01
COST_PER_MM_UNLIKELY = 0.5

_MAX_CONTRACTION_MM = 0.5
_MAX_CROSSING_MM = 2.5
_CROSSING_REACH_MM = 1.3
_MIN_OPENING_COS = 0.5
_NEIGHBOUR_OFFSETS = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass
class Segment:
    """The root between two nodes. Its points (N2, frame px) run from node `start` to node `end`.

    `length` is in frame px. A bridge is a segment across a gap without visible root, so it is never unassigned root.
    """

    start: int
    end: int
    points: Points
    cost: float
    is_bridge: bool = False
    length: float = field(init=False)

    def __post_init__(self) -> None:
        self.length = polyline.length(self.points)


@dataclass
class RootGraph:
    """Nodes (x, y in frame px) and the segments between them. The numbers of removed segments are not reused."""

    maps: ProbabilityMaps
    nodes: list[Points] = field(default_factory=list)
    segments: dict[int, Segment] = field(default_factory=dict)
    segments_at_node: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _next: int = 0

    def add_node(self, point_xy: Points) -> int:
        """Add a node and return its number."""
        self.nodes.append(np.asarray(point_xy, np.float64))
        return len(self.nodes) - 1

    def add_segment(self, start: int, end: int, points: Points, cost: float | None = None) -> int:
        """Add a segment and return its number. With a `cost`, it is a bridge; else its cost is `path_cost`."""
        is_bridge = cost is not None
        segment_cost = path_cost(self.maps, points) if cost is None else cost
        number, self._next = self._next, self._next + 1
        self.segments[number] = Segment(start, end, points, segment_cost, is_bridge)
        self.segments_at_node[start].add(number)
        self.segments_at_node[end].add(number)
        return number

    def remove_segment(self, number: int) -> None:
        """Remove a segment."""
        segment = self.segments.pop(number)
        self.segments_at_node[segment.start].discard(number)
        self.segments_at_node[segment.end].discard(number)

    def split_segment(self, number: int, indices: Sequence[int]) -> list[int]:
        """Split a segment at several of its points and return the node at each; at an end, the existing node."""
        segment = self.segments[number]
        last = len(segment.points) - 1
        nodes = {0: segment.start, last: segment.end}
        cuts = sorted({index for index in indices if 0 < index < last})
        if cuts:
            self.remove_segment(number)
            nodes.update({index: self.add_node(segment.points[index]) for index in cuts})
            for start, end in pairwise([0, *cuts, last]):
                self.add_segment(nodes[start], nodes[end], segment.points[start : end + 1])
        return [nodes[min(max(index, 0), last)] for index in indices]

    def split_all(self, locations: Sequence[tuple[int, int]]) -> list[int]:
        """Split segments at locations (segment, index of its point) and return the node at each location."""
        by_segment: dict[int, list[int]] = defaultdict(list)
        for number, index in locations:
            by_segment[number].append(index)
        node_at = {
            (number, index): node
            for number, indices in by_segment.items()
            for index, node in zip(indices, self.split_segment(number, indices), strict=True)
        }
        return [node_at[location] for location in locations]

    def points_from_node(self, number: int, node: int) -> Points:
        """Return a segment's points in order from one of its nodes."""
        segment = self.segments[number]
        return segment.points if segment.start == node else segment.points[::-1]

    def degree(self, node: int) -> int:
        """Return the number of segment ends at a node."""
        return sum(1 + (self.segments[n].start == self.segments[n].end) for n in self.segments_at_node[node])

    def ends(self) -> list[int]:
        """Return the nodes of degree 1."""
        return [node for node in range(len(self.nodes)) if self.degree(node) == 1]

    def components(self) -> NDArray[np.int64]:
        """Return the number of each node's connected component."""
        count = len(self.nodes)
        pairs = np.array([(s.start, s.end) for s in self.segments.values()], int).reshape(-1, 2)
        links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        labels: NDArray[np.int64] = connected_components(links, directed=False)[1]
        return labels


class PointIndex:
    """Spatial index of the points of all segments without bridges, as a snapshot of the graph."""

    def __init__(self, graph: RootGraph) -> None:
        numbers = [number for number, segment in graph.segments.items() if not segment.is_bridge]
        lines = [graph.segments[number].points for number in numbers]
        components = graph.components()
        self.points = np.vstack([np.zeros((0, 2)), *lines])
        counts = [len(line) for line in lines]
        self.segment_of_point = np.repeat(np.array(numbers, int), counts)
        self.index_in_segment = np.concatenate([np.zeros(0, int), *(np.arange(count) for count in counts)])
        self.component = np.repeat(np.array([components[graph.segments[n].start] for n in numbers], int), counts)
        self._tree = cKDTree(self.points) if len(self.points) else None

    def nearest(self, point_xy: Points) -> tuple[float, int]:
        """Return the distance and the number of the nearest point; infinity and -1 if the graph has no points."""
        if self._tree is None:
            return np.inf, -1
        distance, point = self._tree.query(point_xy)
        return float(distance), int(point)

    def points_within(self, point_xy: Points, max_distance: float) -> NDArray[np.int64]:
        """Return the numbers of the points within `max_distance` of a point."""
        if self._tree is None:
            return np.zeros(0, np.int64)
        return np.array(self._tree.query_ball_point(point_xy, max_distance), np.int64)

    def locate(self, point: int) -> tuple[int, int]:
        """Return the segment of a point and its index there."""
        return int(self.segment_of_point[point]), int(self.index_in_segment[point])


def path_cost(maps: ProbabilityMaps, points_N2: Points) -> float:
    """Return the cost of a polyline: the integral of the pixel costs over its length in mm."""
    return mean_path_cost(maps.root_HW, points_N2) * polyline.length(points_N2) / maps.px_per_mm


def mean_path_cost(probability_HW: NDArray[np.uint8], points_N2: Points) -> float:
    """Return the mean cost per mm of the pixels under a polyline."""
    probability = polyline.sample(probability_HW, points_N2) / 255.0
    return float(np.mean(COST_PER_MM_CERTAIN + (1 - probability) * (COST_PER_MM_UNLIKELY - COST_PER_MM_CERTAIN)))


def build_skeleton_graph(maps: ProbabilityMaps, mask_HW: NDArray[np.bool_]) -> RootGraph:
    """Return the graph of a mask's skeleton. Junctions within half a millimetre, or of one crossing, are merged."""
    graph = RootGraph(maps)
    window = bounding_window(mask_HW)
    window_HW = np.pad(mask_HW[window], 1)
    if not window_HW.any():
        return graph
    skeleton_HW = skeletonize(window_HW)
    pixels = find_pixels(skeleton_HW)
    points = pixels[:, ::-1].astype(np.float64) + np.array([window[1].start - 1, window[0].start - 1])
    _add_chains(graph, points, _neighbours(skeleton_HW, pixels))
    _contract_short_segments(
        graph,
        maps.mm_to_px(_MAX_CONTRACTION_MM),
        maps.mm_to_px(_MAX_CROSSING_MM),
        maps.mm_to_px(_CROSSING_REACH_MM),
    )
    return graph


def _neighbours(skeleton_HW: NDArray[np.bool_], pixels_N2: NDArray[np.int64]) -> list[list[int]]:
    """Return the neighbours of each skeleton pixel, without diagonals that two straight steps already connect."""
    number_HW = np.full(skeleton_HW.shape, -1, np.int32)
    number_HW[tuple(pixels_N2.T)] = np.arange(len(pixels_N2))
    lists: list[list[int]] = [[] for _ in pixels_N2]
    for down, right in _NEIGHBOUR_OFFSETS:
        other = number_HW[pixels_N2[:, 0] + down, pixels_N2[:, 1] + right]
        is_joined = other >= 0
        if down and right:
            corner = skeleton_HW[pixels_N2[:, 0] + down, pixels_N2[:, 1]]
            corner |= skeleton_HW[pixels_N2[:, 0], pixels_N2[:, 1] + right]
            is_joined &= ~corner
        for here, there in zip(np.flatnonzero(is_joined).tolist(), other[is_joined].tolist(), strict=True):
            lists[here].append(there)
            lists[there].append(here)
    return lists


def _add_chains(graph: RootGraph, points_N2: Points, neighbours: list[list[int]]) -> None:
    """Add a segment for each pixel chain between ends and junctions; a closed ring starts at its topmost pixel."""
    node_of: dict[int, int] = {}

    def node(pixel: int) -> int:
        if pixel not in node_of:
            node_of[pixel] = graph.add_node(points_N2[pixel])
        return node_of[pixel]

    visited: set[int] = set()
    end_pixels = [pixel for pixel, near in enumerate(neighbours) if len(near) != 2]
    inner = [pixel for pixel, near in enumerate(neighbours) if len(near) == 2]
    for first in [*end_pixels, *inner]:
        if first in visited:
            continue
        for second in neighbours[first]:
            if second in visited or (len(neighbours[second]) != 2 and second < first):
                continue
            chain = _walk_chain(first, second, neighbours, visited)
            line = points_N2[chain]
            smoothed = polyline.smooth(line) if len(line) > 2 else line
            graph.add_segment(node(chain[0]), node(chain[-1]), smoothed)
        if len(neighbours[first]) == 2:
            visited.add(first)


def _walk_chain(first: int, second: int, neighbours: list[list[int]], visited: set[int]) -> list[int]:
    chain = [first, second]
    while len(neighbours[chain[-1]]) == 2 and chain[-1] != first:
        visited.add(chain[-1])
        before, after = neighbours[chain[-1]]
        chain.append(after if before == chain[-2] else before)
    return chain


def _contract_short_segments(graph: RootGraph, max_px: float, crossing_px: float, reach_px: float) -> None:
    """Merge junctions at the ends of short segments: the skeleton of a crossing has two junctions.

    Longer segments are contracted only if the branches at both ends open outwards, as at a crossing of two roots.
    """
    for number in sorted(graph.segments, key=lambda n: graph.segments[n].length):
        segment = graph.segments[number]
        if segment.length > crossing_px:
            return
        if segment.start == segment.end or min(graph.degree(segment.start), graph.degree(segment.end)) < 3:
            continue
        if segment.length <= max_px or _is_crossing(graph, number, reach_px):
            _contract_segment(graph, number)


def _is_crossing(graph: RootGraph, number: int, reach_px: float) -> bool:
    segment = graph.segments[number]
    axis = polyline.direction(segment.points, 0.0, segment.length)
    for node, outward in ((segment.start, -axis), (segment.end, axis)):
        arms = [graph.points_from_node(other, node) for other in graph.segments_at_node[node] if other != number]
        opening = [float(polyline.direction(arm, 1.0, reach_px) @ outward) for arm in arms]
        if len(arms) != 2 or min(opening) < _MIN_OPENING_COS:
            return False
    return True


def _contract_segment(graph: RootGraph, number: int) -> None:
    segment = graph.segments[number]
    retained_node, merged_node = segment.start, segment.end
    graph.nodes[retained_node] = (graph.nodes[retained_node] + graph.nodes[merged_node]) / 2
    graph.remove_segment(number)
    for other in list(graph.segments_at_node[merged_node]):
        adjacent = graph.segments[other]
        if adjacent.start == merged_node:
            adjacent.start = retained_node
        if adjacent.end == merged_node:
            adjacent.end = retained_node
        graph.segments_at_node[retained_node].add(other)
    graph.segments_at_node[merged_node].clear()
