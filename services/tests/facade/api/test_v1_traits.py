"""The route /v1/traits of a running facade, which needs no model."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.corrections import traits_body
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import Facade, running_facade
from tests.support.sample_phenotypes import phenotype, seedling
from thale.exports import rsml
from thale.facade.api import v1_traits
from thale.phenotyping.plates import merge_plates
from thale.schemas import Phenotype

JSON = {"Content_Type": "application/json"}
MEASURED = merge_plates([phenotype(seedling(1), seedling(2, 200))])


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facade]:
    with running_facade(settings_of(tmp_path_factory.mktemp("facade"))) as facade:
        yield facade


def set_points(*points: tuple[float, float]) -> Callable[[Any], None]:
    def edit(body: Any) -> None:
        body["plants"][0]["roots"][0]["points"] = points

    return edit


def set_root(root: int, **fields: object) -> Callable[[Any], None]:
    return lambda body: body["plants"][0]["roots"][root].update(fields)


@pytest.mark.integration
def test_traits_of_unchanged_roots_equal_the_measurement(facade: Facade) -> None:
    reply = facade.post("/v1/traits", traits_body(MEASURED), **JSON)
    assert (reply.status, reply.headers["vary"]) == (200, "Accept")
    assert reply.json == json.loads(MEASURED.model_dump_json())


@pytest.mark.integration
def test_moved_tip_changes_lengths_in_all_formats(facade: Facade) -> None:
    body = traits_body(MEASURED, set_points((100, 50), (100, 150), (100, 270)))
    corrected = Phenotype.model_validate(facade.post("/v1/traits", body, **JSON).json)
    assert corrected.plants[0].traits[0].value == pytest.approx(22)
    document = rsml.read(facade.post("/v1/traits", body, Accept="application/rsml+xml", **JSON).body)
    first = document.plants[0].roots[0]
    assert (first.points[-1], first.length_px) == ((100, 270), pytest.approx(220))
    assert {each.name: each.value for each in first.properties}["plant_flags"] == "corrected"
    wide = facade.post("/v1/traits", body, Accept="text/csv", **JSON).body.decode()
    long = facade.post("/v1/traits", body, "table=long", Accept="text/csv", **JSON).body.decode()
    assert (len(wide.splitlines()), len(long.splitlines()) > 20) == (3, True)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_points((100, 50)), "fewer than two different points"),
        (set_points((100, 50), (100, 50)), "fewer than two different points"),
        (set_points((100, 50), (400.5, 50)), "outside the image of 400 x 300 px"),
        (set_points((100, 50), (100, -1.5)), "outside the image"),
        (set_points((100, 50), (100, float("nan"))), "finite number"),
        (set_points((100, 50), (100, float("inf"))), "finite number"),
        (set_root(1, parent="9"), "is no root of plant 1"),
        (set_root(1, parent="2"), "is no root of plant 1"),
        (set_root(0, parent="1.1"), "is its own ancestor"),
        (set_root(0, parent="1"), "is its own ancestor"),
        (set_root(1, id="1"), "several roots have the id 1"),
        (set_root(1, id="2"), "several roots have the id 2"),
        (set_root(1, id="<b>"), "string_pattern|match"),
        (lambda body: body["plants"][1].update(id=1), "several plants have the id 1"),
        (lambda body: body["plants"][0].update(plate=2), "is on plate 2"),
        (lambda body: body["plants"][0].update(plate=None), "is on plate None"),
        (lambda body: body["plants"][0].update(note="x"), "note"),
        (lambda body: body.pop("phenotype"), "phenotype"),
    ],
)
def test_invalid_correction_is_a_problem(facade: Facade, edit: Callable[[Any], None], message: str) -> None:
    reply = facade.post("/v1/traits", traits_body(MEASURED, edit), **JSON)
    assert (reply.status, reply.problem) == (422, "parameter")
    assert any(part in reply.json["detail"] for part in message.split("|")), reply.json["detail"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", JSON, 422, "parameter"),
        (b"{}", {"Content_Type": "image/png"}, 415, "unsupported-content-type"),
        (b"{}", {**JSON, "Content_Encoding": "gzip"}, 415, "unsupported-content-encoding"),
        (b"{}", {**JSON, "Accept": "image/png"}, 406, "not-acceptable"),
        (b"", {**JSON, "Content_Length": str(v1_traits.MAX_TRAITS_BYTES + 1)}, 413, "image-too-large"),
    ],
)
def test_traits_returns_problem(facade: Facade, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    reply = facade.post("/v1/traits", body, **headers)
    assert (reply.status, reply.problem) == (status, code), reply.body


@pytest.mark.integration
def test_rsml_without_roots_is_a_problem(facade: Facade) -> None:
    body = traits_body(MEASURED, lambda value: value["plants"].clear())
    assert facade.post("/v1/traits", body, Accept="application/rsml+xml", **JSON).problem == "parameter"
    assert facade.post("/v1/traits", body, Accept="text/csv", **JSON).status == 200


@pytest.mark.integration
def test_too_many_points_are_refused(facade: Facade) -> None:
    line = [(x % 300, 20) for x in range(9000)]

    def edit(body: Any) -> None:
        roots = [{"id": f"r{number}", "points": line} for number in range(60)]
        body["plants"] = [{"id": 1, "plate": 1, "roots": roots}]

    reply = facade.post("/v1/traits", traits_body(MEASURED, edit), **JSON)
    assert "up to 500000 points" in reply.json["detail"]


@pytest.mark.integration
def test_traits_of_thirty_plants_return_in_bounded_time(facade: Facade) -> None:
    """The bound is for a busy machine. One changed plant of thirty takes about 0.1 s on a free core."""
    many = merge_plates([phenotype(*(seedling(n, 10.0 + 12 * n) for n in range(1, 31)))])
    body = traits_body(many, set_points((22, 50), (22, 150), (22, 270)))
    facade.post("/v1/traits", body, **JSON)
    started = time.monotonic()
    assert facade.post("/v1/traits", body, **JSON).status == 200
    assert time.monotonic() - started < 10
