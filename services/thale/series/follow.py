"""A plate through time: times, positions, identities, scale and growth of one series of photographs."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thale.errors import ParameterError
from thale.schemas import Flag, Phenotype, TraitValue
from thale.series.growth import GROWTH_TRAITS, TraitAtTime, growth_rates
from thale.series.matching import is_scattered
from thale.series.registration import Photograph, RegisteredPlant, register, to_position
from thale.series.scale import find_scale_changes
from thale.series.schemas import GrowthRate, Observation, PlateSeries, SeriesPhotograph, Track
from thale.series.timestamps import TIMES_REMEDY, Timestamp
from thale.series.tips import tip_displacement_rates
from thale.series.tracks import PLATE_EDGE_MESSAGE, TrackState, follow_plants, presence_flags, unplaced_flags

_SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class TimedPhenotype:
    """A phenotype with its time and the name of its photograph in messages."""

    phenotype: Phenotype
    timestamp: Timestamp
    name: str


def check_times(plate: str, photographs: Sequence[tuple[str, Timestamp]]) -> None:
    """Check that the times of one plate have an order. `photographs` are names with times.

    Raises:
        ParameterError: If two times are equal, or if only some of them have a time zone.
    """
    zoned = [name for name, timestamp in photographs if timestamp.time.tzinfo is not None]
    if 0 < len(zoned) < len(photographs):
        unzoned = next(name for name, timestamp in photographs if timestamp.time.tzinfo is None)
        raise ParameterError(
            f"plate {plate!r}: the time of {zoned[0]} has a time zone, but that of {unzoned} has none: give it with "
            "--time-zone (`time_zone` of /v1/series), such as Europe/Amsterdam"
        )
    ordered = sorted(photographs, key=lambda item: item[1].time)
    for (name, one), (next_name, two) in itertools.pairwise(ordered):
        if one.time == two.time:
            shown = f"{one.time:%Y-%m-%d %H:%M:%S}" if one.is_time_of_day_known else f"{one.time:%Y-%m-%d}"
            raise ParameterError(
                f"plate {plate!r}: {name} and {next_name} have the same time, {shown}: remove a copy, separate two "
                f"plates or cameras with --plate-pattern (`plate` of /v1/series), or give the times {TIMES_REMEDY}"
            )


def follow_plate(plate: str, photographs: Sequence[TimedPhenotype], flags: Sequence[Flag] = ()) -> PlateSeries:
    """Return the series of one plate: its photographs in the order of time, and the tracks of its plants.

    Args:
        plate: Name of the plate.
        photographs: Photographs of the plate, in any order.
        flags: Further flags of the plate.

    Raises:
        ParameterError: If the times have no order.
    """
    check_times(plate, [(photograph.name, photograph.timestamp) for photograph in photographs])
    ordered = sorted(photographs, key=lambda photograph: photograph.timestamp.time)
    registered = [register(item.phenotype, item.timestamp, item.name) for item in ordered]
    return _PlateFollower(plate, registered).follow(flags)


class _PlateFollower:
    """Photographs of one plate in the order of time, and the flags of each step to the next followed one."""

    def __init__(self, plate: str, photographs: Sequence[Photograph]) -> None:
        self._plate = plate
        self._photographs = photographs
        start = photographs[0].timestamp.time
        self._days = [(item.timestamp.time - start).total_seconds() / _SECONDS_PER_DAY for item in photographs]
        self._unplaced = unplaced_flags(photographs)
        self._skipped = frozenset(self._unplaced)
        self._tracks = follow_plants(photographs, self._skipped)
        self._step_flags = self._find_step_flags()

    def follow(self, flags: Sequence[Flag]) -> PlateSeries:
        """Return the series."""
        return PlateSeries(
            plate=self._plate,
            photographs=tuple(self._describe(index) for index in range(len(self._photographs))),
            tracks=tuple(self._build_track(number, track) for number, track in enumerate(self._tracks, start=1)),
            flags=(*flags, *self._plate_flags()),
        )

    def _find_step_flags(self) -> dict[int, tuple[Flag, ...]]:
        """Return the flags of each followed photograph in comparison with the followed one before it."""
        followed = [index for index in range(len(self._photographs)) if index not in self._skipped]
        flags = {}
        for one, two in itertools.pairwise(followed):
            before, after = self._photographs[one], self._photographs[two]
            found = list(find_scale_changes(before, after, self._bases_on_both(one, two)))
            found += _model_flags(before, after)
            if not (before.timestamp.is_time_of_day_known and after.timestamp.is_time_of_day_known):
                message = "only the date is known, so the interval may be wrong by hours: give --time-of-day or --times"
                found.append(Flag(code="time_of_day_unknown", message=message))
            if after.origin == "image_corner":
                found.append(Flag(code="no_plate_edge", message=PLATE_EDGE_MESSAGE))
            moved = [track.displacements_mm[two] for track in self._tracks if two in track.displacements_mm]
            if is_scattered(moved):
                message = (
                    f"{len(moved)} plants moved by up to {max(moved):.1f} mm since earlier photographs: this may be "
                    "another plate; compare the overlays, and the plate's edge on both"
                )
                found.append(Flag(code="positions_disagree", message=message))
            if before.plants and after.plants and not any({one, two} <= track.plants.keys() for track in self._tracks):
                message = f"no plant is at the place of one on {before.name}: compare the plate's edge on both overlays"
                found.append(Flag(code="no_plant_matched", message=message))
            flags[two] = tuple(found)
        return flags

    def _bases_on_both(self, one: int, two: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        pairs = ((track.plants.get(one), track.plants.get(two)) for track in self._tracks)
        return [
            (old.base_mm, new.base_mm)
            for old, new in pairs
            if old is not None and new is not None and old.base_mm is not None and new.base_mm is not None
        ]

    def _plate_flags(self) -> list[Flag]:
        flags = []
        if len(self._photographs) == 1:
            message = "the plate has one photograph, so it has no growth: check the name of the plate in the file names"
            flags.append(Flag(code="single_photograph", message=message))
        elif self._photographs[0].timestamp.time.tzinfo is None:
            message = (
                "the times have no time zone: intervals across a change to or from summer time are wrong by an hour; "
                "give --time-zone"
            )
            flags.append(Flag(code="time_zone_unknown", message=message))
        return flags

    def _describe(self, index: int) -> SeriesPhotograph:
        photograph = self._photographs[index]
        phenotype, timestamp = photograph.phenotype, photograph.timestamp
        unplaced = self._unplaced.get(index)
        flags = (*([unplaced] if unplaced else []), *self._step_flags.get(index, ()), *phenotype.flags)
        return SeriesPhotograph(
            index=index,
            image=photograph.name,
            sha256=phenotype.image.sha256,
            time=timestamp.time.isoformat() if timestamp.is_time_of_day_known else timestamp.time.date().isoformat(),
            time_source=timestamp.source,
            is_time_of_day_known=timestamp.is_time_of_day_known,
            days=self._days[index],
            mm_per_px=phenotype.scale.mm_per_px,
            scale_source=phenotype.scale.source,
            origin=photograph.origin,
            plants=len(phenotype.plants),
            flags=flags,
        )

    def _build_track(self, number: int, track: TrackState) -> Track:
        observations = tuple(
            Observation(
                photograph=index,
                plant=plant.number,
                base=to_position(plant.base_mm),
                tip=to_position(None if plant.path_N2_mm is None else plant.path_N2_mm[-1]),
                displacement_mm=track.displacements_mm.get(index, math.nan),
                flags=track.flags.get(index, ()),
            )
            for index, plant in track.plants.items()
        )
        flags = {flag.code: flag for found in track.flags.values() for flag in found}
        growth = self._growth(track)
        flags |= {flag.code: flag for rate in growth for flag in rate.flags if flag.code == "root_shrinks"}
        presence = presence_flags(track, self._photographs, self._skipped)
        return Track(id=number, observations=observations, growth=growth, flags=(*presence, *flags.values()))

    def _growth(self, track: TrackState) -> tuple[GrowthRate, ...]:
        rates: list[GrowthRate] = []
        for trait in GROWTH_TRAITS:
            values = [self._at_time(track, index, plant.traits.get(trait)) for index, plant in track.plants.items()]
            if any(item.value is not None for item in values):
                rates += growth_rates(trait, values)
        tips = [self._at_time(track, index, _length(plant)) for index, plant in track.plants.items()]
        return (*rates, *tip_displacement_rates(tips, list(track.plants.values())))

    def _at_time(self, track: TrackState, index: int, value: TraitValue | None) -> TraitAtTime:
        """Return a value with the flags of all steps since the previous observation of the plant."""
        previous = max((other for other in track.plants if other < index), default=index)
        steps = [flag for step in range(previous + 1, index + 1) for flag in self._step_flags.get(step, ())]
        flags = {flag.code: flag for flag in (*steps, *track.flags.get(index, ()))}
        return TraitAtTime(index, self._days[index], value, tuple(flags.values()))


def _length(plant: RegisteredPlant) -> TraitValue | None:
    """Return the length of the primary root. Its quality is that of the tip's position."""
    return plant.traits.get("primary_root_length") if plant.path_N2_mm is not None else None


def _model_flags(before: Photograph, after: Photograph) -> list[Flag]:
    """Return a flag if other models, or another package version, measured the photographs."""
    old, new = (_measured_by(photograph) for photograph in (before, after))
    if old == new:
        return []
    message = f"{before.name} was measured by {old}, and {after.name} by {new}: measure all with the same versions"
    return [Flag(code="models_changed", message=message)]


def _measured_by(photograph: Photograph) -> str:
    provenance = photograph.phenotype.provenance
    models = sorted(f"{model.name} {model.version} ({model.digest[:15]})" for model in provenance.models)
    return ", ".join([*models, f"thale {provenance.package_version}"])
