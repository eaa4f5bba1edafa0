"""Tiny training data: a folder of small plates with seedlings of a few strokes."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

MM_PER_PX = 0.25
SIZE_PX = 96
COLUMNS = ("image", "plant", "split", "mask", "landmarks", "mm_per_px")


def write_plate_folder(folder: Path, splits: tuple[str, ...] = ("train",) * 4 + ("val",) * 2) -> list[dict[str, str]]:
    """Write one plate per split with its labels, and the manifest. Returns the rows of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [write_plate(folder, index, split) for index, split in enumerate(splits)]
    write_manifest(folder, rows)
    return rows


def write_plate(folder: Path, index: int, split: str) -> dict[str, str]:
    rng = np.random.default_rng(index)
    image = Image.fromarray(rng.normal(90, 3, (SIZE_PX, SIZE_PX, 3)).clip(0, 255).astype(np.uint8))
    mask = Image.new("L", (SIZE_PX, SIZE_PX))
    keypoints = []
    for x in (24, 68):
        x += int(rng.integers(-6, 7))
        base, tip = (x, 30), (x + int(rng.integers(-5, 6)), 30 + int(rng.integers(25, 50)))
        for canvas, colours in ((image, ((200, 200, 190), (60, 140, 50), (90, 60, 30))), (mask, (1, 2, 3))):
            draw = ImageDraw.Draw(canvas)
            draw.line([base, tip], fill=colours[0], width=3)
            draw.ellipse([x - 8, 14, x + 8, 26], fill=colours[1])
            draw.ellipse([x - 2, 27, x + 2, 31], fill=colours[2])
        keypoints += [("root_base", *base), ("primary_tip", *tip)]
    name = f"plate{index}"
    image.save(folder / f"{name}.png")
    mask.save(folder / f"{name}_mask.png")
    (folder / f"{name}_landmarks.json").write_text(json.dumps(coco_keypoints(f"{name}.png", keypoints)))
    return {
        "image": f"{name}.png",
        "plant": name,
        "split": split,
        "mask": f"{name}_mask.png",
        "landmarks": f"{name}_landmarks.json",
        "mm_per_px": str(MM_PER_PX),
    }


def coco_keypoints(file_name: str, keypoints: list[tuple[str, float, float]]) -> dict[str, object]:
    kinds = ("root_base", "primary_tip", "lateral_tip")
    return {
        "images": [{"id": 1, "file_name": file_name, "width": SIZE_PX, "height": SIZE_PX}],
        "categories": [{"id": number, "name": kind, "keypoints": [kind]} for number, kind in enumerate(kinds, 1)],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": kinds.index(kind) + 1, "keypoints": [x, y, 2]}
            for number, (kind, x, y) in enumerate(keypoints, 1)
        ],
    }


def write_manifest(folder: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
