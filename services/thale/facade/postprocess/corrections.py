"""Corrections of /v1/traits: a phenotype and its corrected roots in, the corrected phenotype in any format out.

It runs in the processes of `worker_pool`, because parsing and measuring are CPU-bound and their input is hostile.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from thale.errors import ParameterError, describe_validation_error
from thale.exports import plantcv, rsml, table
from thale.facade.postprocess.types import CSV, JSON, PLANTCV
from thale.phenotyping.corrections import correct_phenotype
from thale.schemas import CorrectedPlant, CorrectedRoot, Phenotype, TraitsRequest

MAX_ROOTS = 5000
MAX_POINTS = 500_000
"""Maximum numbers of roots and points in a request, far above those of a plate with 30 plants."""
_BORDER_PX = 1.0
"""A traced end may be up to this far outside the image."""


def correct_traits(body: bytes, media_type: str, *, wide: bool) -> bytes:
    """Return the corrected phenotype of a request.

    Args:
        body: A `TraitsRequest` as JSON.
        media_type: One of `TRAITS_TYPES`.
        wide: Format of a CSV table: one row per plant, or one per plant and trait if False.

    Raises:
        ParameterError: If the body or a correction is invalid, or if there is no root for an RSML file.
    """
    try:
        request = TraitsRequest.model_validate_json(body)
    except ValidationError as error:
        raise ParameterError(f"the correction is invalid: {describe_validation_error(error)}") from error
    del body
    _check_corrections(request)
    return _render(correct_phenotype(request.phenotype, request.plants), media_type, wide)


def _render(phenotype: Phenotype, media_type: str, wide: bool) -> bytes:
    if media_type == JSON:
        return phenotype.model_dump_json().encode()
    if media_type == CSV:
        return (table.wide_csv([phenotype]) if wide else table.long_csv([phenotype])).encode()
    if media_type == PLANTCV:
        return plantcv.write([phenotype])
    if not rsml.has_roots(phenotype):
        raise ParameterError("no plant has a root: an RSML file without roots is invalid; draw a root or request CSV")
    return rsml.write(phenotype)


def _check_corrections(request: TraitsRequest) -> None:
    plants = request.plants
    roots = [root for plant in plants for root in plant.roots]
    points = sum(len(root.points) for root in roots)
    if len(roots) > MAX_ROOTS or points > MAX_POINTS:
        raise ParameterError(
            f"the plants have {len(roots)} roots with {points} points: send up to {MAX_ROOTS} roots with up to "
            f"{MAX_POINTS} points in total"
        )
    _check_unique("plant", [plant.id for plant in plants])
    _check_unique("root", [root.id for root in roots])
    plates: set[int | None] = {plate.id for plate in request.phenotype.plates}
    plates = plates or {None}
    width, height = request.phenotype.image.width, request.phenotype.image.height
    for plant in plants:
        if plant.plate not in plates:
            raise ParameterError(
                f"plant {plant.id} is on plate {plant.plate}, which the phenotype does not have: send the number of "
                "one of its `plates`, or null if it has none"
            )
        by_id = {root.id: root for root in plant.roots}
        for root in plant.roots:
            _check_ancestors(plant, root, by_id)
            _check_points(root, width, height)


def _check_unique(kind: str, ids: Sequence[object]) -> None:
    repeated = [str(each) for each, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ParameterError(f"several {kind}s have the id {', '.join(repeated[:5])}: give each {kind} its own id")


def _check_ancestors(plant: CorrectedPlant, root: CorrectedRoot, by_id: Mapping[str, CorrectedRoot]) -> None:
    visited, current = {root.id}, root
    while current.parent is not None:
        if current.parent not in by_id:
            raise ParameterError(
                f"the parent {current.parent!r} of root {current.id!r} is no root of plant {plant.id}: name a root of "
                "the same plant, or null for a primary root"
            )
        current = by_id[current.parent]
        if current.id in visited:
            raise ParameterError(f"root {root.id!r} is its own ancestor: give it another parent")
        visited.add(current.id)


def _check_points(root: CorrectedRoot, width: int, height: int) -> None:
    if len(set(root.points)) < 2:
        raise ParameterError(f"root {root.id!r} has fewer than two different points: send its base and its tip")
    for x, y in root.points:
        if not (-_BORDER_PX <= x <= width - 1 + _BORDER_PX and -_BORDER_PX <= y <= height - 1 + _BORDER_PX):
            raise ParameterError(
                f"root {root.id!r} has the point {x:g}, {y:g} outside the image of {width} x {height} px: send pixels "
                "of the image as measured"
            )
