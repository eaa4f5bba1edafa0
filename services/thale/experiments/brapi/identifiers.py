"""Identifiers of BrAPI objects. They contain the keys of their rows, so that no table of identifiers is needed.

Images of an experiment keep their number. The plate of an observation unit is named by the number of its first image.
"""

import re
from dataclasses import dataclass
from typing import Self

_EXPERIMENT = r"(exp-[0-9a-f]{1,28})"
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_UNIT = re.compile(rf"{_EXPERIMENT}\.{_NUMBER}\.{_NUMBER}\.{_NUMBER}")
_IMAGE = re.compile(rf"{_EXPERIMENT}\.{_NUMBER}")
_OBSERVATION = re.compile(rf"{_EXPERIMENT}\.(m-[0-9a-f]{{1,38}})\.{_NUMBER}\.{_NUMBER}")


@dataclass(frozen=True, order=True)
class UnitId:
    """Identifier of a plate or plant. 0 as `plate` is the photographed plate, and 0 as `plant` the plate itself.

    `plate` is the number of a plate in photographs of several plates.
    """

    experiment: str
    first_image: int
    plate: int = 0
    plant: int = 0

    def __str__(self) -> str:
        return f"{self.experiment}.{self.first_image}.{self.plate}.{self.plant}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the identifier of a text, or None if the text has another form."""
        match = _UNIT.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2]), int(match[3]), int(match[4]))


@dataclass(frozen=True)
class ImageId:
    """Identifier of an image of an experiment."""

    experiment: str
    number: int

    def __str__(self) -> str:
        return f"{self.experiment}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the identifier of a text, or None if the text has another form."""
        match = _IMAGE.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2]))


@dataclass(frozen=True)
class ObservationId:
    """Identifier of a trait of a subject of a measurement, in an experiment."""

    experiment: str
    measurement: str
    subject: int
    trait: int

    def __str__(self) -> str:
        return f"{self.experiment}.{self.measurement}.{self.subject}.{self.trait}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the identifier of a text, or None if the text has another form."""
        match = _OBSERVATION.fullmatch(text)
        return None if match is None else cls(match[1], match[2], int(match[3]), int(match[4]))
