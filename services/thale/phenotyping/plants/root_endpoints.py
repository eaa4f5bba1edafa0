"""Root endpoints."""

from collections.abc import Collection, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import Maps
from thale.phenotyping.plants.skeleton_graph import RootGraph

SAME_BASE_MM = 2.0
_HIDDEN_BASE_MM = 10.0
_LEAST_HIDDEN_ROOT_MM = 8.0


class RootPlaces:
    """Looks up where roots lie: which is nearest, whether it ends there, and how long the whole network is."""

    def __init__(self, graph: RootGraph, tips: Collection[int]) -> None:
        self.pieces = graph.components()
        segments = list(graph.segments.values())
        self.points = np.vstack([np.zeros((0, 2)), *(s.points for s in segments)])
        self.piece_of_point = np.repeat(
            [self.pieces[s.start] for s in segments] or [0], [len(s.points) for s in segments] or [0]
        )
        self.tree = cKDTree(self.points) if len(self.points) else None
        ends = graph.ends()
        self.end_tree = cKDTree([graph.nodes[node] for node in ends]) if ends else None
        self.length: dict[int, float] = {}
        for segment in segments:
            piece = int(self.pieces[segment.start])
            self.length[piece] = self.length.get(piece, 0.0) + segment.length
        unmarked = [node for node in ends if node not in tips]
        self.ends_N2 = np.array([graph.nodes[node] for node in unmarked], float).reshape(-1, 2)
        lengths = np.array([self.length.get(piece, 0.0) for piece in range(max(self.pieces, default=-1) + 1)])
        self.length_of_end, self.length_of_point = lengths[self.pieces[unmarked]], lengths[self.piece_of_point]

    def nearest(self, places_xy: Points) -> tuple[Points | None, float, int]:
        """Return the root point nearest to any of the places, its distance, and the piece that it belongs to."""
        if self.tree is None:
            return None, np.inf, -1
        distances, indices = self.tree.query(places_xy)
        best = int(np.argmin(distances))
        index = int(indices[best])
        return self.points[index], float(distances[best]), int(self.piece_of_point[index])

    def below(self, shoot_rc: NDArray[np.int64], taken: Sequence[Points], maps: Maps) -> Points | None:
        """Return where a long root comes out from under a shoot: its nearest end below, or else its nearest place.

        Roots grow down, so what lies aside is as good as farther away. None where no root is near that can be this
        plant's: it does not begin at a base that is taken, and in its middle only where nobody's base stands on it.
        """
        if self.tree is None:
            return None
        shoot = cKDTree(shoot_rc[:, ::-1])
        taken_N2 = np.reshape(taken, (-1, 2))
        pieces_taken = self.piece_of_point[self.tree.query(taken_N2)[1]]
        begins_free = cKDTree(taken_N2).query(self.ends_N2)[0] > maps.px(SAME_BASE_MM)
        for places_N2, lengths_N, free_N in (
            (self.ends_N2, self.length_of_end, begins_free),
            (self.points, self.length_of_point, ~np.isin(self.piece_of_point, pieces_taken)),
        ):
            long_N = lengths_N >= maps.px(_LEAST_HIDDEN_ROOT_MM)
            fit_N2 = places_N2[free_N & long_N & (places_N2[:, 1] > shoot_rc[:, 0].mean())]
            gaps_N = shoot.query(fit_N2)[0]
            aside_N = np.abs(fit_N2[:, 0] - shoot_rc[:, 1].mean())
            near_N = gaps_N < maps.px(_HIDDEN_BASE_MM)
            if near_N.any():
                return cast(Points, fit_N2[np.where(near_N, gaps_N + aside_N, np.inf).argmin()])
        return None

    def is_end(self, place_xy: Points, within: float) -> bool:
        """Whether a root ends within some px of a place."""
        return self.end_tree is not None and bool(self.end_tree.query(place_xy)[0] <= within)
