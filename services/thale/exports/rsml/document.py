"""Data model of an RSML file, shared by reader and writer."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from thale.schemas import Flag

XY = tuple[float, float]

MM_BY_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "nm": 1e-6, "inch": 25.4}


@dataclass(frozen=True)
class Property:
    """One property of a scene, plant or root. `xml` is the source of a property that is more than plain text."""

    name: str
    value: str
    xml: str | None = None


@dataclass(frozen=True)
class PropertyDefinition:
    """Definition of a property: its type (real, integer, boolean, string) and unit."""

    label: str
    type: str
    unit: str | None = None
    default: str | None = None


@dataclass(frozen=True)
class ImageReference:
    """The image of the traced roots. `sha256` is the digest of the file, `captured` an ISO 8601 date or None."""

    name: str
    sha256: str | None = None
    captured: str | None = None


@dataclass(frozen=True)
class TimeSequence:
    """Position of the file in a time series. If `unified`, an id denotes the same root in all files of the series."""

    label: str
    index: int
    unified: bool = False


@dataclass(frozen=True)
class Metadata:
    """Metadata of the file. `last_modified` is ISO 8601, or None if the date in the file is invalid."""

    version: str = "1"
    unit: str = "pixel"
    resolution: float = 1.0
    last_modified: str | None = None
    software: str = ""
    user: str = ""
    file_key: str = ""
    image: ImageReference | None = None
    time_sequence: TimeSequence | None = None
    property_definitions: tuple[PropertyDefinition, ...] = ()
    extras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One value along a root. In the domain "length" it is at `position` px from the origin, else at its index."""

    value: float
    position: float | None = None


@dataclass(frozen=True)
class Function:
    """Values along the polyline of a root. `domain` is polyline, uniform or length."""

    name: str
    domain: str
    samples: tuple[Sample, ...]
    origin: str | None = None


@dataclass(frozen=True)
class Annotation:
    """A remark about a position (one point) or an area (several points), in image pixels."""

    name: str | None
    points: tuple[XY, ...]
    value: str
    software: str = ""


@dataclass(frozen=True)
class RsmlRoot:
    """One root with its laterals. `points` is empty if the file has no geometry."""

    id: str
    points: tuple[XY, ...]
    label: str | None = None
    accession: str | None = None
    properties: tuple[Property, ...] = ()
    functions: tuple[Function, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    roots: tuple["RsmlRoot", ...] = ()
    depths: tuple[float | None, ...] = ()
    """The z coordinate of each point in a three-dimensional file, else empty."""
    attributes: tuple[tuple[str, str], ...] = ()
    geometry_extras: tuple[str, ...] = ()
    function_extras: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def length_px(self) -> float:
        """Length of the polyline in the image plane, or 0 without geometry."""
        return sum((math.dist(a, b) for a, b in itertools.pairwise(self.points)), 0.0)

    def walk(self, order: int = 1) -> Iterator[tuple[int, "RsmlRoot"]]:
        """Yield this root and all its descendants with their orders. `order` is the order of this root."""
        yield order, self
        for root in self.roots:
            yield from root.walk(order + 1)


@dataclass(frozen=True)
class RsmlPlant:
    """One plant with its roots of order 1. Each root contains its laterals."""

    id: str
    roots: tuple[RsmlRoot, ...]
    label: str | None = None
    properties: tuple[Property, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    extras: tuple[str, ...] = ()

    def walk(self) -> Iterator[tuple[int, RsmlRoot]]:
        """Yield every root of the plant with its order."""
        for root in self.roots:
            yield from root.walk()


@dataclass(frozen=True)
class RsmlDocument:
    """An RSML file. `warnings` lists the deviations from the format, `extras` the unknown XML elements."""

    metadata: Metadata
    plants: tuple[RsmlPlant, ...]
    properties: tuple[Property, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    extras: tuple[str, ...] = ()
    warnings: tuple[Flag, ...] = field(default=(), compare=False)

    @property
    def mm_per_px(self) -> float:
        """Millimetres per pixel from the unit and resolution of the file, or NaN if they define no scale."""
        millimetres = MM_BY_UNIT.get(self.metadata.unit)
        return millimetres / self.metadata.resolution if millimetres else math.nan

    def walk(self) -> Iterator[tuple[RsmlPlant, int, RsmlRoot]]:
        """Yield every root of the file with its plant and its order."""
        for plant in self.plants:
            for order, root in plant.walk():
                yield plant, order, root
