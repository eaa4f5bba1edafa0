"""BrAPI objects of both databases: units of photographs with one and several plates, and current measurements."""

import pytest

from tests.support.sample_experiments import measured, measurement_of, new_image
from tests.support.sample_phenotypes import seedling
from thale.experiments.brapi.images import find_image, list_images
from thale.experiments.brapi.observations import list_observations
from thale.experiments.brapi.pages import PageRequest
from thale.experiments.brapi.photograph_time import photograph_time
from thale.experiments.brapi.studies import list_studies
from thale.experiments.brapi.units import list_units
from thale.experiments.brapi.variables import list_variables
from thale.experiments.images import NewImage
from thale.experiments.measurements import prepare_measurement
from thale.experiments.store import ExperimentStore
from thale.schemas.experiment import MeasurementParameters

ALL = PageRequest(0, 1000)


def add(store: ExperimentStore, name: str, *numbers: int, version: str = "1") -> None:
    """Add a photograph of the plate before the underscore, with plants of these numbers."""
    found = new_image(name)
    image = NewImage(found.metadata, found.data, name, name.partition("_")[0])
    plants = [seedling(number, 100.0 * number) for number in numbers]
    store.images.add("a", image, measurement_of(image, *plants, version=version) if plants else None)


def unit_names(store: ExperimentStore, study: str | None = None, level: str | None = None) -> list[str]:
    units = list_units(store.database, ALL, study=study, unit=None, level=level)
    assert units.total == len(units.items)
    return [unit.observationUnitName for unit in units.items]


def test_units_are_plates_and_plants_of_all_photographs(store: ExperimentStore) -> None:
    experiment = store.experiments.create("a", "", "local").id
    store.experiments.create("b", "", "local")
    for name, numbers in (("q_1.png", (1,)), ("p_1.png", (1, 2)), ("q_2.png", (1, 2, 10)), ("r_1.png", ())):
        add(store, name, *numbers)
    store.images.add("b", new_image("s.png"), measurement_of(new_image("s.png"), seedling(1)))
    names = ["q", "q plant 1", "q plant 2", "q plant 10", "p", "p plant 1", "p plant 2", "r"]
    assert unit_names(store, experiment) == names
    assert unit_names(store, experiment, "plate") == ["q", "p", "r"]
    assert sorted(unit_names(store)) == sorted([*names, "s", "s plant 1"])
    plants = unit_names(store, experiment, "plant")
    assert [name for name in names if "plant" in name] == plants


def test_photograph_of_several_plates_has_a_unit_for_each(store: ExperimentStore) -> None:
    store.experiments.create("a", "", "local")
    image = new_image("p.png")
    whole = measured(image, seedling(1, 100.0), seedling(2, 250.0))
    plants = tuple(plant.model_copy(update={"plate": number}) for number, plant in enumerate(whole.plants, 1))
    prepared = prepare_measurement("m-1", whole.model_copy(update={"plants": plants}), MeasurementParameters())
    numbers = iter((1, 2))
    subjects = [
        ({**subject, "plate": next(numbers), "plant": 1} if subject["plant"] else {**subject, "plate": 1}, traits)
        for subject, traits in prepared.subjects
    ]
    store.images.add("a", image, type(prepared)(prepared.row, prepared.body, subjects))
    assert unit_names(store) == ["p", "p plate 1", "p plate 1 plant 1", "p plate 2 plant 1"]
    for unit in list_units(store.database, ALL, study=None, unit=None, level="plant").items:
        found = list_observations(
            store.database, ALL, study=None, unit=unit.observationUnitDbId, variable=None, level=None, observation=None
        )
        assert {item.observationUnitName for item in found.items} == {unit.observationUnitName}


def test_observations_are_those_of_current_measurements(store: ExperimentStore) -> None:
    experiment = store.experiments.create("a", "", "local").id
    add(store, "p_1.png", 1, 2)
    add(store, "p_1.png", 1, version="2")
    page = list_observations(
        store.database, ALL, study=experiment, unit=None, variable=None, level="plant", observation=None
    )
    assert {item.observationUnitName for item in page.items} == {"p plant 1"}
    assert len({item.observationDbId for item in page.items}) == len(page.items) == page.total
    variables = {item.observationVariableDbId for item in page.items}
    listed = list_variables(store.database, ALL, study=experiment, variable=None)
    assert variables <= {item.observationVariableDbId for item in listed.items}
    one = list_variables(store.database, ALL, study=None, variable="primary_root_length_mm").items
    assert [(item.trait.ontologyReference.ontologyDbId, item.scale.units) for item in one] == [("TO:0000227", "mm")]


def test_images_and_studies_are_found_by_their_filters(store: ExperimentStore) -> None:
    experiment = store.experiments.create("a", "", "local").id
    other = store.experiments.create("b", "text", "local").id
    add(store, "p_1.png", 1)
    add(store, "q_1.png", 1)
    studies = list_studies(store.database, ALL, study=None, name=None)
    assert [study.studyDbId for study in studies.items] == [experiment, other]
    assert [study.studyDescription for study in studies.items] == [None, "text"]
    assert list_studies(store.database, ALL, study=other, name="a").items == ()
    images = list_images(store.database, ALL, "http://h", image=None, name=None, unit=None).items
    assert [image.imageURL for image in images] == [f"http://h/{experiment}.{n}/imagecontent" for n in (1, 2)]
    plate = images[1].observationUnitDbId
    of_plate = list_images(store.database, ALL, "http://h", image=None, name=None, unit=plate).items
    assert [image.imageName for image in of_plate] == ["q_1.png"]
    assert find_image(store.database, images[0].imageDbId) == new_image("p_1.png").metadata.sha256
    assert find_image(store.database, f"{other}.1") is None


@pytest.mark.parametrize(
    ("name", "time", "source"),
    [
        ("p1.png", None, None),
        ("p1_2023-08-09.png", "2023-08-09T12:00:00Z", "date in the file name, at noon UTC"),
        ("p1_2023-08-09_14-30.png", "2023-08-09T14:30:00Z", "file name without a time zone, read as UTC"),
        ("p1_2023-08-09T14:30:00+02:00.png", "2023-08-09T14:30:00+02:00", "file name"),
        ("p1_03-04-2023.png", None, None),
    ],
)
def test_time_is_that_of_the_file_name(name: str, time: str | None, source: str | None) -> None:
    assert photograph_time(name) == (time, {} if source is None else {"timeSource": source})
