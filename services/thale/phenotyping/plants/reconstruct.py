"""Probability maps and landmarks in, plants with root systems out.

    maps          the mask in which roots are traced
    faint         paths from tips that stand beyond the mask
    graph         its skeleton as a network of segments
    founding      where plants are: shoots, bases, seeds
    gaps          spurs out, gaps linked, bases and tips made nodes
    tracing       minimum-cost paths from the bases; which plant a tip belongs to
    architecture  primary root and laterals
    centrelines   smooth polylines in source pixels
    organs        areas and outlines

Nothing is lost in silence: what was seen and given to no plant is flagged with its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from thale.models.predictions import SegmentationAnswer
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.centrelines import begin_at_base, to_root, trace_lines
from thale.phenotyping.plants.faint_roots import with_faint_roots
from thale.phenotyping.plants.graph_repair import Tips, attach_bases, link_gaps, mark_tips, prune_spurs
from thale.phenotyping.plants.organs import organ
from thale.phenotyping.plants.path_search import Turns, grow_tree
from thale.phenotyping.plants.plant_detection import Founder, find_founders
from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import Maps, root_mask
from thale.phenotyping.plants.root_architecture import TracedRoot, tell_roots
from thale.phenotyping.plants.skeleton_graph import RootGraph, build
from thale.schemas import Flag, Landmark, Organ, OrganKind, Plant, Point, Root, Scale

_LONG_UNASSIGNED_MM = 3.0
_LONG_UNMARKED_MM = 2.0
_OWN_PIXELS_MM = 0.6
_OWN_LANDMARK_MM = 1.0


@dataclass(frozen=True)
class PlateReading:
    """The plants of one plate, left to right, without traits; `unassigned_px` is root length told as no root's."""

    plants: tuple[Plant, ...]
    flags: tuple[Flag, ...]
    unassigned_px: float = 0.0


def find_plants(
    segmentation: SegmentationAnswer, landmarks: Sequence[Landmark], expected: int | None = None
) -> PlateReading:
    """Return the plants of a plate with organs, landmarks and traced roots, in source pixels.

    Args:
        segmentation: Probabilities of root, shoot and seed.
        landmarks: Root bases and tips, source pixels.
        expected: How many plants were sown, if known. Where as many are found, each gets the lane between the
            midpoints to its neighbours, and what two plants could own goes to the plant in whose lane it lies.
    """
    maps = Maps.of(segmentation)
    mask_HW, mask_flags = root_mask(maps)
    if any(flag.code == "root_everywhere" for flag in mask_flags):
        return PlateReading((), mask_flags)
    mask_HW = with_faint_roots(mask_HW, maps, landmarks)
    graph = build(maps, mask_HW)
    prune_spurs(graph, tips := mark_tips(graph, landmarks))
    founders, flags = find_founders(maps, graph, landmarks, tips)
    ends = graph.ends()
    bases = attach_bases(graph, founders, tips)
    link_gaps(graph, tips)
    turns = Turns(graph)
    trees = [None if base is None else grow_tree(graph, turns, base) for base in bases]
    traced = tell_roots(graph, turns, trees, ends, tips, _lanes(founders, expected))
    lines = _lines(graph, traced, tips, founders, mask_HW)
    unassigned_flags, unassigned_px = _unassigned(graph, traced)
    scale = segmentation.meta.calibration.scale
    root_pixels = _owned_pixels(mask_HW, traced, lines, maps)
    plants = []
    for index, founder in enumerate(founders):
        roots = _named_roots(index, traced, lines, maps)
        organs = _organs(founder, root_pixels.get(index), maps, scale)
        plants.append(_plant(index, founder, roots, organs, landmarks, maps))
    flags += [*mask_flags, *unassigned_flags, *_count_flags(len(plants), expected)]
    return PlateReading(tuple(plants), tuple(flags), unassigned_px)


def _lanes(founders: Sequence[Founder], expected: int | None) -> list[float]:
    """Return where lanes part (x, frame px); none unless as many plants were found as expected."""
    if expected is None or len(founders) != expected:
        return []
    xs = [float(founder.place_xy[0]) for founder in founders]
    return [(left + right) / 2 for left, right in pairwise(xs)]


def _lines(
    graph: RootGraph, traced: Sequence[TracedRoot], tips: Tips, founders: Sequence[Founder], mask_HW: NDArray[np.bool_]
) -> list[Points]:
    lines = trace_lines(graph, traced, tips, mask_HW)
    for index, root in enumerate(traced):
        base_xy = founders[root.plant].base_xy
        if root.parent is None and base_xy is not None:
            lines[index] = begin_at_base(lines[index], base_xy, mask_HW, graph.maps)
    return lines


