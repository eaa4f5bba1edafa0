"""Constrained field types of the schemas, and their base class."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NullableFloat = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    WithJsonSchema({"type": ["number", "null"]}),
]
"""A float that is serialized as null if it is NaN, and parsed from null as NaN."""

MODEL_NAME_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
VERSION_PATTERN = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$"
"""MAJOR.MINOR.PATCH of Semantic Versioning in ASCII digits without leading zeros. A version has one spelling.

With `re`, use fullmatch: its `$` also matches before a final newline.
"""

ModelName = Annotated[str, Field(pattern=MODEL_NAME_PATTERN)]
Version = Annotated[str, Field(pattern=VERSION_PATTERN)]

Task = Literal["segmentation", "landmarks"]
ScaleSource = Literal["given", "plate_edge", "assumed", "per_plate", "none"]
"""`given`: the scale. `plate_edge`: the plate's edge and its given width. `assumed`: the plate's edge and the assumed
width of 120 mm. `per_plate`: each of several plates has its own. `none`: no scale."""
Rotation = Literal[0, 90, 180, 270]
"""Clockwise turn in degrees."""
Region = Literal["plate", "image"]
"""Processed part of an image: its plates, or all of it without a search for plates."""
OrganKind = Literal["root", "shoot", "seed"]
LandmarkKind = Literal["root_base", "primary_tip", "lateral_tip", "leaf_tip"]
TraitLevel = Literal["plant", "plate"]
OntologyRelation = Literal["exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch"]
"""Mapping properties of SKOS. The ontology term is the object: a broadMatch is broader than the trait."""


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, which are its sort key: 1.10.0 follows 1.9.0."""
    return tuple(int(number) for number in version.split("."))


class FrozenModel(BaseModel):
    """Base class of the schemas: immutable, rejects unknown fields, serializes NaN as null."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="null",
        protected_namespaces=(),
        json_schema_serialization_defaults_required=True,  # every field is sent
    )
