"""Series of /v1/series: phenotypes of a request in, tracks, growth rates and flags, or a table, out.

It runs in the processes of `worker_pool`, because parsing and matching are CPU-bound and their input is hostile.
"""

from dataclasses import replace

from pydantic import ValidationError

from thale._version import __version__
from thale.errors import ParameterError, describe_validation_error
from thale.exports import series_table
from thale.exports.names import image_name
from thale.exports.table import to_csv
from thale.facade.postprocess.types import CSV, JSON, SeriesRows
from thale.series.follow import TimedPhenotype, follow_plate
from thale.series.plan import PhotographName, SeriesRules, parse_time_of_day, parse_zone, plan_series
from thale.series.schemas import SeriesItem, SeriesRequest, SeriesResult
from thale.series.timestamps import TimeRules, parse_time

MAX_PLANTS = 20_000
"""Maximum number of plants in a request: the work of the matching grows with their number in all photographs."""
MAX_PLANTS_PER_PHOTOGRAPH = 200


def follow_series(body: bytes, media_type: str = JSON, rows: SeriesRows = "values") -> bytes:
    """Return the series of a request, as JSON or as a CSV table.

    Args:
        body: A `SeriesRequest` as JSON.
        media_type: JSON or CSV.
        rows: Rows of a CSV table.

    Raises:
        ParameterError: If the body is invalid, if a time or a plate cannot be found, or if there are too many plants.
    """
    try:
        request = SeriesRequest.model_validate_json(body)
    except ValidationError as error:
        raise ParameterError(f"the series is invalid: {describe_validation_error(error)}") from error
    del body
    _check_plants(request)
    rules = SeriesRules(TimeRules(parse_zone(request.time_zone), parse_time_of_day(request.time_of_day)))
    timed = {
        plate: [
            TimedPhenotype(request.photographs[planned.index].phenotype, planned.timestamp, planned.name)
            for planned in sorted(photographs, key=lambda planned: planned.timestamp.time)
        ]
        for plate, photographs in plan_series([_name(item) for item in request.photographs], rules).items()
    }
    plates = tuple(follow_plate(plate, photographs) for plate, photographs in timed.items())
    if media_type != CSV:
        return SeriesResult(plates=plates, package_version=__version__).model_dump_json().encode()
    if rows == "growth":
        return series_table.growth_csv(plates).encode()
    header = to_csv(series_table.SERIES_COLUMNS, [])
    tables = (
        series_table.long_csv(found, [item.phenotype for item in timed[found.plate]]).removeprefix(header)
        for found in plates
    )
    return "".join((header, *tables)).encode()


def _name(item: SeriesItem) -> PhotographName:
    """Return the name of a photograph with its given time and plate.

    Raises:
        ParameterError: If the time of EXIF is not ISO 8601.
    """
    name = item.name or image_name(item.phenotype.image)
    exif = None if item.exif_time is None else replace(parse_time(item.exif_time, name), source="exif")
    return PhotographName(name, item.time, item.plate, exif)


def _check_plants(request: SeriesRequest) -> None:
    counts = [len(item.phenotype.plants) for item in request.photographs]
    if max(counts) > MAX_PLANTS_PER_PHOTOGRAPH:
        index = counts.index(max(counts))
        raise ParameterError(
            f"photographs.{index} has {counts[index]} plants: send up to {MAX_PLANTS_PER_PHOTOGRAPH} on each photograph"
        )
    if sum(counts) > MAX_PLANTS:
        raise ParameterError(f"the photographs have {sum(counts)} plants: send up to {MAX_PLANTS} in one request")
    for index, item in enumerate(request.photographs):
        numbers = [plant.id for plant in item.phenotype.plants]
        if len(set(numbers)) < len(numbers):
            raise ParameterError(f"photographs.{index} has two plants with one id: number its plants from 1")
