"""Corrections by a person: the phenotype with corrected roots, whose traits `measure` computes from their polylines.

What the photograph has shown stays as measured: scale, plate, shoots and organs. A plant that no person changed or
checked keeps its traits. A trait that needs the pixels along a changed root is unknown, because they are not here.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from thale.phenotyping.plants import polyline
from thale.phenotyping.plants.insertion_angle import insertion_angles
from thale.phenotyping.rotation import turn_plant, turn_traits_back
from thale.phenotyping.traits.dependencies import limit_by_dependencies, limit_plate_traits
from thale.phenotyping.traits.measure import measure, measure_plate
from thale.phenotyping.traits.table import TRAITS
from thale.schemas import (
    CorrectedPlant,
    CorrectedRoot,
    Flag,
    Landmark,
    Phenotype,
    Plant,
    Plate,
    Root,
    Scale,
    TraitValue,
)

_CORRECTED_FLAG = Flag(code="corrected", message="a person corrected the roots of the plant")
_CHECKED_FLAG = Flag(code="checked", message="a person checked all roots of the plant")
_PLATE_CORRECTED_FLAG = Flag(code="corrected", message="a person corrected the roots of plants on the plate")
_PHOTOGRAPH_NEEDED_FLAG = Flag(
    code="photograph_needed",
    message="the value needs the pixels along the roots, and a person corrected the roots after the measurement",
)
_NO_ROOT_FLAG = Flag(code="no_root", message="a person removed all roots of the plant: its root traits are unknown")

RESOLVED_BY_CHECK = frozenset(
    {"base_inferred", "crossing", "crossing_by_lane", "lateral_longer", "methods_disagree"}
    | {"root_in_other_lane", "root_unassigned", "tip_shared", "tip_unconfirmed"}
)
"""Doubts about the tracing of roots that a person resolves by a look at the photograph."""
_RESOLVED_BY_PRIMARY = {"base_hidden", "base_inferred"}
_RESOLVED_BY_ROOTS = {"no_root", "ungerminated"}
_PIXEL_TRAITS = {"primary_root_diameter", "root_diameter"}
_DRAWN_CONFIDENCE = 1.0


def correct_phenotype(phenotype: Phenotype, plants: Sequence[CorrectedPlant]) -> Phenotype:
    """Return a phenotype with the roots of a correction, and the traits of its plants and plates.

    Args:
        phenotype: The phenotype as measured.
        plants: All plants with their roots. They must be valid (`correction_checks`).
    """
    measured = {plant.id: plant for plant in phenotype.plants}
    corrected = [_correct_plant(plant, measured.get(plant.id), phenotype) for plant in plants]
    is_same = [plant is measured.get(plant.id) for plant in corrected]
    removed = sorted(measured.keys() - {plant.id for plant in plants})
    if all(is_same) and not removed:
        return phenotype
    changed = [
        plant.id for plant, same in zip(corrected, is_same, strict=True) if not same and _CORRECTED_FLAG in plant.flags
    ]
    update: dict[str, object] = {"plants": tuple(corrected), "flags": _image_flags(phenotype.flags, changed, removed)}
    plates = tuple(
        plate.model_copy(
            update={
                "traits": _correct_plate(
                    plate.traits,
                    [plant for plant in phenotype.plants if plant.plate == plate.id],
                    [plant for plant in corrected if plant.plate == plate.id],
                    plate.scale,
                    plate.flags,
                )
            }
        )
        for plate in phenotype.plates
    )
    update["plates"] = plates
    if len(plates) == 1:
        update["traits"] = plates[0].traits
    elif not plates:
        update["traits"] = _correct_plate(
            phenotype.traits, phenotype.plants, corrected, phenotype.scale, phenotype.flags
        )
    return phenotype.model_copy(update=update)


def _image_flags(flags: tuple[Flag, ...], changed: Sequence[int], removed: Sequence[int]) -> tuple[Flag, ...]:
    parts = []
    if changed:
        parts.append(f"corrected the roots of plants {', '.join(map(str, changed))}")
    if removed:
        parts.append(f"removed plants {', '.join(map(str, removed))}")
    kept = tuple(flag for flag in flags if flag.code != "no_plant" or not changed)
    return (*kept, Flag(code="corrected", message=f"a person {' and '.join(parts)}")) if parts else kept


def _correct_plant(corrected: CorrectedPlant, measured: Plant | None, phenotype: Phenotype) -> Plant:
    """Return a plant with its traits, or the measured plant itself if a person neither changed nor checked it."""
    scale, plate, image_flags = _calibration_of(corrected.plate, phenotype)
    before = {} if measured is None else {root.id: root for root in measured.roots}
    roots = _build_roots(corrected.roots, before, scale)
    is_changed = measured is None or roots != measured.roots
    if measured is not None and not is_changed and not corrected.checked:
        return measured
    flags = _plant_flags(measured, roots, is_changed=is_changed, is_checked=corrected.checked)
    if corrected.checked:
        roots = tuple(_without_flags(root, RESOLVED_BY_CHECK) for root in roots)
    plant = Plant(
        id=corrected.id,
        plate=corrected.plate,
        organs=() if measured is None else measured.organs,
        landmarks=() if measured is None else _kept_landmarks(measured, roots),
        roots=roots,
        flags=flags,
    )
    traits = _measure(plant, scale, plate, image_flags, phenotype)
    doubts = () if corrected.checked else image_flags
    graded = _grade(traits, plant, measured, doubts, is_changed=is_changed, is_checked=corrected.checked)
    return plant.model_copy(update={"traits": limit_by_dependencies(graded)})


def _calibration_of(number: int | None, phenotype: Phenotype) -> tuple[Scale, Plate | None, tuple[Flag, ...]]:
    """Return scale, plate and flags of the plate with a number, or those of the image."""
    for plate in phenotype.plates:
        if plate.id == number:
            return plate.scale, plate.plate, plate.flags
    return phenotype.scale, phenotype.plate, phenotype.flags


def _measure(
    plant: Plant, scale: Scale, plate: Plate | None, image_flags: Sequence[Flag], phenotype: Phenotype
) -> tuple[TraitValue, ...]:
    """Measure a plant. Without a plate, the axes are those of the turned image in which it was measured."""
    if plate is not None or phenotype.rotate == 0:
        return measure(plant, scale, plate, image_flags)
    size = (phenotype.image.width, phenotype.image.height)
    traits = measure(turn_plant(plant, phenotype.rotate, *size), scale, None, image_flags)
    return turn_traits_back(traits, phenotype.rotate, *size)


def _build_roots(corrected: Sequence[CorrectedRoot], before: Mapping[str, Root], scale: Scale) -> tuple[Root, ...]:
    """Return the roots. Unchanged ones keep their measurements, and primary roots come before their laterals."""
    by_id = {root.id: root for root in corrected}
    orders = {root.id: _order(root, by_id) for root in corrected}
    is_moved = {root.id: root.id not in before or before[root.id].points != root.points for root in corrected}
    roots = []
    for root in sorted(corrected, key=lambda each: orders[each.id]) if before.keys() != by_id.keys() else corrected:
        measured = before.get(root.id)
        is_turned = measured is None or measured.parent != root.parent or is_moved.get(root.parent or "", False)
        if measured is not None and not is_moved[root.id] and not is_turned:
            order = orders[root.id]
            roots.append(measured if measured.order == order else measured.model_copy(update={"order": order}))
            continue
        parent = None if root.parent is None else by_id[root.parent]
        is_drawn = measured is None or is_moved[root.id]
        roots.append(
            Root(
                id=root.id,
                order=orders[root.id],
                parent=root.parent,
                points=root.points,
                length_px=polyline.length(np.array(root.points)),
                confidence=_DRAWN_CONFIDENCE if is_drawn or measured is None else measured.confidence,
                diameter_px=math.nan if is_drawn or measured is None else measured.diameter_px,
                insertion_angle_deg=_insertion_angle(root, parent, scale),
                flags=() if is_drawn or measured is None or measured.parent != root.parent else measured.flags,
            )
        )
    return tuple(roots)


def _order(root: CorrectedRoot, by_id: Mapping[str, CorrectedRoot]) -> int:
    order, parent = 1, root.parent
    while parent is not None:
        order, parent = order + 1, by_id[parent].parent
    return order


def _insertion_angle(root: CorrectedRoot, parent: CorrectedRoot | None, scale: Scale) -> float:
    if parent is None or not scale.is_known:
        return math.nan
    lines = [polyline.resample(np.array(each.points)) for each in (parent, root)]
    return insertion_angles(lines, [None, 0], 1 / scale.mm_per_px)[1]


def _plant_flags(
    measured: Plant | None, roots: tuple[Root, ...], *, is_changed: bool, is_checked: bool
) -> tuple[Flag, ...]:
    before = () if measured is None else measured.roots
    own = {flag for root in before for flag in root.flags} - {flag for root in roots for flag in root.flags}
    resolved = set(RESOLVED_BY_CHECK) if is_checked else set()
    if _primary_points(before) != _primary_points(roots):
        resolved |= _RESOLVED_BY_PRIMARY
    if roots:
        resolved |= _RESOLVED_BY_ROOTS
    flags = () if measured is None else measured.flags
    kept = tuple(flag for flag in flags if flag not in own and flag.code not in resolved)
    return (
        *kept,
        *((_NO_ROOT_FLAG,) if before and not roots else ()),
        *((_CORRECTED_FLAG,) if is_changed else ()),
        *((_CHECKED_FLAG,) if is_checked else ()),
    )


def _primary_points(roots: Sequence[Root]) -> tuple[tuple[float, float], ...]:
    return next((root.points for root in roots if root.order == 1), ())


def _without_flags(root: Root, codes: frozenset[str]) -> Root:
    kept = tuple(flag for flag in root.flags if flag.code not in codes)
    return root if kept == root.flags else root.model_copy(update={"flags": kept})


def _kept_landmarks(measured: Plant, roots: Sequence[Root]) -> tuple[Landmark, ...]:
    """Return the landmarks without those of ends of roots that moved."""
    ends = {point for root in measured.roots for point in (root.points[0], root.points[-1])}
    kept_ends = ends & {point for root in roots for point in (root.points[0], root.points[-1])}

    def is_kept(x: float, y: float) -> bool:
        return not ends or min(ends, key=lambda end: math.dist(end, (x, y))) in kept_ends

    return tuple(
        landmark for landmark in measured.landmarks if landmark.kind == "leaf_tip" or is_kept(landmark.x, landmark.y)
    )


def _grade(
    traits: Sequence[TraitValue],
    plant: Plant,
    measured: Plant | None,
    image_flags: Sequence[Flag],
    *,
    is_changed: bool,
    is_checked: bool,
) -> tuple[TraitValue, ...]:
    """Return the traits of a corrected or checked plant: those of the shoot as measured, and the reason of each doubt.

    `image_flags` are the flags of the image, or none for a plant that a person has checked.
    """
    before = {} if measured is None else {trait.trait: trait for trait in measured.traits}
    is_base_moved = measured is None or _primary_points(measured.roots)[:1] != _primary_points(plant.roots)[:1]
    graded = []
    for trait in traits:
        was = before.get(trait.trait)
        basis = getattr(TRAITS[trait.trait], "basis", "roots")
        if was is not None and (basis in ("shoot", "leaves") or (basis == "hypocotyl" and not is_base_moved)):
            graded.append(was)
            continue
        result = _mark_pixel_trait(trait) if is_changed else trait
        if was is not None and _is_equal(was.value, result.value):
            result = result.model_copy(update={"interval": None if is_changed else was.interval})
        risks = () if was is None or is_checked else tuple(flag for flag in was.flags if flag.code == "error_likely")
        is_uncalibrated = any(flag.code == "not_calibrated" for flag in image_flags)
        flags = (*result.flags, *risks, *((_CORRECTED_FLAG,) if is_changed else ()))
        is_doubted = result.quality == "ok" and bool(risks or is_uncalibrated)
        graded.append(
            result.model_copy(update={"flags": flags, "quality": "uncertain" if is_doubted else result.quality})
        )
    return tuple(graded)


def _mark_pixel_trait(trait: TraitValue) -> TraitValue:
    if trait.trait == "root_shoot_area_ratio" or (trait.trait in _PIXEL_TRAITS and math.isnan(trait.value)):
        update = {"value": math.nan, "quality": "unknown", "flags": (_PHOTOGRAPH_NEEDED_FLAG,)}
        return trait.model_copy(update=update)
    return trait


def _is_equal(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def _correct_plate(
    measured: Sequence[TraitValue],
    plants_before: Sequence[Plant],
    plants: Sequence[Plant],
    scale: Scale,
    image_flags: Sequence[Flag],
) -> tuple[TraitValue, ...]:
    """Return the totals of a plate. Those that no correction changes stay as measured."""
    if list(plants_before) == list(plants):
        return tuple(measured)
    before = {trait.trait: trait for trait in measured}
    unassigned = before.get("plate_unassigned_root_length")
    unassigned_px = 0.0
    if unassigned is not None and math.isfinite(unassigned.value):
        unassigned_px = unassigned.value / (scale.mm_per_px if scale.is_known else 1.0)
    flags = [flag for flag in image_flags if flag.code != "no_plant" or not plants]
    traits = limit_plate_traits(measure_plate(plants, scale, unassigned_px, flags), [plant.traits for plant in plants])
    is_changed = len(plants) != len(plants_before) or any(_CORRECTED_FLAG in plant.flags for plant in plants)
    is_settled = all(_CHECKED_FLAG in plant.flags for plant in plants)
    return tuple(
        _grade_total(trait, before.get(trait.trait), is_changed=is_changed, is_settled=is_settled) for trait in traits
    )


def _grade_total(trait: TraitValue, was: TraitValue | None, *, is_changed: bool, is_settled: bool) -> TraitValue:
    """Return a total of a plate with the doubts that remain. Unassigned roots and shoots stay as measured."""
    is_same = was is not None and _is_equal(was.value, trait.value)
    if was is not None and (
        trait.trait == "plate_unassigned_root_length" or (trait.trait == "plate_shoot_area" and is_same)
    ):
        return was
    risks = () if was is None or is_settled else tuple(flag for flag in was.flags if flag.code == "error_likely")
    return trait.model_copy(
        update={
            "interval": was.interval if was is not None and is_same and not is_changed else None,
            "quality": "uncertain" if risks and trait.quality == "ok" else trait.quality,
            "flags": (*trait.flags, *risks, *((_PLATE_CORRECTED_FLAG,) if is_changed else ())),
        }
    )
