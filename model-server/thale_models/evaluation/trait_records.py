"""Trait records: the measured and the true value of each trait of a plant, with the features of the error model."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from tqdm import tqdm

import thale.phenotyping
from thale.exports import rsml
from thale.host.files import write_atomically
from thale.monitoring.scoring import match_points
from thale.phenotyping.pipeline import MeasuredPlate, measure_plate_with_features
from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.insertion_angle import insertion_angles
from thale.phenotyping.quality.features import PlantFeatures, plate_features
from thale.phenotyping.traits.measure import measure, measure_plate
from thale.phenotyping.traits.table import PLANT_TRAITS
from thale.schemas import Plant, Plate, Provenance, Root, Scale, Task, Timings, TraitValue
from thale_models.evaluation.ground_truth import numeric_property
from thale_models.evaluation.plate_scores import PLANT_MATCH_RADIUS_MM, LoadedModel
from thale_models.evaluation.prediction_cache import CachedPrediction, cache_folder, predict
from thale_models.evaluation.shoot_areas import SHOOT_AREA, SHOOT_AREA_OF_PLATE, read_mask, with_shoot_areas
from thale_models.synthesis.ground_truth import HYPOCOTYL_LENGTH, LEAF_COUNT

RECORDS_FILE = "trait-records.json"
PLANT_TRAITS_WITH_TRUTH = tuple(trait.name for trait in PLANT_TRAITS if trait.basis in ("primary", "laterals", "roots"))
PLATE_TRAITS_WITH_TRUTH = ("plate_total_root_length", "plate_lateral_root_count", SHOOT_AREA_OF_PLATE)
SHOOT_TRAITS_WITH_TRUTH = ("hypocotyl_length", "leaf_count", SHOOT_AREA)

_SOMETIMES_WITHOUT_TRUTH = (*SHOOT_TRAITS_WITH_TRUTH, "primary_root_diameter", "root_diameter", SHOOT_AREA_OF_PLATE)
UNPOOLED_TRAITS = (*_SOMETIMES_WITHOUT_TRUTH, "lateral_insertion_angle")
"""Traits that the pooled scores leave out: shoots, and traits of roots that are nearly always wrong or unknown, so that
they would improve the scores."""
NO_SHOOTS: Mapping[int, Mapping[str, float]] = MappingProxyType({})

_UNTIMED = Timings(segment_s=0.0, landmarks_s=0.0, plants_s=0.0, total_s=0.0)


@dataclass(frozen=True)
class TraitRecord:
    """The traits of one plant, or of one plate, in one copy of an image.

    `values` has for each trait the measured value, the true value, and the quality by flags. The true value is NaN for
    a plant that does not exist. `flags` has the codes of the flags of each trait.
    """

    plate: str
    copy: int
    plant: int | None
    laterals: int
    features: PlantFeatures
    values: dict[str, tuple[float, float, str]]
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)


def collect_records(
    folders: Sequence[Path], copies: int, models: Mapping[Task, LoadedModel], cache_root: Path | None = None
) -> list[TraitRecord]:
    """Return the records of all plates in folders with a manifest, and of `copies` degraded copies of each.

    Predictions are cached in the folders, or below `cache_root`. Records are cached as well, until the weights or the
    code change. Both are written after each plate, so that a stopped run can resume.

    Raises:
        OSError: If a file cannot be read.
        ImageError: If an image cannot be read.
        AnnotationError: If the RSML of a plate cannot be read.
    """
    records: list[TraitRecord] = []
    for folder in folders:
        cache = cache_folder(folder, models, cache_root)
        with (folder / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row.get("roots")]
        cached = _read_records(cache / RECORDS_FILE)
        for row in tqdm(rows, folder.name, unit="plate"):
            keys = {copy: f"{row['image']}.{copy}" for copy in range(copies + 1)}
            missing = {copy: key for copy, key in keys.items() if key not in cached}
            for copy, key in missing.items():
                cached[key] = list(_plate_records(folder, row, copy, models, cache))
            if missing:
                _write_records(cache / RECORDS_FILE, cached)
            records += [record for key in keys.values() for record in cached[key]]
    return records


def _plate_records(
    folder: Path, row: Mapping[str, str], copy: int, models: Mapping[Task, LoadedModel], cache: Path
) -> Iterator[TraitRecord]:
    """Yield a record for each measured plant of one copy of a plate, and one for the plate."""
    prediction = predict(folder / row["image"], copy, models, cache)
    measured = measure_cached(prediction)
    scale = Scale(mm_per_px=float(row["mm_per_px"]) / prediction.size_factor, source="given")
    document = rsml.read((folder / row["roots"]).read_bytes())
    true_plants = true_plants_of(document, prediction.size_factor, 1 / scale.mm_per_px)
    shoots = true_shoots_of(document, prediction.size_factor * scale.mm_per_px)
    if row.get("mask"):
        shoots = with_shoot_areas(shoots, document, read_mask(folder / row["mask"]), float(row["mm_per_px"]))
    name = f"{folder.name}/{Path(row['image']).stem}"
    yield from compare(name, copy, measured, true_plants, scale, shoots)


def measure_cached(prediction: CachedPrediction) -> MeasuredPlate:
    """Return the phenotype and the features of a cached prediction."""
    models = (prediction.segmentation.meta.model, prediction.landmarks.model)
    provenance = Provenance(models=models, config_digest="evaluation", package_version="0", created="")
    return measure_plate_with_features(
        prediction.image, prediction.segmentation, prediction.landmarks, provenance, _UNTIMED
    )


def true_plants_of(document: rsml.RsmlDocument, size_factor: float, px_per_mm: float = math.nan) -> tuple[Plant, ...]:
    """Return the true plants of an RSML file that have a primary root, in pixels of a copy of the image.

    Without `px_per_mm` of the copy, their insertion angles are unknown.
    """
    plants = []
    for number, plant in enumerate(document.plants, start=1):
        roots = tuple(root for top in plant.roots for root in _true_roots(top, None, 1, size_factor))
        if any(root.order == 1 for root in roots):
            roots = roots if math.isnan(px_per_mm) else _with_insertion_angles(roots, px_per_mm)
            plants.append(Plant(id=number, organs=(), landmarks=(), roots=roots))
    return tuple(plants)


def _with_insertion_angles(roots: Sequence[Root], px_per_mm: float) -> tuple[Root, ...]:
    index = {root.id: number for number, root in enumerate(roots)}
    parents = [None if root.parent is None else index.get(root.parent) for root in roots]
    angles = insertion_angles([polyline.resample(np.array(root.points)) for root in roots], parents, px_per_mm)
    return tuple(
        root.model_copy(update={"insertion_angle_deg": angle}) for root, angle in zip(roots, angles, strict=True)
    )


def true_shoots_of(document: rsml.RsmlDocument, mm_per_px: float) -> dict[int, dict[str, float]]:
    """Return the true hypocotyl length (mm) and leaf count of each plant, by its number in `true_plants_of`.

    Args:
        document: RSML of a synthetic plate. Other files have no such properties, and give NaN.
        mm_per_px: Scale of the RSML.
    """
    return {
        number: {
            "hypocotyl_length": numeric_property(plant, HYPOCOTYL_LENGTH) * mm_per_px,
            "leaf_count": numeric_property(plant, LEAF_COUNT),
        }
        for number, plant in enumerate(document.plants, start=1)
    }


def _true_roots(root: rsml.RsmlRoot, parent: str | None, order: int, size_factor: float) -> Iterator[Root]:
    if len(root.points) < 2:
        return
    points_N2 = (np.array(root.points) + 0.5) * size_factor - 0.5
    length_px = float(np.hypot(*np.diff(points_N2, axis=0).T).sum())
    points = tuple((float(x), float(y)) for x, y in points_N2)
    diameters = [f.samples[0].value for f in root.functions if f.name == "diameter" and f.samples]
    yield Root(
        **{"id": root.id, "order": order, "parent": parent, "points": points, "length_px": length_px},
        confidence=1.0,
        diameter_px=diameters[0] * size_factor if diameters else math.nan,
    )
    for child in root.roots:
        yield from _true_roots(child, root.id, order + 1, size_factor)


def compare(
    name: str,
    copy: int,
    measured: MeasuredPlate,
    true_plants: Sequence[Plant],
    scale: Scale,
    shoots: Mapping[int, Mapping[str, float]] = NO_SHOOTS,
) -> Iterator[TraitRecord]:
    """Yield the records of a measured plate. Plants are matched by their root bases.

    `shoots` has the true traits of shoots by the id of a true plant. Without them, the records have no such traits.
    """
    phenotype = measured.phenotype
    if not phenotype.scale.is_known:
        return
    for plant, true in match_plants(phenotype.plants, true_plants, scale):
        true_values = {} if true is None else true_plant_values(true, scale, phenotype.plate)
        true_values |= {} if true is None else shoots.get(true.id, {})
        laterals = 0 if true is None else sum(root.order > 1 for root in true.roots)
        features = measured.features[plant.id]
        names = {*PLANT_TRAITS_WITH_TRUTH, *(SHOOT_TRAITS_WITH_TRUTH if shoots else ())}
        traits = [trait for trait in plant.traits if trait.trait in names - unknown_in_truth(true_values)]
        yield TraitRecord(name, copy, plant.id, laterals, features, _pair(traits, true_values), _flag_codes(traits))
    means = plate_features(measured.features)
    if means is not None:
        areas = [shoot[SHOOT_AREA] for shoot in shoots.values() if SHOOT_AREA in shoot]
        true_totals = {**true_plate_values(true_plants, scale), SHOOT_AREA_OF_PLATE: sum(areas) if areas else math.nan}
        laterals = sum(root.order > 1 for plant in true_plants for root in plant.roots)
        stated = set(PLATE_TRAITS_WITH_TRUTH) - unknown_in_truth(true_totals)
        totals = [trait for trait in phenotype.traits if trait.trait in stated]
        yield TraitRecord(name, copy, None, laterals, means, _pair(totals, true_totals), _flag_codes(totals))


def match_plants(
    plants: Sequence[Plant], true_plants: Sequence[Plant], scale: Scale
) -> list[tuple[Plant, Plant | None]]:
    """Return each measured plant with a primary root, and the true plant whose root base is nearest.

    The true plant is None if no root base is within 6 mm. `scale` is the true scale.
    """
    rooted = [plant for plant in plants if any(root.order == 1 for root in plant.roots)]
    bases, true_bases = (np.array([_base(plant) for plant in each]).reshape(-1, 2) for each in (rooted, true_plants))
    pairs = dict(match_points(bases, true_bases, PLANT_MATCH_RADIUS_MM / scale.mm_per_px))
    return [(plant, true_plants[pairs[index]] if index in pairs else None) for index, plant in enumerate(rooted)]


def true_plant_values(true: Plant, scale: Scale, plate: Plate | None) -> dict[str, float]:
    """Return the true values of the traits of a plant. `plate` is the detected plate, for positions on it."""
    return {trait.trait: trait.value for trait in measure(true, scale, plate)}


def unknown_in_truth(true_values: Mapping[str, float]) -> set[str]:
    """Return the traits that the ground truth of an existing plant does not state. Empty if the plant does not exist.

    Other traits without a true value are wrong: a plant without true laterals has no mean length of laterals.
    """
    return {name for name in _SOMETIMES_WITHOUT_TRUTH if true_values and math.isnan(true_values.get(name, math.nan))}


def true_plate_values(true_plants: Sequence[Plant], scale: Scale) -> dict[str, float]:
    """Return the true values of the traits of a plate."""
    return {trait.trait: trait.value for trait in measure_plate(true_plants, scale)}


def _base(plant: Plant) -> tuple[float, float]:
    return next(root.points[0] for root in plant.roots if root.order == 1)


def _pair(traits: Sequence[TraitValue], true: Mapping[str, float]) -> dict[str, tuple[float, float, str]]:
    return {
        trait.trait: (trait.value, true.get(trait.trait, math.nan), trait.quality)
        for trait in traits
        if trait.quality != "unknown"
    }


def _flag_codes(traits: Sequence[TraitValue]) -> dict[str, tuple[str, ...]]:
    return {trait.trait: tuple(dict.fromkeys(flag.code for flag in trait.flags)) for trait in traits}


def _code_digest() -> str:
    """Return the digest of the code that computes traits and features."""
    digest = hashlib.sha256()
    for root in thale.phenotyping.__path__:
        for path in sorted(Path(root).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def _read_records(path: Path) -> dict[str, list[TraitRecord]]:
    """Return the cached records by image and copy; none if the code changed."""
    if not path.exists() or (document := json.loads(path.read_text(encoding="utf-8")))["code"] != _code_digest():
        return {}
    return {key: [TraitRecord(**record) for record in records] for key, records in document["records"].items()}


def _write_records(path: Path, cached: Mapping[str, Sequence[TraitRecord]]) -> None:
    records = {key: [asdict(record) for record in plate_records] for key, plate_records in cached.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"code": _code_digest(), "records": records}).encode())
