"""Where plants are: shoots, root bases and ungerminated seeds, brought together into one `Founder` a plant.

Nothing is founded by root alone: a plate's rim, a label and a scratch all look like roots, and none has a shoot, a
seed or a base.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.filters import apply_hysteresis_threshold

from thale.phenotyping.plants.polyline import Points
from thale.phenotyping.plants.probability_maps import Maps
from thale.phenotyping.plants.root_endpoints import SAME_BASE_MM, RootPlaces
from thale.phenotyping.plants.skeleton_graph import RootGraph
from thale.schemas import Flag, Landmark, Point

_LEAST_BASE_SCORE = 0.3
_LEAST_LONE_BASE_SCORE = 0.5
_SAME_SHOOT_BASE_MM = 4.0
_BASE_BELOW_SHOOT_MM = 4.0
_UNSEEN_HYPOCOTYL_MM = 8.0
_LEAF_GAP_MM = 1.0
_MOST_PIECES = 300
_ROOT_BELOW_SHOOT_MM = 3.0
_BASE_TO_ROOT_MM = 1.5
_LEAST_LONE_ROOT_MM = 3.0
_LEAST_FRAGMENT_MM2 = 0.05
_LEAST_SHOOT_MM2 = 0.5
_SMALL_SHOOT_SHARE = 0.4
_LEAST_LONE_SHOOT_PROBABILITY = 0.9
"""Mean over a shoot without a base landmark. Thick bright roots and bubbles that pass for shoots have 0.6 to 0.88, the
shoots of drawn plates 0.93 and more."""
_SEED_MM2 = (0.04, 1.5)
_SEED_COAT_MM = 3.0


@dataclass
class Founder:
    """What a plant is founded on. `base_xy` is frame px; None where no root is attached to what was seen."""

    base_xy: Points | None
    landmark: Landmark | None = None
    shoot_rc: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    seed_rc: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    flags: list[Flag] = field(default_factory=list)

    @property
    def place_xy(self) -> Points:
        """Return where the plant is: its base, else the middle of its shoot or seed."""
        if self.base_xy is not None:
            return self.base_xy
        pixels_rc = self.shoot_rc if len(self.shoot_rc) else self.seed_rc
        return cast(Points, pixels_rc.mean(axis=0)[::-1])


def find_founders(
    maps: Maps, graph: RootGraph, landmarks: Sequence[Landmark], tips: Collection[int]
) -> tuple[list[Founder], list[Flag]]:
    """Return the founders of all plants, left to right, and what was seen and left out.

    Args:
        maps: The probabilities of the organs.
        graph: The root network.
        landmarks: Root bases and tips, source pixels.
        tips: Nodes of the network that are known to be tips: no plant begins there.
    """
    flags: list[Flag] = []
    shoots = _components(maps.shoot_HW, np.maximum(maps.root_HW, maps.seed_HW), maps.px2(_LEAST_FRAGMENT_MM2))
    bases = _distinct_bases(landmarks, maps)
    founders = [Founder(maps.frame.from_source(np.array([[b.x, b.y]]))[0], b) for b in bases]
    loose = _give_shoots(founders, shoots, maps)
    founders = _without_second_bases(founders, maps, flags)
    clusters = _join_fragments(founders, loose, maps)
    clusters = _join_far_shoots(founders, clusters, maps)
    roots = RootPlaces(graph, tips)
    founders = [founder for founder in founders if _is_rooted(founder, founders, roots, maps, flags)]
    for founder in founders:
        _look_below(founder, founders, roots, maps)
    for cluster_rc in clusters:
        _found_on_shoot(cluster_rc, founders, roots, maps, flags)
    _found_on_seeds(founders, roots, maps)
    return sorted(founders, key=lambda founder: float(founder.place_xy[0])), flags


def _components(
    probability_HW: NDArray[np.uint8], rivals_HW: NDArray[np.uint8], least_px: float
) -> list[NDArray[np.int64]]:
    """Return the pixels (row, column) of the largest connected pieces of an organ, each of `least_px` and more."""
    mask_HW = apply_hysteresis_threshold(probability_HW, 0.35 * 255, 0.55 * 255) & (probability_HW >= rivals_HW)
    labels_HW, count = ndimage.label(mask_HW, np.ones((3, 3), int))
    sizes = np.bincount(labels_HW.ravel(), minlength=count + 1)
    windows = ndimage.find_objects(labels_HW)
    pieces = []
    largest_first = np.argsort(sizes[1:])[::-1][:_MOST_PIECES] + 1
    for label in largest_first[sizes[largest_first] >= least_px].tolist():
        window = windows[label - 1]
        corner = (window[0].start, window[1].start)
        pieces.append(np.argwhere(labels_HW[window] == label) + corner)
    return pieces


def _distinct_bases(landmarks: Sequence[Landmark], maps: Maps) -> list[Landmark]:
    """Return base landmarks, the surest first, without those next to a surer one."""
    kept: list[Landmark] = []
    within = maps.px(SAME_BASE_MM) / maps.frame.factor
    candidates = [mark for mark in landmarks if mark.kind == "root_base" and mark.score >= _LEAST_BASE_SCORE]
    for mark in sorted(candidates, key=lambda mark: -mark.score):
        if all(np.hypot(mark.x - other.x, mark.y - other.y) > within for other in kept):
            kept.append(mark)
    return kept


def _give_shoots(founders: list[Founder], shoots: list[NDArray[np.int64]], maps: Maps) -> list[NDArray[np.int64]]:
    """Give shoots to the bases below them, parting leaves that touch by the nearer base; return the others."""
    loose = []
    reach = maps.px(_BASE_BELOW_SHOOT_MM)
    for piece_rc in shoots:
        tree = cKDTree(piece_rc[:, ::-1])
        owners = [founder for founder in founders if tree.query(founder.place_xy)[0] <= reach]
        if not owners:
            loose.append(piece_rc)
            continue
        nearest = cKDTree([owner.place_xy for owner in owners]).query(piece_rc[:, ::-1])[1]
        for index, owner in enumerate(owners):
            owner.shoot_rc = np.vstack([owner.shoot_rc, piece_rc[nearest == index]])
    return loose


def _without_second_bases(founders: list[Founder], maps: Maps, flags: list[Flag]) -> list[Founder]:
    """Merge bases that stand under one shoot closer together than two seedlings can: the surer one stays."""
    kept: list[Founder] = []
    within = maps.px(_SAME_SHOOT_BASE_MM)
    for founder in founders:
        twins = [k for k in kept if np.hypot(*(k.place_xy - founder.place_xy)) <= within]
        if not twins or not (len(founder.shoot_rc) or len(twins[0].shoot_rc)):
            kept.append(founder)
            continue
        twins[0].shoot_rc = np.vstack([twins[0].shoot_rc, founder.shoot_rc])
        message = "a second root base stands so close to a surer one that both were taken for one plant"
        flags.append(_flag("second_base", message, founder.place_xy, maps))
    return kept


def _join_fragments(founders: list[Founder], loose: list[NDArray[np.int64]], maps: Maps) -> list[NDArray[np.int64]]:
    """Join pieces of shoot that small gaps part, to founders or to one another; return what no founder got.

    Pieces are joined by a coarse grid, which costs the same for two leaves and for a picture full of specks.
    """
    cell = max(1.0, maps.px(_LEAF_GAP_MM))
    grid_HW = np.zeros(tuple(int(size / cell) + 1 for size in maps.shoot_HW.shape), bool)
    shoots = [founder.shoot_rc for founder in founders if len(founder.shoot_rc)]
    for piece_rc in [*shoots, *loose]:
        grid_HW[tuple((piece_rc / cell).astype(int).T)] = True
    labels_HW, _ = ndimage.label(grid_HW, np.ones((3, 3), int))

    def group(piece_rc: NDArray[np.int64]) -> int:
        return int(labels_HW[tuple((piece_rc[0] / cell).astype(int))])

    owners: dict[int, list[Founder]] = defaultdict(list)
    for founder in founders:
        if len(founder.shoot_rc):
            owners[group(founder.shoot_rc)].append(founder)
    clusters: dict[int, list[NDArray[np.int64]]] = defaultdict(list)
    for piece_rc in loose:
        near = owners.get(group(piece_rc), [])
        if near:
            middle_xy = piece_rc.mean(axis=0)[::-1]
            owner = min(near, key=lambda founder: float(np.hypot(*(founder.place_xy - middle_xy))))
            owner.shoot_rc = np.vstack([owner.shoot_rc, piece_rc])
        else:
            clusters[group(piece_rc)].append(piece_rc)
    return [np.vstack(pieces) for pieces in clusters.values()]


def _join_far_shoots(founders: list[Founder], clusters: list[NDArray[np.int64]], maps: Maps) -> list[NDArray[np.int64]]:
    """Give bases without a shoot the nearest sure one above: a hypocotyl may be too faint to see. Return the rest."""
    bare = [founder for founder in founders if not len(founder.shoot_rc)]
    sure = [index for index, cluster_rc in enumerate(clusters) if _is_sure(cluster_rc, maps)]
    pairs = []
    for index in sure:
        tree, middle_y = cKDTree(clusters[index][:, ::-1]), clusters[index][:, 0].mean()
        for number, founder in enumerate(bare):
            gap = float(tree.query(founder.place_xy)[0])
            if gap <= maps.px(_UNSEEN_HYPOCOTYL_MM) and middle_y < founder.place_xy[1]:
                pairs.append((gap, index, number))
    taken: dict[int, int] = {}
    for _, index, number in sorted(pairs):
        if index not in taken and number not in taken.values():
            taken[index] = number
            bare[number].shoot_rc = clusters[index]
    return [cluster_rc for index, cluster_rc in enumerate(clusters) if index not in taken]


def _is_sure(cluster_rc: NDArray[np.int64], maps: Maps) -> bool:
    """Whether a cluster can hardly be anything but a shoot."""
    return float(maps.shoot_HW[tuple(cluster_rc.T)].mean()) >= _LEAST_LONE_SHOOT_PROBABILITY * 255


def _gap(some_rc: NDArray[np.int64], others_rc: NDArray[np.int64]) -> float:
    return float(cKDTree(some_rc).query(others_rc)[0].min())




def _is_rooted(founder: Founder, founders: list[Founder], roots: RootPlaces, maps: Maps, flags: list[Flag]) -> bool:
    """Whether a base landmark may found a plant: it has a shoot, or stands where a root of its own begins."""
    if len(founder.shoot_rc):
        return True
    _, distance, piece = roots.nearest(founder.place_xy[None])
    shared = any(roots.nearest(other.place_xy[None])[2] == piece for other in founders if other is not founder)
    begins = distance <= maps.px(_BASE_TO_ROOT_MM) and roots.length.get(piece, 0) >= maps.px(_LEAST_LONE_ROOT_MM)
    if shared:
        begins = begins and roots.is_end(founder.place_xy, maps.px(_BASE_TO_ROOT_MM))
    if begins and founder.landmark is not None and founder.landmark.score >= _LEAST_LONE_BASE_SCORE:
        founder.flags.append(_flag("no_shoot", "a root base without a visible shoot", founder.place_xy, maps))
        return True
    message = "a root base was reported where neither a shoot nor a root's beginning is seen: it founds no plant"
    flags.append(_flag("base_left_out", message, founder.place_xy, maps))
    return False


def _bases(founders: list[Founder]) -> list[Points]:
    return [founder.base_xy for founder in founders if founder.base_xy is not None]


def _look_below(founder: Founder, founders: list[Founder], roots: RootPlaces, maps: Maps) -> None:
    """Let a plant whose base is out of every root's reach begin at the root that comes out from under its leaves."""
    if not len(founder.shoot_rc) or roots.nearest(founder.place_xy[None])[1] <= maps.px(_ROOT_BELOW_SHOOT_MM):
        return
    top_xy = roots.below(founder.shoot_rc, _bases(founders), maps)
    if top_xy is not None:
        founder.base_xy = top_xy
        founder.flags.append(_hidden(top_xy, maps))


