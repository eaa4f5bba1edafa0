"""Readers of label files: class-index PNG, COCO polygons, RLE and keypoints, RSML.

Every reader raises AnnotationError with a message that names the problem in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask
from pydantic import BaseModel, ValidationError

from thale.errors import AnnotationError
from thale.exports import rsml


@dataclass(frozen=True)
class Keypoint:
    """One labelled landmark in source pixels."""

    kind: str
    x: float
    y: float


class _Image(BaseModel):
    id: int
    file_name: str = ""
    width: int | None = None
    height: int | None = None

    def check_size(self, width: int, height: int) -> None:
        """Raise AnnotationError if the labels are for an image of another size, and therefore at other positions."""
        if not self.width or not self.height or (self.width, self.height) == (width, height):
            return
        problem = f"labels are for {self.width} x {self.height} px, the image is {width} x {height}"
        if (self.width, self.height) == (height, width):
            raise AnnotationError(
                f"{problem}: width and height are exchanged. Export the labels of the image with its EXIF "
                "orientation applied"
            )
        raise AnnotationError(f"{problem}: export the labels of this image in its full size")


class _Category(BaseModel):
    id: int
    name: str
    keypoints: tuple[str, ...] = ()


class _Annotation(BaseModel):
    id: int | None = None
    image_id: int
    category_id: int
    keypoints: tuple[float, ...] = ()
    segmentation: Any = None


class _Coco(BaseModel):
    """The parts of a COCO file that are read. Other fields are ignored."""

    images: tuple[_Image, ...]
    categories: tuple[_Category, ...]
    annotations: tuple[_Annotation, ...]

    def annotations_of_image(self, name: str, width: int, height: int) -> list[tuple[_Category, _Annotation]]:
        """Return the annotations of the image with a file name and a size (px), each with its category."""
        images = [image for image in self.images if len(self.images) == 1 or Path(image.file_name).name == name]
        if len(images) != 1:
            raise AnnotationError(
                f"describes {len(images)} images with the file name {name!r}; exactly one is required"
            )
        images[0].check_size(width, height)
        categories = {category.id: category for category in self.categories}
        image_annotations = [annotation for annotation in self.annotations if annotation.image_id == images[0].id]
        for annotation in image_annotations:
            if annotation.category_id not in categories:
                raise AnnotationError(
                    f"annotation {annotation.id} has category {annotation.category_id}, which the file does not define"
                )
        return [(categories[annotation.category_id], annotation) for annotation in image_annotations]


def read_mask(path: Path, image_name: str, classes: tuple[str, ...], height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask of an image, uint8 HW, as indices into `classes`.

    Args:
        path: PNG of class indices, or COCO JSON with polygons or RLE.
        image_name: File name of the image, its key in a COCO file with several images.
        classes: The names of the classes, background first.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Raises:
        AnnotationError: If the file cannot be read, has another size, or contains an unknown class.
    """
    if path.suffix.lower() == ".json":
        return _mask_from_coco(_read_coco(path), image_name, classes, height, width)
    mask = _read_index_mask(path)
    if mask.shape != (height, width):
        raise AnnotationError(f"has {mask.shape[1]} x {mask.shape[0]} px, but its image has {width} x {height} px")
    unknown = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[len(classes) :]) + len(classes)
    if len(unknown):
        unknown_list = ", ".join(map(str, unknown))
        raise AnnotationError(
            f"contains class {unknown_list}; the classes are 0 to {len(classes) - 1} ({', '.join(classes)})"
        )
    return mask


def _read_index_mask(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P", "1"):
                raise AnnotationError(f"is a {image.mode} image; a mask has one channel of class indices (8 bit)")
            return np.asarray(image).astype(np.uint8)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"cannot be read as an image: {error}") from error


