"""Drawn series: phenotypes of seedlings with known positions and lengths, without photographs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.sample_phenotypes import image_metadata, phenotype
from thale.schemas import Flag, Phenotype, Plant, Plate, Point, Root, Scale, TraitValue
from thale.series.follow import TimedPhenotype
from thale.series.timestamps import parse_time

PLATE_MM = 120.0
BASES_MM = ((20.0, 15.0), (40.0, 15.0), (60.0, 15.0), (80.0, 15.0), (100.0, 15.0))
"""Root bases of five seedlings, from the corner of the plate."""


@dataclass(frozen=True)
class Camera:
    """Scale and position of the plate on the photograph. `given_mm_per_px` replaces the scale of the plate's edge."""

    mm_per_px: float = 0.1
    corner_px: tuple[float, float] = (50.0, 40.0)
    tilt_deg: float = 0.0
    given_mm_per_px: float | None = None
    sees_plate: bool = True
    knows_scale: bool = True

    def to_px(self, x_mm: float, y_mm: float) -> tuple[float, float]:
        """Return the pixel of a position on the plate."""
        sine, cosine = math.sin(math.radians(self.tilt_deg)), math.cos(math.radians(self.tilt_deg))
        x, y = x_mm * cosine - y_mm * sine, x_mm * sine + y_mm * cosine
        return self.corner_px[0] + x / self.mm_per_px, self.corner_px[1] + y / self.mm_per_px

    @property
    def scale(self) -> Scale:
        """Scale of the photograph."""
        if not self.knows_scale:
            return Scale(mm_per_px=math.nan, source="none")
        if self.given_mm_per_px is not None:
            return Scale(mm_per_px=self.given_mm_per_px, source="given")
        return Scale(mm_per_px=self.mm_per_px, source="plate_edge", plate_width_mm=PLATE_MM)

    @property
    def plate(self) -> Plate | None:
        """Corners of the plate on the photograph."""
        if not self.sees_plate:
            return None
        corners = [(0.0, 0.0), (PLATE_MM, 0.0), (PLATE_MM, PLATE_MM), (0.0, PLATE_MM)]
        top_left, top_right, bottom_right, bottom_left = (
            Point(x=x, y=y) for x, y in (self.to_px(*corner) for corner in corners)
        )
        return Plate(corners=(top_left, top_right, bottom_right, bottom_left), tilt_deg=self.tilt_deg, confidence=0.9)


@dataclass(frozen=True)
class DrawnRoot:
    """A straight primary root. `half_width_mm` is that of the 90 % interval of its length, None without an interval."""

    base_mm: tuple[float, float]
    length_mm: float
    angle_deg: float = 0.0
    half_width_mm: float | None = 0.2
    quality: str = "ok"


def photograph(
    roots: Sequence[DrawnRoot],
    time: str,
    name: str = "",
    camera: Camera | None = None,
    flags: tuple[Flag, ...] = (),
) -> TimedPhenotype:
    """Return the phenotype of straight roots at a time. Plants are numbered in the order of `roots`."""
    camera = camera or Camera()
    name = name or f"{time}.png"
    plants = [_draw_plant(number, root, camera) for number, root in enumerate(roots, start=1)]
    found = phenotype(*plants, image=image_metadata(name), scale=camera.scale, plate=camera.plate, flags=flags)
    measured = tuple(_with_interval(plant, root) for plant, root in zip(found.plants, roots, strict=True))
    return TimedPhenotype(found.model_copy(update={"plants": measured}), parse_time(time, name), name)


def daily_series(
    lengths_mm: Sequence[Sequence[float | None]], cameras: Sequence[Camera] = (), half_width_mm: float | None = 0.2
) -> list[TimedPhenotype]:
    """Return a photograph at noon of each day from 2023-08-01. None means that the plant is not detected."""
    return [
        photograph(
            [
                DrawnRoot(base, length, half_width_mm=half_width_mm)
                for base, length in zip(BASES_MM, day_lengths, strict=False)
                if length is not None
            ],
            f"2023-08-{day:02}T12:00:00+00:00",
            camera=cameras[day - 1] if cameras else None,
        )
        for day, day_lengths in enumerate(lengths_mm, start=1)
    ]


def _draw_plant(number: int, root: DrawnRoot, camera: Camera) -> Plant:
    x, y = root.base_mm
    sine, cosine = math.sin(math.radians(root.angle_deg)), math.cos(math.radians(root.angle_deg))
    path = [
        camera.to_px(x + share * root.length_mm * sine, y + share * root.length_mm * cosine)
        for share in (0.0, 0.5, 1.0)
    ]
    primary = Root(
        id=str(number),
        order=1,
        points=tuple(path),
        length_px=root.length_mm / camera.mm_per_px,
        confidence=0.9,
    )
    return Plant(id=number, organs=(), landmarks=(), roots=(primary,))


def _with_interval(plant: Plant, root: DrawnRoot) -> Plant:
    def change(trait: TraitValue) -> TraitValue:
        if trait.trait != "primary_root_length" or math.isnan(trait.value):
            return trait
        half = root.half_width_mm
        interval = None if half is None else (trait.value - half, trait.value + half)
        return trait.model_copy(update={"interval": interval, "quality": root.quality})

    return plant.model_copy(update={"traits": tuple(change(trait) for trait in plant.traits)})


def with_versions(found: Phenotype, version: str) -> Phenotype:
    """Return the phenotype as if other model versions had measured it."""
    models = tuple(model.model_copy(update={"version": version}) for model in found.provenance.models)
    return found.model_copy(update={"provenance": found.provenance.model_copy(update={"models": models})})
