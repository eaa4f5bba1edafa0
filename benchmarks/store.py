"""Throughput of the experiment store: insertion of trait rows, and the wide table of 10,000 plants.

    python benchmarks/store.py [--rows 1000000] [--only SQLite PostgreSQL]

PostgreSQL is that of Debian, started for the run on this machine, with fsync. Each image has five plants, and is one
transaction, as in a job. The values of all images differ, and each value has an interval.

The peer of the insertion is the driver alone: `executemany` (SQLite) and `COPY` (PostgreSQL) of the same trait rows,
one transaction for each image. The store also writes the bytes of the image, synchronised, and four other tables. The
peer of the table is the driver alone, which reads the same trait rows and writes none of them.
"""

import argparse
import hashlib
import io
import math
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.postgresql_process import INSTALL_HINT, PASSWORD, find_binaries, run_postgresql
from tests.support.sample_phenotypes import image_metadata, phenotype, seedling
from thale.experiments.address import SQLITE_FILE, StoreAddress
from thale.experiments.images import NewImage
from thale.experiments.measurement_key import measurement_id
from thale.experiments.measurements import prepare_measurement
from thale.experiments.store import ExperimentStore
from thale.experiments.tables import write_table
from thale.schemas import Phenotype, TraitValue
from thale.schemas.experiment import MeasurementParameters

PLANTS_PER_IMAGE = 5
TABLE_PLANTS = 10_000
TABLE_RUNS = 5
PEER_ROWS = 200_000
BACKENDS = ("SQLite", "PostgreSQL")
TRAITS = "SELECT subject_id, definition_id, value, interval_low, interval_high, quality FROM traits"
PEER_TABLE = (
    "CREATE TABLE peer (subject_id INTEGER, number INTEGER, definition_id INTEGER, value DOUBLE PRECISION, "
    "interval_low DOUBLE PRECISION, interval_high DOUBLE PRECISION, quality TEXT, flags TEXT, "
    "PRIMARY KEY (subject_id, number))"
)
Row = tuple[int, int, int, float, float, float, str, str]


@dataclass
class Watch:
    """CPU time of this process and elapsed time, summed over several actions."""

    cpu_s: float = 0.0
    elapsed_s: float = 0.0

    def run(self, action: Callable[[], object]) -> None:
        """Run an action and add its times."""
        cpu_s, started_s = time.process_time(), time.monotonic()
        action()
        self.cpu_s += time.process_time() - cpu_s
        self.elapsed_s += time.monotonic() - started_s


def image_phenotype(template: Phenotype, number: int) -> Phenotype:
    """Return the phenotype of an image, with values of its own."""
    generator = random.Random(number)  # noqa: S311 (test data)

    def changed(trait: TraitValue) -> TraitValue:
        value = trait.value * generator.uniform(0.5, 1.5)
        return trait.model_copy(update={"value": value, "interval": (0.9 * value, 1.1 * value)})

    plants = tuple(plant.model_copy(update={"traits": tuple(map(changed, plant.traits))}) for plant in template.plants)
    metadata = image_metadata(f"plate_{number}.png", hashlib.sha256(f"image {number}".encode()).hexdigest())
    return template.model_copy(update={"image": metadata, "plants": plants})


def fill(store: ExperimentStore, experiment: str, numbers: range, template: Phenotype) -> Watch:
    """Add images to an experiment."""
    watch = Watch()
    for number in numbers:
        found = image_phenotype(template, number)
        key = measurement_id(found.image.sha256, ("1",), "", "1")
        image = NewImage(found.image, f"image {number}".encode(), f"plate_{number}.png", f"plate_{number}")
        watch.run(
            lambda image=image, key=key, found=found: store.images.add(  # type: ignore[misc]
                experiment, image, prepare_measurement(key, found, MeasurementParameters())
            )
        )
    return watch


