"""Calibrated quality: applies the error model to measured traits, after the flags and before the dependencies.

Where the error model has a trait, its risk decides the quality. A flag of evidence that the model uses as a feature
informs only. Any other flag, such as one of the gate, keeps the value `uncertain` (ADR 0127).
"""

from collections.abc import Mapping, Sequence

from thale.phenotyping.quality.error_model import ErrorModel
from thale.phenotyping.quality.features import PlantFeatures, plate_features
from thale.phenotyping.traits.dependencies import limit_by_dependencies, limit_plate_traits
from thale.schemas import Flag, Phenotype, Plant, TraitValue

_RISK_FLAG = Flag(
    code="error_likely",
    message="the error model expects that the value may be wrong by more than the tolerance: check the overlay",
)
_UNCALIBRATED_FLAG = Flag(
    code="not_calibrated",
    message="no error model was fitted for these weights, so no value is certain: run `thale-models fit-error-model`",
)


def grade_plants(
    plants: Sequence[Plant], features: Mapping[int, PlantFeatures], model: ErrorModel | None
) -> tuple[Plant, ...]:
    """Return the plants with the interval and the quality of each trait.

    Args:
        plants: Plants with traits, whose quality follows from flags.
        features: Features by plant id. Plants without features have no root.
        model: The error model. None adds no interval.
    """
    graded = []
    for plant in plants:
        traits: Sequence[TraitValue] = plant.traits
        if model is not None and plant.id in features:
            traits = grade_traits(traits, model.risks(features[plant.id]), model)
        graded.append(plant.model_copy(update={"traits": limit_by_dependencies(traits)}))
    return tuple(graded)


def grade_plate(
    traits: Sequence[TraitValue],
    plants: Sequence[Plant],
    features: Mapping[int, PlantFeatures],
    model: ErrorModel | None,
) -> tuple[TraitValue, ...]:
    """Return the traits of a plate with intervals and quality, from the mean features of its graded plants."""
    means = plate_features(features)
    if model is not None and means is not None:
        traits = grade_traits(traits, model.risks(means), model)
    return limit_plate_traits(traits, [plant.traits for plant in plants])


def grade_traits(traits: Sequence[TraitValue], risks: Mapping[str, float], model: ErrorModel) -> tuple[TraitValue, ...]:
    """Return traits of one plant or plate with intervals, and with the quality by flags and risk."""
    return tuple(_grade_trait(trait, risks[trait.trait], model) if trait.trait in risks else trait for trait in traits)


def _grade_trait(trait: TraitValue, risk: float, model: ErrorModel) -> TraitValue:
    if trait.quality == "unknown":
        return trait
    trait_model = model.traits[trait.trait]
    graded = trait.model_copy(update={"interval": trait_model.interval(trait.trait, trait.value, risk)})
    if risk > trait_model.max_ok_risk:
        return graded.model_copy(update={"quality": "uncertain", "flags": (*trait.flags, _RISK_FLAG)})
    return graded if _is_doubted(trait, model) else graded.model_copy(update={"quality": "ok"})


def _is_doubted(trait: TraitValue, model: ErrorModel) -> bool:
    """Return True if a trait is uncertain because of a flag whose evidence the model does not have."""
    return trait.quality != "ok" and any(flag.code not in model.evidence_flags for flag in trait.flags)


def mark_uncalibrated(phenotype: Phenotype) -> Phenotype:
    """Return the phenotype without intervals, flagged `not_calibrated`, with `uncertain` in place of `ok`."""
    plants = tuple(
        plant.model_copy(update={"traits": tuple(map(_mark_trait, plant.traits))}) for plant in phenotype.plants
    )
    return phenotype.model_copy(
        update={
            "plants": plants,
            "traits": tuple(map(_mark_trait, phenotype.traits)),
            "flags": (*phenotype.flags, _UNCALIBRATED_FLAG),
        }
    )


def _mark_trait(trait: TraitValue) -> TraitValue:
    quality = "uncertain" if trait.quality == "ok" else trait.quality
    return trait.model_copy(update={"interval": None, "quality": quality})
