"""The pictures that users of the load tests send: drawn by the generator, once, and kept in `data/`.

What a picture costs is not its megapixels. The nets see a plate at a fixed scale, so a whole plate of one megapixel is
as much work as one of twelve. Small pictures are therefore what they are in the field: a seedling or two cut out of a
plate at the camera's own scale, which whoever cuts them knows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from thale.files import write_atomically

FOLDER = Path(__file__).parents[1] / "data" / "loadtests"
IMAGES_PER_CLASS = 2
"""Pictures of each class."""
_SEED = 930_100


@dataclass(frozen=True)
class PlateImage:
    """A picture as it is sent: its file, its class of image size, and what is known of its scale."""

    file: Path
    size: str
    mm_per_px: float | None

    @property
    def query(self) -> str:
        """What is said beside the picture, as a query string."""
        return "" if self.mm_per_px is None else f"?mm_per_px={self.mm_per_px:.6f}"


@dataclass(frozen=True)
class ImageSpec:
    """How the pictures of a class are drawn: a whole plate of a camera, or a square that is cut out of one."""

    width: int
    height: int
    is_crop: bool = False


CLASSES: Mapping[str, ImageSpec] = {
    "1mp": ImageSpec(1000, 1000, is_crop=True),
    "4mp": ImageSpec(2000, 2000),
    "16mp": ImageSpec(4288, 2848),
}
_IMAGE_LIST = TypeAdapter(list[PlateImage])


def load_images(folder: Path = FOLDER, classes: Sequence[str] = tuple(CLASSES)) -> dict[str, list[PlateImage]]:
    """Return the pictures of each class, drawn at the first call (about 15 s) and read from then on.

    Args:
        folder: Where they are kept.
        classes: Names out of `CLASSES`.
    """
    return {size: _cached_images(folder, size) or _draw_images(folder, size) for size in classes}


def _cached_images(folder: Path, size: str) -> list[PlateImage]:
    """Return the pictures of a class that are there; none where they were drawn after another plan."""
    listing = folder / f"{size}.json"
    if not listing.exists():
        return []
    cached = json.loads(listing.read_text(encoding="utf-8"))
    images = _IMAGE_LIST.validate_python(cached["pictures"])
    return images if cached["plan"] == _cache_key(size) and all(image.file.exists() for image in images) else []


def _draw_images(folder: Path, size: str) -> list[PlateImage]:
    # Only who draws needs the generator: CI's load, which finds the pictures in its cache, starts without it.
    from thale_models.synthesis.plate import draw_crop, draw_plate

    folder.mkdir(parents=True, exist_ok=True)
    spec, images = CLASSES[size], []
    for number in range(IMAGES_PER_CLASS):
        seed = _SEED + number
        if spec.is_crop:
            plate = draw_crop(seed, spec.width, plants=5, jpeg_quality=90)
        else:
            plate = draw_plate(seed, width=spec.width, height=spec.height, plants=5, jpeg_quality=90)
        image = PlateImage(folder / f"{size}-{number}.jpg", size, plate.mm_per_px if spec.is_crop else None)
        write_atomically(image.file, plate.encoded)
        images.append(image)
    listing = {"plan": _cache_key(size), "pictures": _IMAGE_LIST.dump_python(images, mode="json")}
    write_atomically(folder / f"{size}.json", json.dumps(listing, indent=2).encode())
    return images


def _cache_key(size: str) -> dict[str, object]:
    spec = CLASSES[size]
    return {**asdict(spec), "seed": _SEED, "pictures": IMAGES_PER_CLASS}