def peer_images(rows_per_image: int) -> Iterator[Sequence[Row]]:
    """Yield the trait rows of one image at a time."""
    for subject in range(PEER_ROWS // rows_per_image):
        value = 10.0 + subject / 7
        yield [
            (subject, number, 1 + number % 25, value + number, 0.9 * value, 1.1 * value, "ok", "")
            for number in range(rows_per_image)
        ]


def insert_by_sqlite(path: Path, rows_per_image: int) -> Watch:
    """Insert trait rows with the driver of SQLite alone."""
    watch = Watch()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", PEER_TABLE):
            connection.execute(statement)

        def insert(rows: Sequence[Row]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO peer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

        for rows in peer_images(rows_per_image):
            watch.run(lambda rows=rows: insert(rows))  # type: ignore[misc]
    return watch


def insert_by_copy(url: str, rows_per_image: int) -> Watch:
    """Insert trait rows with COPY of PostgreSQL."""
    watch = Watch()
    with psycopg.connect(url, password=PASSWORD) as connection:
        connection.execute(PEER_TABLE)  # type: ignore[call-overload]
        connection.commit()

        def insert(rows: Sequence[Row]) -> None:
            with connection.cursor() as cursor, cursor.copy("COPY peer FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            connection.commit()

        for rows in peer_images(rows_per_image):
            watch.run(lambda rows=rows: insert(rows))  # type: ignore[misc]
    return watch


def read_traits(store: ExperimentStore, rows: int) -> Watch:
    """Read trait rows with the driver alone."""
    watch = Watch()
    with closing(store.database.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        watch.run(lambda: (cursor.execute(f"{TRAITS} LIMIT {rows}"), cursor.fetchall()))
    return watch


def run(backend: str, address: StoreAddress, rows: int) -> None:
    """Measure a database and print its figures."""
    template = phenotype(*(seedling(number, 60.0 * number) for number in range(1, PLANTS_PER_IMAGE + 1)))
    rows_per_image = len(template.traits) + sum(len(plant.traits) for plant in template.plants)
    table_images = TABLE_PLANTS // PLANTS_PER_IMAGE
    images = max(table_images, math.ceil(rows / rows_per_image))
    store = ExperimentStore.open(address)
    for name in ("table", "others"):
        store.experiments.create(name, "", "local")
    inserts = [
        fill(store, "table", range(table_images), template),
        fill(store, "others", range(table_images, images), template),
    ]
    inserted, elapsed_s = images * rows_per_image, sum(watch.elapsed_s for watch in inserts)
    if address.database_url is None:
        peer = insert_by_sqlite(address.folder / f"peer-{SQLITE_FILE}", rows_per_image)
    else:
        peer = insert_by_copy(address.database_url, rows_per_image)
    cpu_s = sum(watch.cpu_s for watch in inserts)
    rate, peer_rate = inserted / elapsed_s, PEER_ROWS // rows_per_image * rows_per_image / peer.elapsed_s
    sys.stdout.write(
        f"{backend}: {inserted:,} trait rows in {elapsed_s:.0f} s ({cpu_s:.0f} s of CPU "
        f"time): {rate:,.0f} rows/s; driver alone {peer_rate:,.0f} rows/s ({peer_rate / rate:.1f}x)\n"
    )
    tables = [Watch() for _ in range(TABLE_RUNS)]
    for table in tables:
        table.run(lambda: write_table(store.database, "table", "wide", io.StringIO()))
    fastest = min(tables, key=lambda watch: watch.elapsed_s)
    slowest_s = max(watch.elapsed_s for watch in tables)
    read = read_traits(store, table_images * rows_per_image)
    store.close()
    sys.stdout.write(
        f"{backend}: wide table of {TABLE_PLANTS:,} plants in {fastest.elapsed_s:.2f} s ({fastest.cpu_s:.2f} s of CPU "
        f"time), at most {slowest_s:.2f} s in {TABLE_RUNS} runs; driver alone {read.elapsed_s:.2f} s "
        f"({fastest.elapsed_s / read.elapsed_s:.1f}x)\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="+", choices=BACKENDS, default=BACKENDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp_dir:
        folder = Path(temp_dir)
        if "SQLite" in options.only:
            run("SQLite", StoreAddress(folder / "sqlite"), options.rows)
        if "PostgreSQL" in options.only:
            if find_binaries() is None:
                sys.exit(INSTALL_HINT)
            with run_postgresql(folder / "server", is_durable=True) as server:
                address = StoreAddress(folder / "blobs", server.create_database("store"), server.password_path)
                run("PostgreSQL", address, options.rows)


if __name__ == "__main__":
    main()
