"""CSV tables of a series: one row per plant, photograph and trait, and one row per growth rate.

The format is that of `thale.exports.table`.
"""

from collections.abc import Iterable, Sequence

from thale.exports.names import flag_codes, model_names
from thale.exports.table import Cell, to_csv
from thale.schemas import Phenotype, Plant
from thale.series.schemas import Observation, PlateSeries, SeriesPhotograph, Track
from thale.series.tracks import PRESENCE_CODES

SERIES_COLUMNS = (
    "plate",
    "plant",
    "image",
    "sha256",
    "time",
    "time_source",
    "days",
    "image_plant",
    "base_x_mm",
    "base_y_mm",
    "tip_x_mm",
    "tip_y_mm",
    "trait",
    "value",
    "interval_low",
    "interval_high",
    "unit",
    "ontology_id",
    "quality",
    "flags",
    "scale_source",
    "mm_per_px",
    "models",
    "package_version",
)
"""Columns of the long table. `plant` is the same plant on each photograph, `image_plant` its number on one."""

GROWTH_COLUMNS = (
    "plate",
    "plant",
    "trait",
    "scope",
    "first_image",
    "last_image",
    "first_time",
    "last_time",
    "days",
    "values",
    "rate",
    "interval_low",
    "interval_high",
    "unit",
    "quality",
    "flags",
)
"""Columns of the table of growth rates. `scope` is interval or series."""


def long_csv(found: PlateSeries, phenotypes: Sequence[Phenotype]) -> str:
    """Return one row per plant, photograph and trait. Plants that are not followed have an empty `plant`.

    Args:
        found: Series of one plate.
        phenotypes: Phenotypes of its photographs, in the same order.
    """
    tracks = {(item.photograph, item.plant): (track, item) for track in found.tracks for item in track.observations}
    rows: list[Sequence[Cell]] = []
    for photograph, phenotype in zip(found.photographs, phenotypes, strict=True):
        for plant in phenotype.plants:
            track, observation = tracks.get((photograph.index, plant.id), (None, None))
            rows += _plant_rows(found, photograph, phenotype, plant, track, observation)
    return to_csv(SERIES_COLUMNS, rows)


def growth_csv(series: Iterable[PlateSeries]) -> str:
    """Return one row per plant, trait and interval, and one row per plant and trait for the whole series."""
    rows: list[Sequence[Cell]] = []
    for found in series:
        for track in found.tracks:
            for rate in track.growth:
                first, last = found.photographs[rate.first_photograph], found.photographs[rate.last_photograph]
                rows.append(
                    (
                        found.plate,
                        track.id,
                        rate.trait,
                        rate.scope,
                        first.image,
                        last.image,
                        first.time,
                        last.time,
                        rate.days,
                        rate.values,
                        rate.rate,
                        *(rate.interval or (None, None)),
                        rate.unit,
                        rate.quality,
                        flag_codes((*rate.flags, *(flag for flag in track.flags if flag.code in PRESENCE_CODES))),
                    )
                )
    return to_csv(GROWTH_COLUMNS, rows)


def _plant_rows(
    found: PlateSeries,
    photograph: SeriesPhotograph,
    phenotype: Phenotype,
    plant: Plant,
    track: Track | None,
    observation: Observation | None,
) -> list[Sequence[Cell]]:
    positions = [observation.base, observation.tip] if observation is not None else [None, None]
    coordinates = [
        number for point in positions for number in ((None, None) if point is None else (point.x_mm, point.y_mm))
    ]
    flags = (*photograph.flags, *(observation.flags if observation is not None else ()), *plant.flags)
    return [
        (
            found.plate,
            None if track is None else track.id,
            photograph.image,
            photograph.sha256,
            photograph.time,
            photograph.time_source,
            photograph.days,
            plant.id,
            *coordinates,
            trait.trait,
            trait.value,
            *(trait.interval or (None, None)),
            trait.unit,
            trait.ontology_id,
            trait.quality,
            flag_codes((*trait.flags, *flags)),
            photograph.scale_source,
            photograph.mm_per_px,
            model_names(phenotype),
            phenotype.provenance.package_version,
        )
        for trait in plant.traits
    ]
