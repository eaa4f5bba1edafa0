"""Labels as people have them: class-index PNG, COCO polygons, RLE and keypoints, RSML.

Every reader raises AnnotationError with a sentence that says what to change in the file.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco_mask

from thale.errors import AnnotationError
from thale.exports import rsml


@dataclass(frozen=True)
class Mark:
    """One labelled landmark in source pixels."""

    kind: str
    x: float
    y: float


def read_mask(path: Path, image_name: str, classes: tuple[str, ...], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image's classes, uint8 HW, as indices into `classes`.

    Args:
        path: PNG of class indices, or COCO JSON with polygons or RLE.
        image_name: The image's file name, by which a COCO file with several images knows it.
        classes: The names of the classes, background first.
        height: Height of the image, in pixels.
        width: Width of the image, in pixels.

    Raises:
        AnnotationError: If the file cannot be read, has another size, or names a class that is not there.
    """
    if path.suffix.lower() == ".json":
        return _coco_mask(_read_json(path), image_name, classes, height, width)
    mask = _index_mask(path)
    if mask.shape != (height, width):
        raise AnnotationError(f"is {mask.shape[1]} x {mask.shape[0]} px, its image is {width} x {height} px")
    unknown = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[len(classes) :]) + len(classes)
    if len(unknown):
        listed = ", ".join(map(str, unknown))
        raise AnnotationError(f"holds class {listed}; the classes are 0 to {len(classes) - 1} ({', '.join(classes)})")
    return mask


def _index_mask(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P", "1"):
                raise AnnotationError(f"is a {image.mode} image; a mask has one channel of class indices (8 bit)")
            return np.asarray(image).astype(np.uint8)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise AnnotationError(f"cannot be read as an image: {error}") from error


def read_marks(path: Path, image_name: str, kinds: tuple[str, ...]) -> tuple[Mark, ...]:
    """Return an image's landmarks of the given kinds.

    Args:
        path: RSML, or COCO keypoints JSON: either keypoint names are kinds, or each annotation is one landmark and its
            category is the kind.
        image_name: The image's file name, by which a COCO file with several images knows it.
        kinds: The kinds of landmark that the recipe knows.

    Raises:
        AnnotationError: If the file cannot be read or holds a kind that is not known.
    """
    if path.suffix.lower() == ".rsml":
        return tuple(_rsml_marks(path))
    coco = _read_json(path)
    keypoints = {category["id"]: category.get("keypoints") or [category["name"]] for category in coco["categories"]}
    marks = []
    for annotation in _of_image(coco, image_name):
        names, values = keypoints.get(annotation.get("category_id"), []), annotation.get("keypoints", [])
        if len(values) != 3 * len(names):
            raise AnnotationError(f"annotation {annotation.get('id')} has no [x, y, visibility] for each keypoint name")
        for name, (x, y, visibility) in zip(names, np.reshape(np.asarray(values, float), (-1, 3)), strict=True):
            if name not in kinds:
                raise AnnotationError(f"holds a landmark {name!r}; the kinds are {', '.join(kinds)}")
            if visibility > 0:
                marks.append(Mark(name, float(x), float(y)))
    return tuple(marks)


def _rsml_marks(path: Path) -> Iterator[Mark]:
    """Yield where primary roots begin, and where they and their laterals of any order end."""
    try:
        plants = rsml.read(path.read_bytes()).plants
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error}") from error
    for primary in (root for plant in plants for root in plant.roots if root.points):
        yield Mark("root_base", *primary.points[0])
        yield Mark("primary_tip", *primary.points[-1])
        laterals = list(primary.roots)
        while laterals:
            lateral = laterals.pop()
            laterals += lateral.roots
            if lateral.points:
                yield Mark("lateral_tip", *lateral.points[-1])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        coco = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"cannot be read as JSON: {error}") from error
    missing = {"images", "annotations", "categories"} - set(coco if isinstance(coco, dict) else ())
    if missing:
        raise AnnotationError(f"is no COCO file: it has no {', '.join(sorted(missing))}")
    return cast(dict[str, Any], coco)


def _of_image(coco: dict[str, Any], image_name: str) -> list[dict[str, Any]]:
    images = coco["images"]
    if len(images) > 1:
        images = [image for image in images if Path(image.get("file_name", "")).name == image_name]
    if len(images) != 1:
        raise AnnotationError(f"describes {len(images)} images with the file name {image_name!r}; it must be one")
    return [annotation for annotation in coco["annotations"] if annotation.get("image_id") == images[0].get("id")]


def _coco_mask(
    coco: dict[str, Any], image_name: str, classes: tuple[str, ...], height: int, width: int
) -> NDArray[np.uint8]:
    names = {category["id"]: category["name"] for category in coco["categories"]}
    mask = np.zeros((height, width), np.uint8)
    for annotation in _of_image(coco, image_name):
        name = names.get(annotation.get("category_id"))
        if name not in classes:
            raise AnnotationError(f"holds a category {name!r}; the classes are {', '.join(classes)}")
        mask[_region(annotation, height, width)] = classes.index(name)
    return mask


def _region(annotation: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of one annotation: a list of polygons, or RLE as a list or compressed."""
    shape = annotation.get("segmentation")
    try:
        if isinstance(shape, list):
            encoded = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
        elif isinstance(shape, dict) and list(shape.get("size", ())) != [height, width]:
            raise AnnotationError(f"annotation {annotation.get('id')} is an RLE of another size than the image")
        elif isinstance(shape, dict) and isinstance(shape["counts"], list):
            encoded = coco_mask.frPyObjects(shape, height, width)
        else:
            encoded = shape
        return cast(NDArray[np.bool_], coco_mask.decode(encoded).astype(bool))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise AnnotationError(f"annotation {annotation.get('id')} holds no polygons and no RLE: {error}") from error
