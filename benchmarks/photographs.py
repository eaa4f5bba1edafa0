"""Turn labelled plate photographs into a folder that `thale-models evaluate` reads.

Expects, for each photograph NAME.jpg, the labels NAME_pseudomask.png (0 background, 1 root, 2 shoot) and
NAME_pseudolandmarks.json (plants with root_base, primary_tip and lateral_tip_candidates, in pixels). Such labels
were made with a ridge filter and checked by eye: they are a yardstick, not the truth, and the lateral tips among them
are candidates. Plants, scale and the total root length can be judged by them.

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
"""Outer side of each plate, read off the photograph by eye at full resolution and corrected for its tilt."""


def main() -> None:
    """Write the folder."""
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
    """Copy one photograph and its labels, and return its row of the manifest."""
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
    """Return the labels' landmarks as COCO: an annotation for each, its category the kind."""
    kinds = ("root_base", "primary_tip", "lateral_tip")
    marks = [
        (kind, point)
        for plant in labels["plants"]
        for kind, points in zip(
            kinds, ([plant["root_base"]], [plant["primary_tip"]], plant["lateral_tip_candidates"]), strict=True
        )
        for point in points
    ]
    annotations = [
        {"id": number, "image_id": 1, "category_id": kinds.index(kind) + 1, "keypoints": [*point, 2]}
        for number, (kind, point) in enumerate(marks, start=1)
    ]
    categories = [{"id": index + 1, "name": kind, "keypoints": [kind]} for index, kind in enumerate(kinds)]
    return {"images": [{"id": 1, "file_name": image_name}], "categories": categories, "annotations": annotations}


if __name__ == "__main__":
    main()
