"""Series of /v1/series: phenotypes of a request in, tracks, growth rates and flags out.

It runs in the processes of `worker_pool`, because parsing and matching are CPU-bound and their input is hostile.
"""

from pydantic import ValidationError

from thale._version import __version__
from thale.errors import ParameterError, describe_validation_error
from thale.exports.names import image_name
from thale.series.follow import TimedPhenotype, follow_plate
from thale.series.plan import PhotographName, SeriesRules, parse_time_of_day, parse_zone, plan_series
from thale.series.schemas import SeriesRequest, SeriesResult
from thale.series.timestamps import TimeRules

MAX_PLANTS = 20_000
"""Maximum number of plants in a request: the work of the matching grows with their number in all photographs."""
MAX_PLANTS_PER_PHOTOGRAPH = 200


def follow_series(body: bytes) -> bytes:
    """Return the series of a request, as JSON.

    Args:
        body: A `SeriesRequest` as JSON.

    Raises:
        ParameterError: If the body is invalid, if a time or a plate cannot be found, or if there are too many plants.
    """
    try:
        request = SeriesRequest.model_validate_json(body)
    except ValidationError as error:
        raise ParameterError(f"the series is invalid: {describe_validation_error(error)}") from error
    del body
    _check_plants(request)
    rules = SeriesRules(TimeRules(parse_zone(request.time_zone), parse_time_of_day(request.time_of_day)), "name")
    names = [
        PhotographName(item.name or image_name(item.phenotype.image), item.time, item.plate)
        for item in request.photographs
    ]
    plates = tuple(
        follow_plate(
            plate,
            [
                TimedPhenotype(request.photographs[planned.index].phenotype, planned.timestamp, planned.name)
                for planned in photographs
            ],
        )
        for plate, photographs in plan_series(names, rules).items()
    )
    return SeriesResult(plates=plates, package_version=__version__).model_dump_json().encode()


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
