"""An experiment with several plates, genotypes and times, for tests of BrAPI and of exports."""

from pathlib import Path

from tests.support.sample_experiments import measurement_of, new_image
from tests.support.sample_phenotypes import seedling
from thale.experiments.address import StoreAddress
from thale.experiments.design import parse_csv
from thale.experiments.store import ExperimentStore
from thale.schemas import Plant

DESIGN = b"plate,plant,genotype,NaCl,replicate\np1,1,col-0,50 mM,1\np1,2,ler,50 mM,1\np2,,ws,,2\n"
COMPLETE_DESIGN = DESIGN.replace(b"p2,,ws,,2", b"p2,,ws,0 mM,2") + b"p3,,col-0,50 mM,1\np1,,,50 mM,1\n"
"""A design table that has all facts of all units."""
NAMES = ("p1_2026-11-20.png", "p1_2026-11-21T10:00:00+01:00.png", "p2.png", "p3.png")


def plant_of(number: int, length_mm: float) -> Plant:
    """Return a seedling with a primary root of a length, at 0.1 mm per pixel."""
    plant = seedling(number, 100.0 * number)
    primary, *laterals = plant.roots
    end = (100.0 * number, 50.0 + 10.0 * length_mm)
    longer = primary.model_copy(update={"points": (*primary.points[:2], end), "length_px": 10.0 * length_mm})
    return plant.model_copy(update={"roots": (longer, *laterals)})


def fill_store(folder: Path, design: bytes = DESIGN) -> str:
    """Store an experiment with three plates, one photographed twice and one not measured. Return its id."""
    store = ExperimentStore.open(StoreAddress(folder))
    try:
        store.experiments.create("other", "", "local")
        experiment = store.experiments.create("Salt 1", "growth on salt", "local").id
        store.experiments.put_design(experiment, parse_csv(design))
        for number, name in enumerate(NAMES):
            image = new_image(name)
            image = type(image)(image.metadata, image.data, name, name[:2])
            plants = (plant_of(1, 10.0 + number), plant_of(2, 20.0 + number))
            store.images.add(experiment, image, measurement_of(image, *plants) if name != "p3.png" else None)
        return experiment
    finally:
        store.close()
