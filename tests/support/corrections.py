"""Corrections for tests: the roots of a phenotype as the body of /v1/traits."""

import json
from collections.abc import Callable
from typing import Any

from thale.schemas import CorrectedPlant, CorrectedRoot, Phenotype, Root


def unchanged(phenotype: Phenotype, *, checked: bool = False) -> tuple[CorrectedPlant, ...]:
    """Return the plants of a phenotype as a correction that changes nothing."""
    return tuple(
        CorrectedPlant(
            id=plant.id,
            plate=plant.plate,
            checked=checked,
            roots=tuple(CorrectedRoot(id=root.id, parent=root.parent, points=root.points) for root in plant.roots),
        )
        for plant in phenotype.plants
    )


def edited(plants: tuple[CorrectedPlant, ...], root_id: str, **update: object) -> tuple[CorrectedPlant, ...]:
    """Return the plants with other fields of one root."""
    return tuple(
        plant.model_copy(
            update={
                "roots": tuple(root.model_copy(update=update) if root.id == root_id else root for root in plant.roots)
            }
        )
        for plant in plants
    )


def traits_body(phenotype: Phenotype, edit: Callable[[Any], None] | None = None) -> bytes:
    """Return the body of a correction. `edit` changes its JSON value."""
    plants = [json.loads(plant.model_dump_json()) for plant in unchanged(phenotype)]
    body = {"phenotype": json.loads(phenotype.model_dump_json()), "plants": plants}
    if edit is not None:
        edit(body)
    return json.dumps(body).encode()


def root_of(phenotype: Phenotype, root_id: str) -> Root:
    return next(root for plant in phenotype.plants for root in plant.roots if root.id == root_id)
