"""COCO export: organs as masks, landmarks as keypoints, for annotation tools and for training.

The format is https://cocodataset.org/#format-data. An organ is one annotation of the category root, shoot or seed. A
landmark is one annotation of the category of its kind (root_base, primary_tip, lateral_tip, leaf_tip) with one keypoint
of the same name. One annotation per plant is not possible: COCO has a fixed number of keypoints per category, and the
number of lateral tips varies. `plate`, `plant` and `score` are additional fields. Pixel centres are integers.

Every annotation has a segmentation, because `annToMask` of pycocotools and most viewers of masks require one. That of a
landmark is an empty RLE mask. A disc around the point would be an area without a measurement.

COCO's polygons have no holes. If roots enclose an area of agar, the mask is larger than the measured `area`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args

import numpy as np
from pycocotools import mask as coco_mask

from thale.exports.names import image_name
from thale.schemas import ImageMetadata, Landmark, LandmarkKind, Organ, OrganKind, Phenotype

Content = Literal["organs", "landmarks", "all"]
Outline = Literal["polygon", "rle"]

_ORGANS: tuple[str, ...] = get_args(OrganKind)
_LANDMARKS: tuple[str, ...] = get_args(LandmarkKind)
_CATEGORY_IDS = {name: index for index, name in enumerate((*_ORGANS, *_LANDMARKS), 1)}
_VISIBLE = 2
_MIN_CORNERS = 3


def write(phenotypes: Iterable[Phenotype], content: Content = "all", outline: Outline = "polygon") -> bytes:
    """Return a COCO data set, JSON in UTF-8.

    Args:
        phenotypes: One per image. Images with equal names are distinguished by a folder named after their digest.
        content: Annotations to include. A file for training contains either organs or landmarks.
        outline: Format of an organ's segmentation: polygons, or compressed RLE for readers that need masks.
    """
    phenotypes = tuple(phenotypes)
    images = _images([phenotype.image for phenotype in phenotypes])
    annotations: list[dict[str, Any]] = []
    for image, phenotype in zip(images, phenotypes, strict=True):
        for annotation in _annotations(phenotype, content, outline):
            annotations.append({"id": len(annotations) + 1, "image_id": image["id"], **annotation})
    versions = sorted({phenotype.provenance.package_version for phenotype in phenotypes})
    data_set = {
        "info": {
            "description": "Plant organs and landmarks, measured by thale",
            "version": ", ".join(versions),
            "date_created": max((phenotype.provenance.created for phenotype in phenotypes), default=""),
        },
        "licenses": [],
        "images": images,
        "categories": _categories(content),
        "annotations": annotations,
    }
    return json.dumps(data_set, ensure_ascii=False, allow_nan=False).encode()


def _images(images: list[ImageMetadata]) -> list[dict[str, Any]]:
    names = Counter(image_name(image) for image in images)
    counts: Counter[str] = Counter()
    entries = []
    for index, image in enumerate(images, 1):
        name = image_name(image)
        if names[name] > 1:
            folder = image.sha256[:12]
            counts[f"{folder}/{name}"] += 1
            copy_number = counts[f"{folder}/{name}"]
            name = f"{folder}/{name}" if copy_number == 1 else f"{folder}-{copy_number}/{name}"
        entries.append(
            {"id": index, "file_name": name, "width": image.width, "height": image.height, "sha256": image.sha256}
        )
    return entries


def _categories(content: Content) -> list[dict[str, Any]]:
    organs = [{"id": _CATEGORY_IDS[name], "name": name, "supercategory": "organ"} for name in _ORGANS]
    landmarks = [
        {
            "id": _CATEGORY_IDS[name],
            "name": name,
            "supercategory": "landmark",
            "keypoints": [name],
            "skeleton": [],
        }
        for name in _LANDMARKS
    ]
    return [*(organs if content != "landmarks" else []), *(landmarks if content != "organs" else [])]


def _annotations(phenotype: Phenotype, content: Content, outline: Outline) -> Iterator[dict[str, Any]]:
    for plant in phenotype.plants:
        if content != "landmarks":
            for organ in plant.organs:
                yield {"plate": plant.plate, "plant": plant.id, **_organ(organ, phenotype.image, outline)}
        if content != "organs":
            for landmark in plant.landmarks:
                yield {"plate": plant.plate, "plant": plant.id, **_landmark(landmark, phenotype.image)}


def _organ(organ: Organ, image: ImageMetadata, outline: Outline) -> dict[str, Any]:
    """Return the annotation of an organ. Without a valid polygon it has an empty RLE, which every reader accepts."""
    polygons = [list(polygon) for polygon in organ.polygons if len(polygon) >= 2 * _MIN_CORNERS]
    as_polygons = outline == "polygon" and polygons
    return {
        "category_id": _CATEGORY_IDS[organ.kind],
        "segmentation": polygons if as_polygons else _rle(polygons, image.height, image.width),
        "area": organ.area_px,
        "bbox": _box(polygons),
        "iscrowd": 0,
        "score": organ.confidence,
    }


def _rle(polygons: list[list[float]], height: int, width: int) -> dict[str, Any]:
    if polygons:
        encoded = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    else:
        encoded = coco_mask.encode(np.zeros((height, width), np.uint8, order="F"))
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def _box(polygons: list[list[float]]) -> list[float]:
    """Return x, y, width and height of the bounding box of all polygons, or zeros without polygons."""
    xs = [x for polygon in polygons for x in polygon[::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if xs else [0.0, 0.0, 0.0, 0.0]


def _landmark(landmark: Landmark, image: ImageMetadata) -> dict[str, Any]:
    """Return the annotation of a landmark. Its mask is empty: a point has no area, and `annToMask` needs a mask."""
    return {
        "category_id": _CATEGORY_IDS[landmark.kind],
        "keypoints": [landmark.x, landmark.y, _VISIBLE],
        "num_keypoints": 1,
        "segmentation": _rle([], image.height, image.width),
        "bbox": [landmark.x, landmark.y, 0.0, 0.0],
        "area": 0.0,
        "iscrowd": 0,
        "score": landmark.score,
    }
