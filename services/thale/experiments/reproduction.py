"""Comparison of a stored measurement with a new one of the same image, versions and parameters."""

import math
from collections.abc import Iterator

from thale.phenotyping.plates import split_plates
from thale.schemas import Phenotype, TraitValue
from thale.schemas.experiment import Measurement, Reproduction, TraitDifference

_MAX_DIFFERENCES = 50
_Key = tuple[int | None, int | None, str, str]


def compare_measurements(stored: Measurement, reproduced: Phenotype) -> Reproduction:
    """Return the comparison. Each value of each plant and plate is compared for equality."""
    first, second = dict(_values(stored.phenotype)), dict(_values(reproduced))
    differences: list[TraitDifference] = []
    largest = math.nan
    for key in dict.fromkeys((*first, *second)):
        values = (first.get(key, math.nan), second.get(key, math.nan))
        if all(map(math.isfinite, values)):
            scale = abs(values[0]) or abs(values[1]) or 1.0
            difference = abs(values[1] - values[0]) / scale
            largest = difference if math.isnan(largest) else max(largest, difference)
        is_equal = values[0] == values[1] or all(map(math.isnan, values))
        if not is_equal or (key in first) != (key in second):
            _, plant, trait, unit = key
            differences.append(
                TraitDifference(plant=plant, trait=trait, unit=unit, stored=values[0], reproduced=values[1])
            )
    return Reproduction(
        measurement_id=stored.id,
        is_identical=not differences,
        same_models=stored.models == reproduced.provenance.models,
        same_package_version=stored.package_version == reproduced.provenance.package_version,
        values=len({*first, *second}),
        max_relative_difference=largest,
        differences=tuple(differences[:_MAX_DIFFERENCES]),
    )


def _values(phenotype: Phenotype) -> Iterator[tuple[_Key, float]]:
    for number, part in enumerate(split_plates(phenotype)):
        subjects: list[tuple[int | None, tuple[TraitValue, ...]]] = [(None, part.traits)]
        subjects += [(plant.id, plant.traits) for plant in part.plants]
        for plant, traits in subjects:
            for trait in traits:
                yield (number, plant, trait.trait, trait.unit), trait.value
