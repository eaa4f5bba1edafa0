"""Several plates in one image: each is measured as a phenotype of its own, and all are merged into one (ADR 0116)."""

import math
from collections.abc import Sequence

from thale.schemas import Phenotype, Plant, PlateMeasurement, Root, Scale


def merge_plates(phenotypes: Sequence[Phenotype]) -> Phenotype:
    """Return one phenotype of an image from the phenotypes of its plates, in the order of the plates.

    Plants are numbered through the image, and each has the number of its plate. With several plates, the image has no
    plate, no totals and no single scale: those of each plate are in `plates`.
    """
    numbered = [_number_plate(phenotype, number) for number, phenotype in enumerate(phenotypes, 1)]
    first = numbered[0]
    if len(numbered) == 1:
        return first
    plants: list[Plant] = []
    for phenotype in numbered:
        plants += [_renumber_plant(plant, len(plants) + index) for index, plant in enumerate(phenotype.plants, 1)]
    return first.model_copy(
        update={
            "scale": first.scale if first.scale.source == "given" else Scale(mm_per_px=math.nan, source="per_plate"),
            "plate": None,
            "plates": tuple(plate for phenotype in numbered for plate in phenotype.plates),
            "plants": tuple(plants),
            "traits": (),
            "flags": tuple(dict.fromkeys(flag for phenotype in numbered for flag in phenotype.flags)),
        }
    )


def split_plates(phenotype: Phenotype) -> tuple[Phenotype, ...]:
    """Return one phenotype for each plate of an image, for formats with a scale or totals in each row.

    The numbers of the plants do not change. An image with up to one plate is returned as it is.
    """
    if len(phenotype.plates) < 2:
        return (phenotype,)
    return tuple(
        phenotype.model_copy(
            update={
                "scale": measured.scale,
                "plate": measured.plate,
                "plates": (measured,),
                "plants": tuple(plant for plant in phenotype.plants if plant.plate == measured.id),
                "traits": measured.traits,
                "flags": measured.flags,
            }
        )
        for measured in phenotype.plates
    )


def plate_number(phenotype: Phenotype) -> int | None:
    """Return the number of the only plate of a phenotype; None without a plate, or with several."""
    return phenotype.plates[0].id if len(phenotype.plates) == 1 else None


def _number_plate(phenotype: Phenotype, number: int) -> Phenotype:
    """Return a phenotype whose plate and plants have a number; without a plate, they have none."""
    if phenotype.plate is None:
        return phenotype
    measured = PlateMeasurement(
        id=number, plate=phenotype.plate, scale=phenotype.scale, traits=phenotype.traits, flags=phenotype.flags
    )
    plants = tuple(plant.model_copy(update={"plate": number}) for plant in phenotype.plants)
    return phenotype.model_copy(update={"plates": (measured,), "plants": plants})


def _renumber_plant(plant: Plant, number: int) -> Plant:
    roots = tuple(_renumber_root(root, plant.id, number) for root in plant.roots)
    return plant.model_copy(update={"id": number, "roots": roots})


def _renumber_root(root: Root, old: int, new: int) -> Root:
    def renumber(root_id: str) -> str:
        first, separator, rest = root_id.partition(".")
        return f"{new}{separator}{rest}" if first == str(old) else f"{new}.{root_id}"

    parent = None if root.parent is None else renumber(root.parent)
    return root.model_copy(update={"id": renumber(root.id), "parent": parent})