def read_keypoints(
    path: Path, image_name: str, kinds: tuple[str, ...], height: int, width: int
) -> tuple[Keypoint, ...]:
    """Return the landmarks of an image.

    Args:
        path: RSML, or COCO keypoints JSON. In COCO, the kind is the name of a keypoint, or the category of an
            annotation with one landmark.
        image_name: File name of the image, its key in a COCO file with several images.
        kinds: The allowed landmark kinds.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Raises:
        AnnotationError: If the file cannot be read, is for an image of another size, or contains an unknown kind.
    """
    if path.suffix.lower() == ".rsml":
        return tuple(_keypoints_from_rsml(path))
    keypoints = []
    for category, annotation in _read_coco(path).annotations_of_image(image_name, width, height):
        names, values = category.keypoints or (category.name,), annotation.keypoints
        if len(values) != 3 * len(names):
            raise AnnotationError(
                f"annotation {annotation.id} needs x, y and visibility for each of {', '.join(names)}"
            )
        for name, x, y, visibility in zip(names, values[::3], values[1::3], values[2::3], strict=True):
            if name not in kinds:
                raise AnnotationError(f"contains a landmark {name!r}; the kinds are {', '.join(kinds)}")
            if visibility > 0:
                keypoints.append(Keypoint(name, x, y))
    return tuple(keypoints)


def _keypoints_from_rsml(path: Path) -> Iterator[Keypoint]:
    """Yield the base and tip of each primary root, and the tips of its laterals of any order."""
    try:
        plants = rsml.read(path.read_bytes()).plants
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error}") from error
    for primary in (root for plant in plants for root in plant.roots if root.points):
        yield Keypoint("root_base", *primary.points[0])
        yield Keypoint("primary_tip", *primary.points[-1])
        laterals = list(primary.roots)
        while laterals:
            lateral = laterals.pop()
            laterals += lateral.roots
            if lateral.points:
                yield Keypoint("lateral_tip", *lateral.points[-1])


def _read_coco(path: Path) -> _Coco:
    try:
        return _Coco.model_validate_json(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = ".".join(map(str, first["loc"]))
        raise AnnotationError(
            f"is not a valid COCO file: {location + ': ' if location else ''}{first['msg']}"
        ) from error


def _mask_from_coco(
    coco: _Coco, image_name: str, classes: tuple[str, ...], height: int, width: int
) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    for category, annotation in coco.annotations_of_image(image_name, width, height):
        if category.name not in classes:
            raise AnnotationError(f"contains a category {category.name!r}; the classes are {', '.join(classes)}")
        mask[_draw_annotation(annotation, height, width)] = classes.index(category.name)
    return mask


def _draw_annotation(annotation: _Annotation, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of one annotation: a list of polygons, or RLE as a list of runs or as compressed text."""
    shape = annotation.segmentation
    try:
        if isinstance(shape, list):
            return _draw_polygons(shape, height, width)
        if not isinstance(shape, dict) or list(shape.get("size", ())) != [height, width]:
            raise ValueError(f"it is neither polygons nor RLE of {height} x {width} (height, width)")
        counts = shape.get("counts")
        return _decode_runs(_decompress_rle(counts) if isinstance(counts, str) else counts, height, width)
    except (TypeError, ValueError, OverflowError) as error:
        raise AnnotationError(f"annotation {annotation.id} has a region that cannot be rasterised: {error}") from error


def _draw_polygons(polygons: list[list[float]], height: int, width: int) -> NDArray[np.bool_]:
    """Rasterise polygons with pycocotools. It does not validate its input, so invalid polygons are rejected here."""
    extent = np.array([width, height])
    for polygon in polygons:
        points_N2 = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(points_N2) < 3:
            raise ValueError("a polygon needs at least 3 points")
        if not ((points_N2 >= -extent) & (points_N2 <= 2 * extent)).all():
            raise ValueError("a polygon lies far outside the image")
    if not polygons:
        raise ValueError("it has no polygon")
    rle = coco_mask.merge(coco_mask.frPyObjects([list(map(float, polygon)) for polygon in polygons], height, width))
    return cast(NDArray[np.bool_], coco_mask.decode(rle).astype(bool))


def _decode_runs(counts: Any, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of runs that alternate between outside and inside, column by column."""
    runs = np.asarray(counts)
    if runs.ndim != 1 or runs.dtype.kind != "i" or (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(f"its runs are not integers that add up to {height * width} pixels")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return cast(NDArray[np.bool_], inside.reshape(width, height).T)


def _decompress_rle(text: str) -> list[int]:
    """Return the runs of COCO's compressed RLE.

    A run is a sequence of five-bit groups, the lowest first. A group has bit 32 set if another one follows, and is
    offset by "0". From the fourth run on, the value is the difference to the run two positions before.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - ord("0")
        if not 0 <= group < 64 or shift > 30:
            raise ValueError("its compressed runs are not a COCO RLE")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        signed = value - (1 << shift) if group & 16 else value
        counts.append(signed + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its compressed runs end within a run")
    return counts
