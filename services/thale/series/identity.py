"""Identity: roots whose path contradicts the matching of their plants.

A root grows at its tip, and its older part stays in its place. The tip of an earlier photograph must therefore lie on
the root of the same plant on a later one. If it lies on the root of another plant, the two were exchanged, by the
matching or by the tracing of one of the photographs.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag
from thale.series.matching import POSITION_SD_MM
from thale.series.registration import RegisteredPlant

PATH_TOLERANCE_MM = 2 * POSITION_SD_MM
"""Maximum distance of an earlier tip from the later root. The plate's tilt contributes 1 mm per degree at 60 mm."""


def find_contradictions(
    before: Mapping[int, RegisteredPlant], after: Mapping[int, RegisteredPlant]
) -> dict[int, tuple[Flag, ...]]:
    """Return `identity_swap` or `path_changed` for each track whose root left its path.

    Args:
        before: Plant of each track on the earlier photograph.
        after: Plant of each track on the later photograph.
    """
    flags: dict[int, list[Flag]] = {}
    for track, earlier in before.items():
        later = after.get(track)
        tip = None if later is None else _moved_tip(earlier, later)
        if later is None or tip is None or _is_on_path(earlier, later, tip):
            continue
        other = _track_on_path(tip, track, after)
        if other is None:
            message = (
                f"the tip at {_format(tip)} mm is not on the later root: the root was exchanged, moved, or traced in "
                "another way; compare the overlays"
            )
            flags.setdefault(track, []).append(Flag(code="path_changed", message=message))
            continue
        for one, two in ((track, other), (other, track)):
            message = (
                f"the tip of plant {track} at {_format(tip)} mm is on the later root of plant {other}: plants {one} "
                f"and {two} may be exchanged on one of the photographs; compare the overlays"
            )
            flags.setdefault(one, []).append(Flag(code="identity_swap", message=message))
    return {track: tuple(found) for track, found in flags.items()}


def _moved_tip(earlier: RegisteredPlant, later: RegisteredPlant) -> NDArray[np.float64] | None:
    """Return the earlier tip, moved by the displacement of the base: both have the error of the plate's corner."""
    if earlier.path_N2_mm is None or later.path_N2_mm is None:
        return None
    moved: NDArray[np.float64] = earlier.path_N2_mm[-1] + later.path_N2_mm[0] - earlier.path_N2_mm[0]
    return moved


def _is_on_path(earlier: RegisteredPlant, later: RegisteredPlant, tip: NDArray[np.float64]) -> bool:
    """Return True if one root continues the other. A shorter root on the same path is the subject of `root_shrinks`."""
    earlier_path, later_path = earlier.path_N2_mm, later.path_N2_mm
    if earlier_path is None or later_path is None:
        return False
    if distance_to_path(tip, later_path) <= PATH_TOLERANCE_MM:
        return True
    later_tip = later_path[-1] + earlier_path[0] - later_path[0]
    return distance_to_path(later_tip, earlier_path) <= PATH_TOLERANCE_MM


def _track_on_path(tip: NDArray[np.float64], own: int, after: Mapping[int, RegisteredPlant]) -> int | None:
    distances = {
        track: distance_to_path(tip, plant.path_N2_mm)
        for track, plant in after.items()
        if track != own and plant.path_N2_mm is not None
    }
    nearest = min(distances, key=distances.__getitem__, default=None)
    return nearest if nearest is not None and distances[nearest] <= PATH_TOLERANCE_MM else None


def distance_to_path(point: NDArray[np.float64], path_N2: NDArray[np.float64]) -> float:
    """Return the distance of a point from a polyline."""
    if len(path_N2) == 1:
        return float(np.hypot(*(point - path_N2[0])))
    starts, steps = path_N2[:-1], np.diff(path_N2, axis=0)
    squared = np.maximum((steps**2).sum(axis=1), 1e-12)
    shares = np.clip(((point - starts) * steps).sum(axis=1) / squared, 0.0, 1.0)
    return float(np.linalg.norm(starts + shares[:, None] * steps - point, axis=1).min())


def _format(point: NDArray[np.float64]) -> str:
    return f"{point[0]:.1f}, {point[1]:.1f}"
