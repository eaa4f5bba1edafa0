"""Spatial lookup of roots and their ends."""

from collections.abc import Collection, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.skeleton_graph import RootGraph

MIN_BASE_DISTANCE_MM = 2.0
_HIDDEN_BASE_MM = 10.0
_MIN_HIDDEN_ROOT_MM = 8.0


class RootEndpoints:
    """Index of root points and ends, with the total root length of each connected component."""

    def __init__(self, graph: RootGraph, tips: Collection[int]) -> None:
        self.components = graph.components()
        segments = list(graph.segments.values())
        self.points = np.vstack([np.zeros((0, 2)), *(s.points for s in segments)])
        self.component_of_point = np.repeat(
            [self.components[s.start] for s in segments] or [0], [len(s.points) for s in segments] or [0]
        )
        self.tree = cKDTree(self.points) if len(self.points) else None
        ends = graph.ends()
        self.end_tree = cKDTree([graph.nodes[node] for node in ends]) if ends else None
        self.length_by_component: dict[int, float] = {}
        for segment in segments:
            component = int(self.components[segment.start])
            self.length_by_component[component] = self.length_by_component.get(component, 0.0) + segment.length
        unmarked = [node for node in ends if node not in tips]
        self.ends_N2 = np.array([graph.nodes[node] for node in unmarked], float).reshape(-1, 2)
        lengths = np.array(
            [self.length_by_component.get(component, 0.0) for component in range(max(self.components, default=-1) + 1)]
        )
        self.length_of_end, self.length_of_point = lengths[self.components[unmarked]], lengths[self.component_of_point]

    def nearest(self, points_N2: Points) -> tuple[Points | None, float, int]:
        """Return the root point nearest to any of the points, its distance, and its connected component."""
        if self.tree is None:
            return None, np.inf, -1
        distances, indices = self.tree.query(points_N2)
        best = int(np.argmin(distances))
        index = int(indices[best])
        return self.points[index], float(distances[best]), int(self.component_of_point[index])

    def find_root_below(
        self, shoot_rc: NDArray[np.int64], occupied_bases: Sequence[Points], maps: ProbabilityMaps
    ) -> Points | None:
        """Return the point at which a long root emerges below a shoot: its nearest end below, else its nearest point.

        Roots grow down, so a horizontal offset adds to the distance. Ends near an occupied base are excluded. Points
        inside a root are allowed only if its component has no occupied base.

        Returns:
            The point (x, y in frame px), or None without such a root within 10 mm.
        """
        if self.tree is None:
            return None
        shoot = cKDTree(shoot_rc[:, ::-1])
        occupied_N2 = np.reshape(occupied_bases, (-1, 2))
        occupied_components = self.component_of_point[self.tree.query(occupied_N2)[1]]
        is_free_end = cKDTree(occupied_N2).query(self.ends_N2)[0] > maps.mm_to_px(MIN_BASE_DISTANCE_MM)
        for points_N2, lengths_N, is_free_N in (
            (self.ends_N2, self.length_of_end, is_free_end),
            (self.points, self.length_of_point, ~np.isin(self.component_of_point, occupied_components)),
        ):
            is_long_N = lengths_N >= maps.mm_to_px(_MIN_HIDDEN_ROOT_MM)
            fit_N2 = points_N2[is_free_N & is_long_N & (points_N2[:, 1] > shoot_rc[:, 0].mean())]
            gaps_N = shoot.query(fit_N2)[0]
            offset_N = np.abs(fit_N2[:, 0] - shoot_rc[:, 1].mean())
            is_near_N = gaps_N < maps.mm_to_px(_HIDDEN_BASE_MM)
            if is_near_N.any():
                return cast(Points, fit_N2[np.where(is_near_N, gaps_N + offset_N, np.inf).argmin()])
        return None

    def is_end(self, point_xy: Points, max_distance: float) -> bool:
        """Return True if a root ends within `max_distance` px of a point."""
        return self.end_tree is not None and bool(self.end_tree.query(point_xy)[0] <= max_distance)
