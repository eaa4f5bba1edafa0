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
A_CLASS = 2
"""Pictures of each class."""
_SEED = 930_100


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent: its file, its class of image size, and what is known of its scale."""

    file: Path
    size: str
    mm_per_px: float | None

    @property
    def query(self) -> str:
        """What is said beside the picture, as a query string."""
        return "" if self.mm_per_px is None else f"?mm_per_px={self.mm_per_px:.6f}"


@dataclass(frozen=True)
class Drawing:
    """How the pictures of a class are drawn: a whole plate of a camera, or a square that is cut out of one."""

    width: int
    height: int
    cut_out: bool = False


CLASSES: Mapping[str, Drawing] = {
    "1mp": Drawing(1000, 1000, cut_out=True),
    "4mp": Drawing(2000, 2000),
    "16mp": Drawing(4288, 2848),
}
_LISTED = TypeAdapter(list[Picture])


def pictures(folder: Path = FOLDER, classes: Sequence[str] = tuple(CLASSES)) -> dict[str, list[Picture]]:
    """Return the pictures of each class, drawn at the first call (about 15 s) and read from then on.

    Args:
        folder: Where they are kept.
        classes: Names out of `CLASSES`.
    """
    return {size: _listed(folder, size) or _drawn(folder, size) for size in classes}


def _listed(folder: Path, size: str) -> list[Picture]:
    """Return the pictures of a class that are there; none where they were drawn after another plan."""
    listing = folder / f"{size}.json"
    if not listing.exists():
        return []
    told = json.loads(listing.read_text(encoding="utf-8"))
    found = _LISTED.validate_python(told["pictures"])
    return found if told["plan"] == _plan(size) and all(picture.file.exists() for picture in found) else []


def _drawn(folder: Path, size: str) -> list[Picture]:
    # Only who draws needs the generator: CI's load, which finds the pictures in its cache, starts without it.
    from thale_models.synthesis.plate import draw_crop, draw_plate

    folder.mkdir(parents=True, exist_ok=True)
    drawing, made = CLASSES[size], []
    for number in range(A_CLASS):
        seed = _SEED + number
        if drawing.cut_out:
            plate = draw_crop(seed, drawing.width, plants=5, jpeg_quality=90)
        else:
            plate = draw_plate(seed, width=drawing.width, height=drawing.height, plants=5, jpeg_quality=90)
        picture = Picture(folder / f"{size}-{number}.jpg", size, plate.mm_per_px if drawing.cut_out else None)
        write_atomically(picture.file, plate.encoded)
        made.append(picture)
    listing = {"plan": _plan(size), "pictures": _LISTED.dump_python(made, mode="json")}
    write_atomically(folder / f"{size}.json", json.dumps(listing, indent=2).encode())
    return made


def _plan(size: str) -> dict[str, object]:
    drawing = CLASSES[size]
    return {**asdict(drawing), "seed": _SEED, "pictures": A_CLASS}
