"""Contract of the experiment store, the same for SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.sample_experiments import measured, measurement_of, new_image
from tests.support.sample_phenotypes import seedling
from thale.errors import (
    ExperimentExistsError,
    ExperimentStoreError,
    ParameterError,
    UnknownExperimentError,
    UnknownImageError,
    UnknownMeasurementError,
)
from thale.experiments.design import parse_csv
from thale.experiments.store import ExperimentStore
from thale.schemas.experiment import CorrectionRequest


def test_experiment_is_found_by_id_and_name(store: ExperimentStore) -> None:
    created = store.experiments.create("Salt 1", "with NaCl", "local")
    assert (created.name, created.description, created.images) == ("Salt 1", "with NaCl", 0)
    assert store.experiments.get(created.id) == store.experiments.get("Salt 1") == created
    with pytest.raises(UnknownExperimentError, match="Salt 2"):
        store.experiments.get("Salt 2")


def test_experiment_names_are_unique(store: ExperimentStore) -> None:
    store.experiments.create("Salt 1", "", "local")
    with pytest.raises(ExperimentExistsError, match="Salt 1"):
        store.experiments.create("Salt 1", "", "local")


def test_experiments_are_listed_in_pages(store: ExperimentStore) -> None:
    created = [store.experiments.create(f"experiment {number}", "", "local").id for number in range(5)]
    found, cursor = [], None
    while True:
        page = store.experiments.list(2, cursor)
        found += [experiment.id for experiment in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(created)
    assert len(set(found)) == 5


def test_same_bytes_are_stored_once(store: ExperimentStore) -> None:
    image = new_image("p1.jpg")
    for name in ("a", "b"):
        store.experiments.create(name, "", "local")
        assert store.images.add(name, image, measurement_of(image))[1]
    added, is_new = store.images.add("a", new_image("other name.jpg", image.data), None)
    assert (added.name, is_new) == ("p1.jpg", False)
    assert added.measurement_id == measurement_of(image).id
    assert store.experiments.get("a").measured == 1


def test_measurement_is_never_changed(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p1.jpg")
    first = measurement_of(image)
    store.images.add("a", image, first)
    other_values = measurement_of(image, seedling(1, 30.0))
    assert other_values.id == first.id
    store.images.add("a", image, other_values)
    measurement, digest = store.measurements.get(first.id)
    assert digest == first.row["document_digest"]
    assert len(measurement.phenotype.plants) == 2


def test_measurement_has_the_phenotype_without_its_name(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p1.jpg")
    store.images.add("a", image, measurement_of(image))
    measurement, _ = store.measurements.get(measurement_of(image).id)
    expected = measured(image)
    assert measurement.phenotype.image.name is None
    assert [plant.model_dump_json() for plant in measurement.phenotype.plants] == [
        plant.model_dump_json() for plant in expected.plants
    ]
    assert measurement.models == expected.provenance.models
    assert measurement.parameters.mm_per_px == 0.1


def test_earlier_measurements_stay_listed(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p1.jpg")
    for version in ("1", "2"):
        store.images.add("a", image, measurement_of(image, version=version))
    page = store.measurements.list("a", 10, 0)
    assert [item.is_current for item in page.items] == [False, True]
    assert {item.image for item in page.items} == {"p1.jpg"}
    first = store.measurements.list("a", 1, 0)
    assert first.next_cursor is not None
    assert store.measurements.list("a", 1, int(first.next_cursor)).items == page.items[1:]


def test_deletion_keeps_what_another_experiment_contains(store: ExperimentStore) -> None:
    shared, own = new_image("shared.jpg"), new_image("own.jpg")
    for name, images in {"a": (shared, own), "b": (shared,)}.items():
        store.experiments.create(name, "", "local")
        for image in images:
            store.images.add(name, image, measurement_of(image))
    assert store.experiments.delete("a").images == 1
    assert store.images.read(shared.metadata.sha256) == shared.data
    assert store.measurements.find(measurement_of(shared).id) is not None
    with pytest.raises(UnknownMeasurementError):
        store.measurements.get(measurement_of(own).id)
    with pytest.raises(Exception, match="cannot be read"):
        store.images.read(own.metadata.sha256)
    assert store.experiments.delete("b").images == 1


def test_deleted_bytes_are_stored_again(store: ExperimentStore) -> None:
    image = new_image("p1.jpg")
    for _ in range(2):
        store.experiments.create("a", "", "local")
        store.images.add("a", image, measurement_of(image))
        assert store.images.read(image.metadata.sha256) == image.data
        store.experiments.delete("a")


def test_failed_deletion_takes_no_bytes_of_another_experiment(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion runs after the new owner has found the bytes, and ends between the bytes and its commit."""
    image = new_image("shared.jpg")
    for name in ("a", "b"):
        store.experiments.create(name, "", "local")
    store.images.add("a", image, None)
    blobs = store.images._blobs
    put, remove = blobs.put, blobs.delete

    def remove_and_fail(sha256: str) -> None:
        remove(sha256)
        raise ExperimentStoreError("the network is down")

    def put_then_delete_other(sha256: str, data: bytes) -> None:
        put(sha256, data)
        monkeypatch.setattr(blobs, "put", put)
        with monkeypatch.context() as patch:
            patch.setattr(blobs, "delete", remove_and_fail)
            with pytest.raises(ExperimentStoreError):
                store.experiments.delete("a")

    monkeypatch.setattr(blobs, "put", put_then_delete_other)
    store.images.add("b", image, None)
    assert store.images.read(image.metadata.sha256) == image.data
    assert store.experiments.delete("a").images == 0
    assert store.images.read(image.metadata.sha256) == image.data


