"""Images and measurements for tests of the experiment store, without a model."""

import hashlib
from pathlib import Path

from tests.support.sample_phenotypes import image_metadata, phenotype, seedling
from thale.experiments.address import StoreAddress
from thale.experiments.images import NewImage
from thale.experiments.measurement_key import measurement_id
from thale.experiments.measurements import PreparedMeasurement, prepare_measurement
from thale.experiments.store import ExperimentStore
from thale.schemas import Phenotype, Plant
from thale.schemas.experiment import Job, JobRequest, MeasurementParameters


def new_image(name: str, data: bytes | None = None) -> NewImage:
    """Return an image whose bytes are its name, unless given."""
    data = name.encode() if data is None else data
    return NewImage(
        metadata=image_metadata(name, hashlib.sha256(data).hexdigest()),
        data=data,
        name=name,
        plate=name.partition(".")[0],
    )


def measured(image: NewImage, *plants: Plant) -> Phenotype:
    """Return a phenotype of an image, with two seedlings unless given."""
    found = phenotype(*(plants or (seedling(1, 100.0), seedling(2, 250.0))))
    return found.model_copy(update={"image": image.metadata})


def measurement_of(image: NewImage, *plants: Plant, version: str = "1") -> PreparedMeasurement:
    """Return a measurement of an image by a version of a model."""
    found = measured(image, *plants)
    key = measurement_id(image.metadata.sha256, (version,), found.provenance.config_digest, "1.0.0")
    return prepare_measurement(key, found, MeasurementParameters(mm_per_px=0.1))


def failed_job(store: ExperimentStore, images: int) -> Job:
    """Return the finished job of a new experiment `a` whose images have all failed."""
    store.experiments.create("a", "", "local")
    for number in range(images):
        store.images.add("a", new_image(f"a {number}.jpg"), None)
    job = store.jobs.submit(JobRequest(experiment="a", mm_per_px=0.1), "local")
    while (claimed := store.claims.claim("w")) is not None:
        store.claims.fail(claimed, "it is damaged", is_permanent=True)
    return job


def store_sample(folder: Path, experiment: str) -> str:
    """Add an image with two plants to an experiment of a SQLite store, and return its measurement."""
    store = ExperimentStore.open(StoreAddress(folder))
    try:
        image = new_image(f"sample of {experiment}.png")
        measurement = measurement_of(image, version=experiment)
        store.images.add(experiment, image, measurement)
        return measurement.id
    finally:
        store.close()
