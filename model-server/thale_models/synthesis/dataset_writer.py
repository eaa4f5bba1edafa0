"""Writer of training data: renders synthetic plates into a folder, and resumes a stopped run.

The folder has `images/`, `masks/` (PNG of class indices), `landmarks/` (COCO keypoints, see
`ground_truth.landmarks_to_coco`) and `truth/` (RSML of the true roots). `manifest.csv` lists the complete plates, and
`synthesis.json` records the seed and the options.
"""

import csv
import io
import json
import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, cast

import numpy as np
from PIL import Image

from thale.host.files import write_atomically
from thale_models.synthesis import ground_truth
from thale_models.synthesis.degradation import degrade_plate, sample_degradation
from thale_models.synthesis.plate import SyntheticPlate, draw_crop, draw_plate
from thale_models.synthesis.plate_spec import Overrides

COLUMNS = ("image", "plant", "split", "mask", "landmarks", "mm_per_px", "roots")
Split = Literal["train", "val", "test"]
ManifestRow = dict[str, str]
_FILE_COLUMNS = ("image", "mask", "landmarks", "roots")

_VALIDATION_INTERVAL = 10


def write_dataset(
    out: Path,
    plates: int,
    seed: int,
    *,
    split: Split | None = None,
    crop_px: int | None = None,
    jobs: int = 1,
    overrides: Overrides | None = None,
    degraded: bool = False,
) -> Path:
    """Write synthetic plates and their ground truth to a folder, and return its manifest.

    Plates in the existing manifest are kept, so a call with a larger number adds plates.

    Args:
        out: The folder, created if it does not exist.
        plates: Number of plates in the folder.
        seed: Plate i depends only on this seed and on i, not on `plates` or `jobs`.
        split: Split of every plate. Default: every tenth plate is val, the others are train.
        crop_px: Size of square crops. None writes whole plates.
        jobs: Number of processes.
        overrides: Fields of `PlateSpec`, the same for every plate.
        degraded: Degrade each photograph (`thale_models.synthesis.degradation`), with its own sample.

    Raises:
        ValueError: If `plates` or `jobs` is less than 1, or the folder has plates of another seed, size or overrides.
    """
    if plates < 1 or jobs < 1:
        raise ValueError(f"plates ({plates}) and jobs ({jobs}) must be at least 1")
    options: dict[str, object] = {
        "seed": seed,
        "crop_px": crop_px,
        "overrides": repr(sorted((overrides or {}).items())),
    }
    _prepare_folder(out, options | ({"degraded": True} if degraded else {}))
    rows = _read_manifest(out)
    _write_manifest(out, rows)
    tasks = [
        (out, index, seed, split or _default_split(index), crop_px, overrides or Overrides(), degraded)
        for index in range(plates)
        if _plate_name(index) not in rows
    ]
    with (out / "manifest.csv").open("a", encoding="utf-8", newline="") as manifest:
        for row in _write_plates(tasks, jobs):
            rows[row["plant"]] = row
            manifest.write(_to_csv([row]))
            manifest.flush()
    _write_manifest(out, rows)
    return out / "manifest.csv"


_Task = tuple[Path, int, int, Split, int | None, Overrides, bool]


def _write_plates(tasks: list[_Task], jobs: int) -> Iterable[ManifestRow]:
    if jobs == 1:
        yield from map(_write_plate, tasks)
        return
    # Spawned processes: a fork of a process with threads, such as a trainer, may deadlock.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_write_plate, tasks)


def _write_plate(task: _Task) -> ManifestRow:
    out, index, seed, split, crop_px, overrides, degraded = task
    plate_seed = int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0])
    plate = draw_plate(plate_seed, **overrides) if crop_px is None else draw_crop(plate_seed, crop_px, **overrides)
    if degraded:
        rng = np.random.default_rng((plate_seed, 1))
        plate = degrade_plate(plate, sample_degradation(rng), rng)
    name = _plate_name(index)
    suffix = "png" if plate.encoded.startswith(b"\x89PNG") else "jpg"
    row = {
        "image": f"images/{name}.{suffix}",
        "plant": name,
        "split": split,
        "mask": f"masks/{name}.png",
        "landmarks": f"landmarks/{name}.json",
        "mm_per_px": repr(plate.mm_per_px),
        "roots": f"truth/{name}.rsml",
    }
    write_atomically(out / row["image"], plate.encoded)
    write_atomically(out / row["mask"], _encode_mask(plate))
    write_atomically(out / row["landmarks"], ground_truth.landmarks_to_coco(plate, Path(row["image"]).name))
    write_atomically(out / row["roots"], ground_truth.roots_to_rsml(plate, Path(row["image"]).name))
    return row


def _encode_mask(plate: SyntheticPlate) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(plate.mask_HW).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _prepare_folder(out: Path, options: dict[str, object]) -> None:
    """Create the folder and record its options, or reject options that differ from the recorded ones."""
    for folder in ("images", "masks", "landmarks", "truth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    path = out / "synthesis.json"
    if path.exists() and (existing := json.loads(path.read_text(encoding="utf-8"))) != options:
        raise ValueError(f"{out} has plates with the options {existing}, not {options}: choose another folder")
    write_atomically(path, json.dumps(options).encode())


def _read_manifest(out: Path) -> dict[str, ManifestRow]:
    """Return the rows of the manifest whose files all exist, by plate."""
    path = out / "manifest.csv"
    if not path.exists():
        return {}
    # A killed run may have left an incomplete last line.
    complete_lines, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    rows = cast(list[ManifestRow], list(csv.DictReader(complete_lines.splitlines())))
    return {row["plant"]: row for row in rows if all((out / row[c]).is_file() for c in _FILE_COLUMNS)}


def _write_manifest(out: Path, rows: dict[str, ManifestRow]) -> None:
    header = ",".join(COLUMNS) + "\n"
    write_atomically(out / "manifest.csv", (header + _to_csv(rows[name] for name in sorted(rows))).encode())


def _to_csv(rows: Iterable[ManifestRow]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _plate_name(index: int) -> str:
    return f"plate-{index:06d}"


def _default_split(index: int) -> Split:
    return "val" if index % _VALIDATION_INTERVAL == _VALIDATION_INTERVAL - 1 else "train"
