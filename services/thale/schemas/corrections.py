"""Schemas of corrections: the roots of each plant as a person has drawn or checked them."""

from typing import Annotated

from pydantic import Field

from thale.schemas.fields import FrozenModel
from thale.schemas.phenotype import Phenotype

RootId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class CorrectedRoot(FrozenModel):
    """One root as a polyline from base to tip. A root that equals the measured one keeps its measurements."""

    id: RootId
    """Identifier, unique in the image. A root with the identifier of a measured root replaces it."""
    parent: RootId | None = None
    """Identifier of the parent root of the same plant. None for a primary root."""
    points: tuple[tuple[Coordinate, Coordinate], ...] = Field(min_length=1, max_length=10_000)
    """Polyline as x, y in pixels of the image, from the base to the tip."""


class CorrectedPlant(FrozenModel):
    """One plant with all its roots. A plant with the number of a measured plant keeps its shoot and hypocotyl."""

    id: int = Field(ge=1, le=1_000_000)
    """Number of the plant in the image."""
    plate: int | None = None
    """Number of the plant's plate in the image. None if no plate was found."""
    checked: bool = False
    """True if a person has checked all roots of the plant. Doubts about their tracing then end."""
    roots: tuple[CorrectedRoot, ...] = Field(max_length=1000)
    """All roots of the plant."""


class TraitsRequest(FrozenModel):
    """Body of /v1/traits: a phenotype as measured, and all its plants with their corrected roots."""

    phenotype: Phenotype
    """Phenotype as returned by /v1/phenotype."""
    plants: tuple[CorrectedPlant, ...] = Field(max_length=500)
    """All plants of the image. A measured plant that is missing is removed."""
