"""Tracks: the plants of a plate, followed from photograph to photograph."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thale.schemas import Flag
from thale.series.identity import find_contradictions
from thale.series.matching import MAX_DISPLACEMENT_MM, POSITION_SD_MM, assign
from thale.series.registration import Photograph, RegisteredPlant, has_scale

PLATE_EDGE_MESSAGE = (
    "no plate edge was found: positions are counted from the corner of the image, and plants are confused if the "
    "camera was moved; photograph the whole plate"
)
PRESENCE_CODES = frozenset({"appeared_late", "not_seen", "position_unknown", "vanished"})
"""Flags of a whole track. Its other flags belong to single observations and rates."""


@dataclass(eq=False)
class TrackState:
    """One plant on the photographs so far. `flags` are those of each observation, by photograph."""

    plants: dict[int, RegisteredPlant] = field(default_factory=dict)
    displacements_mm: dict[int, float] = field(default_factory=dict)
    flags: dict[int, tuple[Flag, ...]] = field(default_factory=dict)

    @property
    def base_mm(self) -> NDArray[np.float64] | None:
        """Last known position of the root base."""
        return self.plants[max(self.plants)].base_mm

    @property
    def first(self) -> int:
        """Index of the first photograph."""
        return min(self.plants)

    @property
    def last(self) -> int:
        """Index of the last photograph."""
        return max(self.plants)


def unplaced_flags(photographs: Sequence[Photograph]) -> dict[int, Flag]:
    """Return a flag for each photograph whose plants have no position that is comparable with the others.

    These are photographs without a scale, and those without a plate edge if others have one.
    """
    has_plates = any(photograph.origin == "plate_corner" for photograph in photographs)
    flags = {}
    for index, photograph in enumerate(photographs):
        count = f"its {len(photograph.plants)} plants are not followed"
        if not has_scale(photograph.phenotype):
            message = f"the scale is unknown, so {count}: give it with --mm-per-px, or photograph the whole plate"
            flags[index] = Flag(code="not_followed", message=message)
        elif has_plates and photograph.origin == "image_corner":
            message = f"no plate edge was found, so {count}: photograph the whole plate"
            flags[index] = Flag(code="not_followed", message=message)
    return flags


def follow_plants(photographs: Sequence[Photograph], skipped: frozenset[int]) -> list[TrackState]:
    """Return the tracks of all plants, from left to right.

    Args:
        photographs: Photographs of one plate in the order of time.
        skipped: Indices of photographs whose plants have no comparable position.
    """
    tracks: list[TrackState] = []
    for index, photograph in enumerate(photographs):
        if index not in skipped:
            _add_photograph(tracks, index, photograph.plants)
    return sorted(tracks, key=lambda track: _position_key(track.plants[track.first]))


def _add_photograph(tracks: list[TrackState], index: int, plants: Sequence[RegisteredPlant]) -> None:
    """Extend the tracks by the plants of one photograph. A plant without a partner begins a track."""
    placed = [plant for plant in plants if plant.base_mm is not None]
    known = [(number, base) for number, track in enumerate(tracks, start=1) if (base := track.base_mm) is not None]
    found = assign([base for _, base in known], [plant.base_mm for plant in placed if plant.base_mm is not None])
    before, after = {}, {}
    for row, column in found.pairs:
        number, base = known[row]
        track, plant = tracks[number - 1], placed[column]
        before[number], after[number] = track.plants[track.last], plant
        displacement = float(np.hypot(*(plant.base_mm - base)))  # type: ignore[operator]
        track.displacements_mm[index] = displacement
        track.flags[index] = (_ambiguity_flag(displacement),) if row in found.ambiguous else ()
        track.plants[index] = plant
    for number, flags in find_contradictions(before, after).items():
        tracks[number - 1].flags[index] += flags
    matched = {plant.number for plant in after.values()}
    tracks += [TrackState({index: plant}) for plant in plants if plant.number not in matched]


def _position_key(plant: RegisteredPlant) -> tuple[float, float]:
    return (float("inf"), float("inf")) if plant.base_mm is None else (float(plant.base_mm[0]), float(plant.base_mm[1]))


def _ambiguity_flag(displacement: float) -> Flag:
    message = (
        f"another plant fits almost as well as the one at {displacement:.1f} mm (positions are known within "
        f"{POSITION_SD_MM} mm): compare the overlays"
    )
    return Flag(code="identity_ambiguous", message=message)


def presence_flags(track: TrackState, photographs: Sequence[Photograph], skipped: frozenset[int]) -> tuple[Flag, ...]:
    """Return the flags of photographs on which a plant is missing, before, between and after its observations."""
    followed = [index for index in range(len(photographs)) if index not in skipped]
    missing = [index for index in followed if index not in track.plants]
    flags = []
    if track.first > followed[0]:
        message = (
            f"first seen on {photographs[track.first].name}: germinated late, was hidden, or moved by more than "
            f"{MAX_DISPLACEMENT_MM:g} mm"
        )
        flags.append(Flag(code="appeared_late", message=message))
    between = [photographs[index].name for index in missing if track.first < index < track.last]
    if between:
        flags.append(Flag(code="not_seen", message=f"not seen on {_list(between)}, but before and after"))
    if track.last < followed[-1]:
        message = f"not seen after {photographs[track.last].name}: compare the overlays"
        flags.append(Flag(code="vanished", message=message))
    if all(plant.base_mm is None for plant in track.plants.values()):
        message = "neither a root nor a seed or shoot has a position: the plant cannot be followed"
        flags.append(Flag(code="position_unknown", message=message))
    return tuple(flags)


def _list(names: Sequence[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