def _hidden(top_xy: Points, maps: Maps) -> Flag:
    message = "the root is hidden between the shoot and here: what is hidden is not measured"
    return _flag("base_hidden", message, top_xy, maps)


def _found_on_shoot(
    cluster_rc: NDArray[np.int64], founders: list[Founder], roots: RootPlaces, maps: Maps, flags: list[Flag]
) -> None:
    """Found a plant on a shoot without a base landmark, or say why not."""
    base_xy, distance, piece = roots.nearest(cluster_rc[:, ::-1].astype(float))
    others = [f for f in founders if f.base_xy is not None]
    place_xy = cast(Points, cluster_rc.mean(axis=0)[::-1])
    typical = float(np.median([len(f.shoot_rc) for f in others if f.landmark is not None] or [0]))
    if len(cluster_rc) <= _SMALL_SHOOT_SHARE * typical:
        message = "a shoot-like object much smaller than the shoots of the plate: it founds no plant"
        flags.append(_flag("stray_shoot", message, place_xy, maps))
        return
    if not _is_sure(cluster_rc, maps):
        message = "a shoot-like object that may as well be something else, and has no root base: it founds no plant"
        flags.append(_flag("stray_shoot", message, place_xy, maps))
        return
    if base_xy is not None and distance <= maps.px(_ROOT_BELOW_SHOOT_MM):
        owners = [f for f in others if roots.nearest(cast(Points, f.base_xy)[None])[2] == piece]
        begins = roots.is_end(base_xy, maps.px(_BASE_TO_ROOT_MM))
        if roots.length[piece] >= maps.px(_LEAST_LONE_ROOT_MM) and (begins or not owners):
            flag = _flag("base_inferred", "the root base was inferred from where root and shoot meet", base_xy, maps)
            founders.append(Founder(base_xy, shoot_rc=cluster_rc, flags=[flag]))
            return
        if owners:
            message = "a shoot-like object lies on a root of another plant: it founds no plant"
            flags.append(_flag("stray_shoot", message, place_xy, maps))
            return
    top_xy = roots.below(cluster_rc, _bases(founders), maps)
    if top_xy is not None and _is_shoot(cluster_rc, maps):
        founders.append(Founder(top_xy, shoot_rc=cluster_rc, flags=[_hidden(top_xy, maps)]))
    elif any(founder.landmark is not None for founder in founders):
        message = "a shoot-like object with neither a root nor a root base, as others here have: it founds no plant"
        flags.append(_flag("stray_shoot", message, place_xy, maps))
    elif _is_shoot(cluster_rc, maps):
        flag = _flag("no_root", "a shoot without a visible root: its root traits are unknown", place_xy, maps)
        founders.append(Founder(None, shoot_rc=cluster_rc, flags=[flag]))
    else:
        flags.append(_flag("stray_shoot", "a shoot-like object too small for a plant was left out", place_xy, maps))