def _named_roots(plant: int, traced: Sequence[TracedRoot], lines: Sequence[Points], maps: Maps) -> tuple[Root, ...]:
    """Return a plant's roots, named by descent: 2 is plant 2's primary, 2.1 its uppermost lateral, and so on."""
    own = [index for index, root in enumerate(traced) if root.plant == plant]
    names: dict[int, str] = {}
    children: dict[int | None, list[int]] = {}
    for index in own:
        children.setdefault(traced[index].parent, []).append(index)

    def name(index: int, identity: str) -> None:
        names[index] = identity
        along = lambda child: polyline.nearest(lines[index], lines[child][0])[0]  # noqa: E731
        for number, child in enumerate(sorted(children.get(index, []), key=along), start=1):
            name(child, f"{identity}.{number}")

    def parent_name(index: int) -> str | None:
        parent = traced[index].parent
        return None if parent is None else names[parent]

    for primary in children.get(None, []):
        name(primary, str(plant + 1))
    return tuple(
        to_root(lines[index], traced[index], names[index], parent_name(index), maps)
        for index in sorted(own, key=lambda i: [int(part) for part in names[i].split(".")])
    )


def _owned_pixels(
    mask_HW: NDArray[np.bool_], traced: Sequence[TracedRoot], lines: Sequence[Points], maps: Maps
) -> dict[int, NDArray[np.int64]]:
    """Return each plant's root pixels (row, column): those within a root's width of the nearest line, and its own."""
    if not traced:
        return {}
    owner = np.repeat([root.plant for root in traced], [len(line) for line in lines])
    pixels_rc = np.argwhere(mask_HW)
    distance, index = cKDTree(np.vstack(lines)).query(pixels_rc[:, ::-1], distance_upper_bound=maps.px(_OWN_PIXELS_MM))
    near = np.isfinite(distance)
    plants = owner[index[near]]
    return {int(plant): pixels_rc[near][plants == plant] for plant in np.unique(plants)}


def _organs(founder: Founder, root_rc: NDArray[np.int64] | None, maps: Maps, scale: Scale) -> tuple[Organ, ...]:
    pixels: dict[OrganKind, NDArray[np.int64] | None] = {
        "root": root_rc,
        "shoot": founder.shoot_rc,
        "seed": founder.seed_rc,
    }
    return tuple(organ(kind, rc, maps, scale) for kind, rc in pixels.items() if rc is not None and len(rc))


def _plant(
    index: int,
    founder: Founder,
    roots: tuple[Root, ...],
    organs: tuple[Organ, ...],
    landmarks: Sequence[Landmark],
    maps: Maps,
) -> Plant:
    flags = list(founder.flags)
    if not roots and not any(flag.code in ("no_root", "ungerminated") for flag in flags):
        x, y = maps.frame.to_source(founder.place_xy[None])[0]
        message = "no root is seen at this plant: its root traits are unknown"
        flags.append(Flag(code="no_root", message=message, at=Point(x=x, y=y)))
    flags += [flag for root in roots for flag in root.flags if flag not in flags]
    own = [] if founder.landmark is None else [founder.landmark]
    reach = maps.px(_OWN_LANDMARK_MM) / maps.frame.factor
    for mark in landmarks:
        tips = [root.points[-1] for root in roots]
        if mark.kind in ("primary_tip", "lateral_tip") and tips:
            near = min(np.hypot(mark.x - x, mark.y - y) for x, y in tips)
            own += [mark] if near <= reach else []
    return Plant(id=index + 1, organs=organs, landmarks=tuple(own), roots=roots, flags=tuple(flags))


def _unassigned(graph: RootGraph, traced: Sequence[TracedRoot]) -> tuple[list[Flag], float]:
    """Return flags and total length (source px) of what looks like root and was told as none.

    Those are long pieces that hang on no plant, and long segments that do but lead to no tip.
    """
    pieces = graph.components()
    told = {number for root in traced for number, _ in root.steps}
    reached = {pieces[graph.segments[number].start] for number in told}
    lengths: dict[int, float] = {}
    place: dict[int, Points] = {}
    flags: list[Flag] = []
    total = 0.0

    def leave(code: str, length: float, place_xy: Points, why: str) -> None:
        nonlocal total
        length_px = length / graph.maps.frame.factor
        total += length_px
        x, y = graph.maps.frame.to_source(place_xy[None])[0]
        message = f"{length_px:.0f} px of root at {x:.0f},{y:.0f} {why}"
        flags.append(Flag(code=code, message=message, at=Point(x=x, y=y)))

    for number, segment in graph.segments.items():
        piece, middle_xy = pieces[segment.start], segment.points[len(segment.points) // 2]
        if segment.bridge or number in told:
            continue
        if piece not in reached:
            lengths[piece] = lengths.get(piece, 0.0) + segment.length
            place.setdefault(piece, middle_xy)
        elif segment.length >= graph.maps.px(_LONG_UNMARKED_MM):
            leave("unmarked_root", segment.length, middle_xy, "lead to no tip: no root was made of them")
    for piece, length in lengths.items():
        if length >= graph.maps.px(_LONG_UNASSIGNED_MM):
            leave("unassigned_root", length, place[piece], "hang on no plant")
    return flags, total


def _count_flags(found: int, expected: int | None) -> list[Flag]:
    if expected is None or found == expected:
        return []
    return [Flag(code="plant_count", message=f"{found} plants were found where {expected} were expected")]
