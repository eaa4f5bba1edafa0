"""CPU time of the experiment store: insertion of trait rows, and the wide table of 10,000 plants.

    python benchmarks/store.py [--rows 1000000] [--postgresql-url URL --password-path FILE]

It prints one line for each database, and their ratios. Plants have the traits of a seedling that is drawn by hand.
"""

import argparse
import hashlib
import io
import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.sample_phenotypes import image_metadata, phenotype, seedling
from thale.experiments.address import StoreAddress
from thale.experiments.images import NewImage
from thale.experiments.measurement_key import measurement_id
from thale.experiments.measurements import prepare_measurement
from thale.experiments.store import ExperimentStore
from thale.experiments.tables import write_table
from thale.schemas.experiment import MeasurementParameters

PLANTS_PER_IMAGE = 5
TABLE_PLANTS = 10_000


def cpu_s() -> float:
    """Return the CPU time of this process in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(action: Callable[[], object]) -> tuple[float, float]:
    """Return CPU seconds and elapsed seconds of an action."""
    cpu, started = cpu_s(), time.monotonic()
    action()
    return cpu_s() - cpu, time.monotonic() - started


def fill(store: ExperimentStore, experiment: str, first: int, images: int) -> None:
    """Add images with five plants each to an experiment."""
    found = phenotype(*(seedling(number, 60.0 * number) for number in range(1, PLANTS_PER_IMAGE + 1)))
    for number in range(first, first + images):
        data = f"image {number}".encode()
        metadata = image_metadata(f"plate_{number}.png", hashlib.sha256(data).hexdigest())
        named = found.model_copy(update={"image": metadata})
        key = measurement_id(metadata.sha256, ("1",), "", "1")
        image = NewImage(metadata, data, f"plate_{number}.png", f"plate_{number}")
        store.images.add(experiment, image, prepare_measurement(key, named, MeasurementParameters()))


def run(address: StoreAddress, rows: int) -> tuple[float, float]:
    """Return the CPU seconds per 1,000 inserted trait rows, and those of the table."""
    sample = phenotype(*(seedling(number, 60.0 * number) for number in range(1, PLANTS_PER_IMAGE + 1)))
    rows_per_image = len(sample.traits) + sum(len(plant.traits) for plant in sample.plants)
    table_images = TABLE_PLANTS // PLANTS_PER_IMAGE
    store = ExperimentStore.open(address)
    store.experiments.create("table", "", "local")
    store.experiments.create("others", "", "local")
    others = max(0, math.ceil(rows / rows_per_image) - table_images)
    cpu, elapsed = measure(lambda: (fill(store, "table", 0, table_images), fill(store, "others", table_images, others)))
    inserted = (table_images + others) * rows_per_image
    tables = [measure(lambda: write_table(store.database, "table", "wide", io.StringIO())) for _ in range(3)]
    table_cpu, table_elapsed = min(tables)
    store.close()
    name = "SQLite" if address.database_url is None else "PostgreSQL"
    print(  # noqa: T201
        f"{name}: {inserted} trait rows in {elapsed:.0f} s ({cpu:.0f} s of CPU time); "
        f"wide table of {TABLE_PLANTS} plants in {table_elapsed:.2f} s ({table_cpu:.2f} s of CPU time)"
    )
    return cpu / inserted * 1000, table_cpu


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgresql-url")
    parser.add_argument("--password-path", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        insert, table = run(StoreAddress(Path(folder) / "sqlite"), options.rows)
        if options.postgresql_url is not None:
            address = StoreAddress(Path(folder) / "postgresql", options.postgresql_url, options.password_path)
            other_insert, other_table = run(address, options.rows)
            print(f"PostgreSQL / SQLite: insert {other_insert / insert:.2f}, table {other_table / table:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