def _is_shoot(cluster_rc: NDArray[np.int64], maps: Maps) -> bool:
    """Whether a cluster is a shoot by itself: large enough, and not cut by the picture's border."""
    height, width = maps.shoot_HW.shape
    inside = bool((cluster_rc.min(axis=0) > 0).all() and (cluster_rc.max(axis=0) < (height - 1, width - 1)).all())
    return inside and len(cluster_rc) >= maps.px2(_LEAST_SHOOT_MM2)


def _found_on_seeds(founders: list[Founder], roots: RootPlaces, maps: Maps) -> None:
    """Found plants on ungerminated seeds; a seed coat on or beside a plant is given to that plant."""
    least, most = (maps.px2(area) for area in _SEED_MM2)
    near = maps.px(_SEED_COAT_MM)
    grown = list(founders)
    shoots_xy = [founder.shoot_rc[:, ::-1] for founder in grown]
    for seed_rc in _components(maps.seed_HW, np.maximum(maps.root_HW, maps.shoot_HW), least):
        seed_xy = seed_rc[:, ::-1].astype(float)
        gaps = [_gap(shoot, seed_xy) if len(shoot) else np.inf for shoot in shoots_xy]
        if gaps and min(gaps) <= near:
            owner = grown[int(np.argmin(gaps))]
            owner.seed_rc = np.vstack([owner.seed_rc, seed_rc])
        elif roots.nearest(seed_xy)[1] > near and len(seed_rc) <= most:
            place_xy = cast(Points, seed_xy.mean(axis=0))
            flag = _flag("ungerminated", "a seed without root and shoot: its traits are unknown", place_xy, maps)
            founders.append(Founder(None, seed_rc=seed_rc, flags=[flag]))


def _flag(code: str, message: str, place_xy: Points, maps: Maps) -> Flag:
    x, y = maps.frame.to_source(place_xy[None])[0]
    return Flag(code=code, message=message, at=Point(x=float(x), y=float(y)))
