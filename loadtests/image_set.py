"""Images of the load tests, rendered once and cached in `data/`.

The cost of a whole plate hardly depends on its megapixels. Networks process a plate at a fixed scale, so a whole plate
of one megapixel costs as much as one of twelve. Small images are therefore crops of one or two seedlings at the scale
of the camera, which the client knows and sends.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from thale.host.files import write_atomically

FOLDER = Path(__file__).parents[1] / "data" / "loadtests"
IMAGES_PER_CLASS = 2
"""Images of each size class."""
_SEED = 930_100


@dataclass(frozen=True)
class PlateImage:
    """An image of a request: its file, its size class, and its scale if known."""

    file: Path
    size: str
    mm_per_px: float | None

    @property
    def query(self) -> str:
        """Query string of the request."""
        return "" if self.mm_per_px is None else f"?mm_per_px={self.mm_per_px:.6f}"


@dataclass(frozen=True)
class ImageSpec:
    """Rendering options of a size class: a whole plate, or a square crop of one."""

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
    """Return the images of each size class. The first call renders them in about 15 s, later calls read the cache.

    Args:
        folder: Folder of the cache.
        classes: Names from `CLASSES`.
    """
    return {size: _cached_images(folder, size) or _draw_images(folder, size) for size in classes}


def _cached_images(folder: Path, size: str) -> list[PlateImage]:
    """Return the cached images of a size class; none if they were rendered with other options."""
    listing = folder / f"{size}.json"
    if not listing.exists():
        return []
    cached = json.loads(listing.read_text(encoding="utf-8"))
    if cached.get("spec") != _cache_key(size):
        return []
    images = _IMAGE_LIST.validate_python(cached["images"])
    return images if all(image.file.exists() for image in images) else []


def _draw_images(folder: Path, size: str) -> list[PlateImage]:
    # Lazy import: a load test with cached images, as in CI, does not need the renderer.
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
    listing = {"spec": _cache_key(size), "images": _IMAGE_LIST.dump_python(images, mode="json")}
    write_atomically(folder / f"{size}.json", json.dumps(listing, indent=2).encode())
    return images


def _cache_key(size: str) -> dict[str, object]:
    spec = CLASSES[size]
    return {**asdict(spec), "seed": _SEED, "images": IMAGES_PER_CLASS}
