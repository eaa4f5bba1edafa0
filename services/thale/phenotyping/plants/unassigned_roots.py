"""Unassigned root: visible root that is part of no plant's root system, by the plant that it probably belongs to.

Unassigned root is reported with its position, never dropped (ADR 0114). Each piece is attributed to the plant whose
root it touches, or else to the plant in whose lane it lies. Pieces at the rim or on the label belong to no plant.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import ProbabilityMaps
from thale.phenotyping.plants.root_assignment import TracedRoot
from thale.phenotyping.plants.skeleton_graph import RootGraph
from thale.schemas import Flag, Point

_MIN_UNASSIGNED_MM = 3.0
_MIN_UNMARKED_MM = 2.0
_MIN_PIECE_MM = 0.5
"""Shorter pieces are within the width of a root: mostly spurs of the skeleton."""
_MIN_SHARE = 0.05
"""Minimum share of a plant's traced length: a plant flagged from here on may be wrong by more than 5 %."""
_TOUCHING_MM = 1.0
_MAX_LANE_HALF_WIDTH_MM = 11.0
"""Half the usual distance between seedlings (18 to 22 mm)."""


@dataclass(frozen=True)
class UnassignedRoots:
    """Unassigned root of one plate. Lengths are in source px; `length_by_plant` is by index of the plant."""

    flags: tuple[Flag, ...]
    total_px: float
    length_by_plant: dict[int, float]


@dataclass(frozen=True)
class _Piece:
    """Connected or single unassigned segments: length (frame px), a position and all points."""

    length: float
    position_xy: Points
    points: Points
    is_connected: bool


def find_unassigned_roots(
    graph: RootGraph, traced_roots: Sequence[TracedRoot], bases: Sequence[Points | None]
) -> UnassignedRoots:
    """Return all visible root of `_MIN_PIECE_MM` or more that no traced root contains.

    A component of 3 mm or more without a plant (`unassigned_root`) and a segment of 2 mm or more that leads to no tip
    (`unmarked_root`) have a flag each. Shorter pieces have one flag together (`short_roots_unassigned`).

    Args:
        graph: The repaired graph.
        traced_roots: The roots of all plants.
        bases: Position of each plant's base (frame px), None if it has none.
    """
    maps = graph.maps
    to_source = 1 / maps.frame.factor
    attribute = _Attribution(graph, traced_roots, bases)
    flags: list[Flag] = []
    total, short_total = 0.0, 0.0
    by_plant: dict[int, float] = defaultdict(float)
    for piece in _pieces(graph, traced_roots):
        if piece.length < maps.mm_to_px(_MIN_PIECE_MM):
            continue
        length_px = piece.length * to_source
        total += length_px
        plant = attribute.plant_of(piece)
        if plant is not None:
            by_plant[plant] += length_px
        min_mm = _MIN_UNMARKED_MM if piece.is_connected else _MIN_UNASSIGNED_MM
        if piece.length < maps.mm_to_px(min_mm):
            short_total += length_px
            continue
        code = "unmarked_root" if piece.is_connected else "unassigned_root"
        reason = (
            "lead to no tip: they are not part of any root" if piece.is_connected else "are not connected to any plant"
        )
        x, y = maps.frame.to_source(piece.position_xy[None])[0]
        message = f"{length_px:.0f} px of root at {x:.0f},{y:.0f} {reason}"
        flags.append(Flag(code=code, message=message, at=Point(x=x, y=y)))
    if short_total:
        message = f"{short_total:.0f} px of root are in short pieces that are not part of any root"
        flags.append(Flag(code="short_roots_unassigned", message=message))
    return UnassignedRoots(tuple(flags), total, dict(by_plant))


def unassigned_flag(unassigned_px: float, traced_px: float) -> Flag | None:
    """Return the flag of a plant with unassigned root, or None if it is up to 5 % of the traced length."""
    if unassigned_px <= _MIN_SHARE * traced_px:
        return None
    message = (
        f"{unassigned_px:.0f} px of root at this plant are part of no root, and {traced_px:.0f} px were traced: "
        "the total length may be too small; check the overlay"
    )
    return Flag(code="root_unassigned", message=message)


def _pieces(graph: RootGraph, traced_roots: Sequence[TracedRoot]) -> list[_Piece]:
    """Return unassigned segments, those of one component without a plant together."""
    components = graph.components()
    assigned = {number for root in traced_roots for number, _ in root.edges}
    reached = {components[graph.segments[number].start] for number in assigned}
    pieces: list[_Piece] = []
    separate: dict[int, list[int]] = defaultdict(list)
    for number, segment in graph.segments.items():
        if segment.is_bridge or number in assigned:
            continue
        if components[segment.start] in reached:
            pieces.append(_Piece(segment.length, segment.points[len(segment.points) // 2], segment.points, True))
        else:
            separate[int(components[segment.start])].append(number)
    for numbers in separate.values():
        segments = [graph.segments[number] for number in numbers]
        first = segments[0].points
        points = np.vstack([segment.points for segment in segments])
        pieces.append(_Piece(sum(s.length for s in segments), first[len(first) // 2], points, False))
    return pieces


class _Attribution:
    """Attribution of pieces to plants: by contact, else by lane."""

    def __init__(self, graph: RootGraph, traced_roots: Sequence[TracedRoot], bases: Sequence[Points | None]) -> None:
        self._maps: ProbabilityMaps = graph.maps
        edges = [(root.plant, number) for root in traced_roots for number, _ in root.edges]
        lines = [graph.segments[number].points for _, number in edges]
        self._owner = np.repeat([plant for plant, _ in edges] or [0], [len(line) for line in lines] or [0])
        self._tree = cKDTree(np.vstack(lines)) if lines else None
        self._bases = {plant: base for plant, base in enumerate(bases) if base is not None}

    def plant_of(self, piece: _Piece) -> int | None:
        if self._tree is not None:
            distances, indices = self._tree.query(piece.points)
            nearest = int(np.argmin(distances))
            if piece.is_connected or distances[nearest] <= self._maps.mm_to_px(_TOUCHING_MM):
                return int(self._owner[indices[nearest]])
        x, y = piece.points.mean(axis=0)
        below = [
            (abs(float(base[0] - x)), plant)
            for plant, base in self._bases.items()
            if y > base[1] and abs(base[0] - x) <= self._maps.mm_to_px(_MAX_LANE_HALF_WIDTH_MM)
        ]
        return min(below)[1] if below else None
