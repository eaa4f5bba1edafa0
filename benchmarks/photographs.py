"""Convert labelled plate photographs to a data set for `thale-models evaluate`.

Each photograph NAME.jpg requires the labels NAME_pseudomask.png (0 background, 1 root, 2 shoot) and
NAME_pseudolandmarks.json (plants with root_base, primary_tip and lateral_tip_candidates, in pixels). The labels come
from a ridge filter and were checked by eye. They are a reference, not ground truth, and their lateral tips are
candidates. They are sufficient to evaluate plants, scale and total root length.

    python benchmarks/photographs.py FOLDER --out data/photographs
    make evaluate DATA=data/photographs
"""

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

COLUMNS = ("image", "plant", "split", "mask", "landmarks", "mm_per_px")
PLATE_WIDTH_MM = 120.0
PLATE_WIDTH_PX = {"J10_Photo_001": 2320, "J10_Photo_011": 2330, "J11_Photo_001": 2470, "J11_Photo_011": 2477}
"""Outer side of each plate, measured by eye on the photograph at full resolution and corrected for the tilt."""


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder with the photographs and their labels")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = [write_plate(path, arguments.out) for path in sorted(arguments.photographs.glob("*.jpg"))]
    with (arguments.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} photographs in {arguments.out}")  # noqa: T201


def write_plate(photograph: Path, out: Path) -> dict[str, str]:
    """Copy one photograph with its labels, and return its row of the manifest."""
    name = photograph.stem
    labels = json.loads(photograph.with_name(f"{name}_pseudolandmarks.json").read_bytes())
    shutil.copy(photograph, out / photograph.name)
    shutil.copy(photograph.with_name(f"{name}_pseudomask.png"), out / f"{name}_mask.png")
    (out / f"{name}_landmarks.json").write_text(
        json.dumps(to_coco_keypoints(labels, photograph.name)), encoding="utf-8"
    )
    width_px = PLATE_WIDTH_PX.get(name)
    return {
        "image": photograph.name,
        "plant": name,
        "split": "test",
        "mask": f"{name}_mask.png",
        "landmarks": f"{name}_landmarks.json",
        "mm_per_px": repr(PLATE_WIDTH_MM / width_px) if width_px else "",
    }


def to_coco_keypoints(labels: dict[str, list[dict[str, Any]]], image_name: str) -> dict[str, object]:
    """Return the landmarks of the labels as COCO: one annotation per landmark, with its kind as category."""
    kinds = ("root_base", "primary_tip", "lateral_tip")
    landmarks = [
        (kind, point)
        for plant in labels["plants"]
        for kind, points in zip(
            kinds, ([plant["root_base"]], [plant["primary_tip"]], plant["lateral_tip_candidates"]), strict=True
        )
        for point in points
    ]
    annotations = [
        {"id": number, "image_id": 1, "category_id": kinds.index(kind) + 1, "keypoints": [*point, 2]}
        for number, (kind, point) in enumerate(landmarks, start=1)
    ]
    categories = [{"id": index + 1, "name": kind, "keypoints": [kind]} for index, kind in enumerate(kinds)]
    return {"images": [{"id": 1, "file_name": image_name}], "categories": categories, "annotations": annotations}


if __name__ == "__main__":
    main()