def test_concurrent_additions_lose_nothing(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    images = [new_image(f"p{number % 10}.jpg") for number in range(40)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda image: store.images.add("a", image, measurement_of(image)), images))
    assert (store.experiments.get("a").images, store.experiments.get("a").measured) == (10, 10)
    assert [len(store.images.list("a", 4, cursor).items) for cursor in (0, 4, 8)] == [4, 4, 2]


def test_addition_to_an_unknown_experiment_is_refused(store: ExperimentStore) -> None:
    with pytest.raises(UnknownExperimentError):
        store.images.add("a", new_image("p1.jpg"), None)


def test_known_digests_are_found(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p1.jpg")
    store.images.add("a", image, None)
    assert [found.sha256 for found in store.images.find("a", [image.metadata.sha256, "0" * 64])] == [
        image.metadata.sha256
    ]
    with pytest.raises(UnknownImageError):
        store.images.get("a", "0" * 64)


def test_corrections_leave_the_measurement_as_it_is(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p1.jpg")
    measurement = measurement_of(image)
    store.images.add("a", image, measurement)
    plants = [{"id": 1, "roots": [{"id": "1", "points": [[1, 2], [3, 4]]}]}]
    request = CorrectionRequest.model_validate({"reason": "the tip is lower", "plants": plants})
    correction = store.corrections.add(measurement.id, request, "key:4f1c09ab")
    assert store.corrections.list(measurement.id).items == (correction,)
    assert (correction.created_by, correction.plants[0].roots[0].points[1]) == ("key:4f1c09ab", (3, 4))
    assert store.measurements.get(measurement.id)[1] == measurement.row["document_digest"]
    twice = CorrectionRequest.model_validate({"reason": "x", "plants": plants * 2})
    with pytest.raises(ParameterError, match="each one once"):
        store.corrections.add(measurement.id, twice, "local")


def test_design_table_is_replaced_and_matched(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    store.images.add("a", new_image("p1.jpg"), None)
    store.images.add("a", new_image("p9.jpg"), None)
    for text in (b"plate;genotype\np1;col-0\np2;ler\n", b"plate;genotype\np1;ws\np2;ler\n"):
        table = store.experiments.put_design("a", parse_csv(text))
    assert table.columns == ("plate", "genotype")
    assert table.rows == (("p1", "ws"), ("p2", "ler"))
    assert (table.unmatched_rows, table.images_without_row) == (1, 1)
    assert store.experiments.get_design("a") == table
