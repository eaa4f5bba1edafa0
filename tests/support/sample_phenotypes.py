"""Phenotypes for tests: a simple seedling with round values, and Hypothesis strategies."""

import itertools
import math
from types import SimpleNamespace

from hypothesis import strategies as st

from thale.phenotyping.traits.measure import measure, measure_plate
from thale.schemas import (
    Flag,
    ImageMetadata,
    Landmark,
    ModelRef,
    Organ,
    Phenotype,
    Plant,
    Plate,
    Point,
    Provenance,
    Root,
    Scale,
    Timings,
)

GIVEN_SCALE = Scale(mm_per_px=0.1, source="given")
NO_SCALE = Scale(mm_per_px=math.nan, source="none")
PLATE = Plate(
    corners=(Point(x=10, y=10), Point(x=390, y=10), Point(x=390, y=290), Point(x=10, y=290)), tilt_deg=0, confidence=0.9
)
UNLOCATED_FLAG = Flag(code="not_focused", message="the photograph is out of focus")
CROSSING_FLAG = Flag(code="crossing", message="two roots cross at 110,160", at=Point(x=110, y=160))


def image_metadata(
    name: str | None = "plate.png", sha256: str = "ab" * 32, width: int = 400, height: int = 300
) -> ImageMetadata:
    return ImageMetadata(
        width=width, height=height, format="PNG", mode="RGB", bits=8, size_bytes=1000, sha256=sha256, name=name
    )


def seedling(number: int = 1, x: float = 100.0, flags: tuple[Flag, ...] = ()) -> Plant:
    """Return a plant with a straight primary root of 200 px, a straight lateral of 50 px and a shoot of 20 x 20 px."""
    primary = Root(
        id=f"{number}",
        order=1,
        points=((x, 50.0), (x, 150.0), (x, 250.0)),
        length_px=200.0,
        confidence=0.9,
        diameter_px=4.0,
        flags=flags,
    )
    lateral = Root(
        id=f"{number}.1",
        order=2,
        parent=f"{number}",
        points=((x, 150.0), (x + 30.0, 190.0)),
        length_px=50.0,
        confidence=0.7,
        diameter_px=3.0,
        insertion_angle_deg=36.9,
    )
    shoot = Organ(
        kind="shoot",
        ontology_id="PO:0009006",
        area_px=400.0,
        area_mm2=4.0,
        confidence=0.95,
        polygons=((x - 10, 20.0, x + 10, 20.0, x + 10, 40.0, x - 10, 40.0),),
    )
    landmarks = (
        Landmark(kind="root_base", x=x, y=50.0, score=0.99),
        Landmark(kind="primary_tip", x=x, y=250.0, score=0.98),
        Landmark(kind="lateral_tip", x=x + 30.0, y=190.0, score=0.9),
    )
    return Plant(id=number, organs=(shoot,), landmarks=landmarks, roots=(primary, lateral), flags=flags)


def phenotype(
    *plants: Plant,
    image: ImageMetadata | None = None,
    scale: Scale = GIVEN_SCALE,
    plate: Plate | None = PLATE,
    flags: tuple[Flag, ...] = (),
) -> Phenotype:
    """Return the phenotype of plants, with traits from `measure`."""
    measured_plants = tuple(plant.model_copy(update={"traits": measure(plant, scale, plate)}) for plant in plants)
    return Phenotype(
        image=image or image_metadata(),
        scale=scale,
        plate=plate,
        plants=measured_plants,
        traits=measure_plate(measured_plants, scale),
        flags=flags,
        provenance=Provenance(
            models=(
                ModelRef(name="plate-seg", version="1.0.0", digest="11" * 32),
                ModelRef(name="plate-landmarks", version="1.2.0", digest="22" * 32),
            ),
            config_digest="33" * 32,
            package_version="0.1.0",
            created="2026-03-01T12:00:00+00:00",
        ),
        timings=Timings(segment_s=1, landmarks_s=1, plants_s=0.5, total_s=2.5),
    )


COORDINATES = st.floats(-50, 5000, allow_nan=False)
NAMES = st.none() | st.text(min_size=1, max_size=30)


@st.composite
def _flags(draw: st.DrawFn) -> tuple[Flag, ...]:
    points = st.none() | st.builds(Point, x=COORDINATES, y=COORDINATES)
    codes = st.sampled_from(["crossing", "base_inferred", "gap"])
    return tuple(draw(st.lists(st.builds(Flag, code=codes, message=st.text(max_size=20), at=points), max_size=2)))


@st.composite
def plants(draw: st.DrawFn, number: int) -> Plant:
    """Draw a plant with up to six roots: one primary, and laterals whose parent is any earlier root."""
    roots: list[Root] = []
    for index in range(draw(st.integers(0, 6))):
        parent = draw(st.sampled_from(roots)) if roots else None
        points = tuple(draw(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=2, max_size=6)))
        roots.append(
            Root(
                id=f"{number}.{index}",
                order=parent.order + 1 if parent else 1,
                parent=parent.id if parent else None,
                points=points,
                length_px=sum(math.dist(a, b) for a, b in itertools.pairwise(points)),
                confidence=draw(st.floats(0, 1)),
                flags=draw(_flags()),
            )
        )
    return seedling(number).model_copy(update={"roots": tuple(roots), "flags": draw(_flags())})


@st.composite
def phenotypes(draw: st.DrawFn) -> Phenotype:
    """Draw a phenotype with up to three plants, with or without a scale, and with an arbitrary file name."""
    generated = [draw(plants(number)) for number in range(1, draw(st.integers(0, 3)) + 1)]
    scale = draw(st.sampled_from([GIVEN_SCALE, NO_SCALE, Scale(mm_per_px=0.0631, source="plate_edge")]))
    image = image_metadata(name=draw(NAMES), sha256=draw(st.sampled_from(["ab" * 32, "cd" * 32])))
    return phenotype(
        *generated, image=image, scale=scale, plate=draw(st.sampled_from([PLATE, None])), flags=draw(_flags())
    )


def served_models() -> list[SimpleNamespace]:
    """Return the answer of `Client.models` for a server whose models measured the sample phenotypes."""
    return [
        SimpleNamespace(
            name=model.name,
            versions=[SimpleNamespace(version=model.version, digest=model.digest, traffic_percent=100.0)],
        )
        for model in phenotype().provenance.models
    ]
