import pytest

from thale.phenotyping.quality.image_quality import image_quality_flags
from thale.schemas import ImageMetadata, Plant, Root, Scale

METADATA = ImageMetadata(width=640, height=640, format="JPEG", mode="RGB", bits=8, size_bytes=1, sha256="0")
SCALE = Scale(mm_per_px=0.05, source="given")


def plant(dx: float, dy: float) -> Plant:
    """Return a plant with a straight primary root from (300, 300)."""
    root = Root(
        id="1", order=1, points=((300.0, 300.0), (300.0 + dx, 300.0 + dy)), length_px=abs(dx) + abs(dy), confidence=1.0
    )
    return Plant(id=1, organs=(), landmarks=(), roots=(root,))


def codes(image: ImageMetadata = METADATA, scale: Scale = SCALE, plants: tuple[Plant, ...] = ()) -> list[str]:
    return [flag.code for flag in image_quality_flags(image, scale, plants)]


@pytest.mark.parametrize(
    ("quality", "flags"),
    [(39, ["strong_compression"]), (40, ["compression"]), (69, ["compression"]), (70, []), (None, [])],
)
def test_compression_is_flagged(quality: int | None, flags: list[str]) -> None:
    assert codes(METADATA.model_copy(update={"jpeg_quality": quality})) == flags


@pytest.mark.parametrize(
    ("px_per_mm", "flags"), [(5.9, ["very_low_resolution"]), (8.3, ["low_resolution"]), (13.5, []), (25, [])]
)
def test_low_resolution_is_flagged(px_per_mm: float, flags: list[str]) -> None:
    assert codes(scale=Scale(mm_per_px=1 / px_per_mm, source="plate_edge")) == flags


def test_unknown_scale_is_not_low_resolution() -> None:
    assert codes(scale=Scale(mm_per_px=float("nan"), source="none")) == []


@pytest.mark.parametrize(
    ("directions", "flags"),
    [
        ([(0, 200), (20, 200)], []),
        ([(0, -200), (10, -200)], ["roots_grow_upwards"]),
        ([(200, 10), (-200, 10)], ["roots_grow_upwards"]),
        ([(100, 100), (-100, 100)], []),
        ([(0, -200), (0, 200), (0, 200)], []),
        ([(0, -200)], []),  # one root may grow anywhere
        ([(0, -20), (0, -20)], []),  # roots of 1 mm have no direction yet
    ],
    ids=["down", "up", "sideways", "diagonal", "one of three", "one", "short"],
)
def test_turned_image_is_flagged(directions: list[tuple[float, float]], flags: list[str]) -> None:
    assert codes(plants=tuple(plant(*direction) for direction in directions)) == flags
