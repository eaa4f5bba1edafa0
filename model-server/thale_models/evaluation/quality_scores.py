"""Scores of quality: coverage of the intervals, wrong values that are `ok`, and right values that are `ok`."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from thale.phenotyping.quality.calibrated_quality import grade_traits
from thale.phenotyping.quality.error_model import ErrorModel
from thale.phenotyping.traits.dependencies import limit_by_dependencies, limit_plate_traits
from thale.phenotyping.traits.tolerance import is_right
from thale.schemas import Flag, Phenotype, Plant, Scale, TraitValue
from thale_models.evaluation.shoot_areas import SHOOT_AREA_OF_PLATE
from thale_models.evaluation.trait_records import (
    PLANT_TRAITS_WITH_TRUTH,
    PLATE_TRAITS_WITH_TRUTH,
    UNPOOLED_TRAITS,
    TraitRecord,
    match_plants,
    true_plant_values,
    true_plate_values,
    unknown_in_truth,
)

COMPLEXITY = {"0 to 4 laterals": (0, 4), "5 to 12": (5, 12), "more": (13, 10**6)}


@dataclass
class QualityScore:
    """Counts of the values of one trait. A value is right within its tolerance (`traits.tolerance`)."""

    values: int = 0
    intervals: int = 0
    covered: int = 0
    wrong: int = 0
    wrong_ok: int = 0
    right_ok: int = 0

    def add(self, trait: TraitValue, true: float) -> None:
        """Count one value. The true value is NaN if the plant does not exist."""
        self.values += 1
        if trait.interval is not None and math.isfinite(true):
            self.intervals += 1
            self.covered += trait.interval[0] <= true <= trait.interval[1]
        if is_right(trait.trait, trait.value, true):
            self.right_ok += trait.quality == "ok"
        else:
            self.wrong += 1
            self.wrong_ok += trait.quality == "ok"

    @property
    def coverage(self) -> float:
        """Share of the intervals that contain the true value."""
        return _ratio(self.covered, self.intervals)

    @property
    def wrong_ok_share(self) -> float:
        """Share of the wrong values that are `ok`."""
        return _ratio(self.wrong_ok, self.wrong)

    @property
    def right_ok_share(self) -> float:
        """Share of the right values that are `ok`."""
        return _ratio(self.right_ok, self.values - self.wrong)


def pool_scores(scores: Iterable[QualityScore]) -> QualityScore:
    """Return the summed counts of several traits."""
    total = QualityScore()
    for score in scores:
        for name in QualityScore.__dataclass_fields__:
            setattr(total, name, getattr(total, name) + getattr(score, name))
    return total


def pool_root_scores(scores: Mapping[str, QualityScore]) -> QualityScore:
    """Return the summed counts of the traits of roots."""
    return pool_scores(score for trait, score in scores.items() if trait not in UNPOOLED_TRAITS)


def add_phenotype(
    scores: dict[str, QualityScore], phenotype: Phenotype, true_plants: Sequence[Plant], scale: Scale
) -> None:
    """Add the root traits of a graded phenotype to the scores of each trait.

    Args:
        scores: Scores by trait, changed in place.
        phenotype: A phenotype with intervals and quality.
        true_plants: The true plants in pixels of the image.
        scale: The true scale.
    """
    if not phenotype.scale.is_known:
        return
    pairs: list[tuple[TraitValue, float]] = []
    for plant, true in match_plants(phenotype.plants, true_plants, scale):
        true_values = {} if true is None else true_plant_values(true, scale, phenotype.plate)
        pairs += [
            (trait, true_values.get(trait.trait, math.nan))
            for trait in plant.traits
            if trait.trait in PLANT_TRAITS_WITH_TRUTH and trait.trait not in unknown_in_truth(true_values)
        ]
    true_totals = true_plate_values(true_plants, scale)
    totals = set(PLATE_TRAITS_WITH_TRUTH) - {SHOOT_AREA_OF_PLATE}  # its true value needs the mask
    pairs += [(trait, true_totals[trait.trait]) for trait in phenotype.traits if trait.trait in totals]
    for trait, true_value in pairs:
        if trait.quality != "unknown":
            scores.setdefault(trait.trait, QualityScore()).add(trait, true_value)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def score_quality(records: Sequence[TraitRecord], model: ErrorModel | None) -> dict[str, QualityScore]:
    """Return the scores of each trait after flags, error model and dependencies.

    Args:
        records: The records to score.
        model: The error model. None: quality by flags and dependencies.
    """
    scores: dict[str, QualityScore] = defaultdict(QualityScore)
    plates: dict[tuple[str, int], list[TraitRecord]] = defaultdict(list)
    for record in records:
        plates[record.plate, record.copy].append(record)
    for plate_records in plates.values():
        plants: list[Sequence[TraitValue]] = []
        for record in sorted(plate_records, key=lambda each: each.plant is None):
            traits: Sequence[TraitValue] = _trait_values(record)
            if model is not None:
                traits = grade_traits(traits, model.risks(record.features), model)
            if record.plant is None:
                traits = limit_plate_traits(traits, plants)
            else:
                plants.append(traits := limit_by_dependencies(traits))
            for trait in traits:
                if trait.quality != "unknown":
                    scores[trait.trait].add(trait, record.values[trait.trait][1])
    return dict(scores)


def _trait_values(record: TraitRecord) -> list[TraitValue]:
    """Return the traits of a record, those with an unknown value as well: others depend on them."""
    values = {name: (math.nan, math.nan, "unknown") for name in record.flags} | record.values
    return [
        TraitValue.model_validate(
            {
                **{"trait": name, "value": value, "unit": "", "ontology_id": None, "quality": quality},
                "flags": tuple(Flag(code=code, message=code) for code in record.flags.get(name, ())),
            }
        )
        for name, (value, _, quality) in values.items()
    ]


def quality_metrics(scores: Mapping[str, QualityScore]) -> dict[str, float]:
    """Return coverage and the shares of `ok`, over the values of all root traits. Empty without values."""
    total = pool_root_scores(scores)
    if not total.values:
        return {}
    return {
        "interval_coverage": total.coverage,
        "wrong_ok_share": total.wrong_ok_share,
        "right_ok_share": total.right_ok_share,
    }


def add_scores(total: dict[str, QualityScore], scores: Mapping[str, QualityScore]) -> None:
    """Add the scores of each trait to the total, in place."""
    for trait, score in scores.items():
        total[trait] = pool_scores([total.get(trait, QualityScore()), score])


def records_by_complexity(records: Sequence[TraitRecord]) -> dict[str, list[TraitRecord]]:
    """Return the records of plants by their true number of laterals. Those of plates are left out."""
    return {
        name: [r for r in records if r.plant is not None and low <= r.laterals <= high]
        for name, (low, high) in COMPLEXITY.items()
    }


def quality_table(scores: Mapping[str, QualityScore]) -> str:
    """Return the scores as aligned text, one line for each trait."""
    rows = {**scores, "all traits of roots": pool_root_scores(scores)}
    lines = [f"{'trait':32} {'n':>5} {'coverage':>9} {'wrong':>6} {'wrong, ok':>10} {'right':>6} {'right, ok':>10}"]
    for name, score in rows.items():
        lines.append(
            f"{name:32} {score.values:5} {_percent(score.coverage):>9} {score.wrong:6} "
            f"{_percent(score.wrong_ok_share):>10} {score.values - score.wrong:6} {_percent(score.right_ok_share):>10}"
        )
    return "\n".join(lines)


def flag_table(records: Sequence[TraitRecord]) -> str:
    """Return for each flag the right and wrong values that have it, as aligned text, and those that have no other."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for record in records:
        for name, (value, true, _) in record.values.items():
            kind = "right" if is_right(name, value, true) else "wrong"
            codes = record.flags.get(name, ())
            for code in codes:
                counts[code][kind] += 1
                counts[code][f"alone_{kind}"] += len(codes) == 1
    lines = [f"{'flag':32} {'right':>6} {'wrong':>6} {'alone, right':>13} {'alone, wrong':>13}"]
    for code, found in sorted(counts.items(), key=lambda item: -item[1]["right"]):
        lines.append(
            f"{code:32} {found['right']:6} {found['wrong']:6} {found['alone_right']:13} {found['alone_wrong']:13}"
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"
