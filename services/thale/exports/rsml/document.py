"""What an RSML file says, as values: the same for a file that was read and for one that will be written."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from thale.schemas import Flag

XY = tuple[float, float]

MM_BY_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 1e-3, "µm": 1e-3, "nm": 1e-6, "inch": 25.4}


@dataclass(frozen=True)
class Property:
    """One property of a scene, plant or root. `xml` holds one that is more than a text, as it stood in the file."""

    name: str
    value: str
    xml: str | None = None


@dataclass(frozen=True)
class PropertyDefinition:
    """What the value of a property means: its type (real, integer, boolean, string) and unit."""

    label: str
    type: str
    unit: str | None = None
    default: str | None = None


@dataclass(frozen=True)
class ImageReference:
    """The image that the roots were traced on. `sha256` is the digest of the file, header included."""

    name: str
    sha256: str | None = None
    captured: str | None = None


@dataclass(frozen=True)
class TimeSequence:
    """The place of the file in a series. `unified`: the same id is the same root in all of its files."""

    label: str
    index: int
    unified: bool = False


@dataclass(frozen=True)
class Metadata:
    """The head of the file. `last_modified` and `captured` are ISO 8601, or None where the file's date is no date."""

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
    """One value along a root, at `position` px from its origin in the domain "length", elsewhere by its rank."""

    value: float
    position: float | None = None


@dataclass(frozen=True)
class Function:
    """Values along a root's polyline; `domain` is polyline, uniform or length."""

    name: str
    domain: str
    samples: tuple[Sample, ...]
    origin: str | None = None


@dataclass(frozen=True)
class Annotation:
    """Something said about a place (one point) or an area (several), in image pixels."""

    name: str | None
    points: tuple[XY, ...]
    value: str
    software: str = ""


@dataclass(frozen=True)
class RsmlRoot:
    """One root with its laterals. `points` is empty where the file has no geometry."""

    id: str
    points: tuple[XY, ...]
    label: str | None = None
    accession: str | None = None
    properties: tuple[Property, ...] = ()
    functions: tuple[Function, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    roots: tuple["RsmlRoot", ...] = ()
    depths: tuple[float | None, ...] = ()
    """The z of each point, where the file is of three dimensions; else empty."""
    attributes: tuple[tuple[str, str], ...] = ()
    geometry_extras: tuple[str, ...] = ()
    function_extras: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def length_px(self) -> float:
        """Length of the polyline in the plane of the image; 0 without geometry."""
        return sum((math.dist(a, b) for a, b in itertools.pairwise(self.points)), 0.0)

    def walk(self, order: int = 1) -> Iterator[tuple[int, "RsmlRoot"]]:
        """Yield this root and all below it, each with its order (1 for the root itself, unless told otherwise)."""
        yield order, self
        for root in self.roots:
            yield from root.walk(order + 1)


@dataclass(frozen=True)
class RsmlPlant:
    """One plant with its roots of the first order, each of which holds its laterals."""

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
    """An RSML file. `warnings` says what a reader had to forgive; `extras` is XML that thale does not know."""

    metadata: Metadata
    plants: tuple[RsmlPlant, ...]
    properties: tuple[Property, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    extras: tuple[str, ...] = ()
    warnings: tuple[Flag, ...] = field(default=(), compare=False)

    @property
    def mm_per_px(self) -> float:
        """Millimetres per pixel by the file's unit and resolution; NaN where they do not say."""
        millimetres = MM_BY_UNIT.get(self.metadata.unit)
        return millimetres / self.metadata.resolution if millimetres else math.nan

    def walk(self) -> Iterator[tuple[RsmlPlant, int, RsmlRoot]]:
        """Yield every root of the file with its plant and its order."""
        for plant in self.plants:
            for order, root in plant.walk():
                yield plant, order, root
