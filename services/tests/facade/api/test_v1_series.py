"""The route /v1/series of a running facade, which needs no model."""

import json
from collections.abc import Iterator

import pytest

import thale
from tests.support.drawn_series import daily_series
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import Facade, running_facade
from thale.errors import ParameterError
from thale.facade.api import v1_series
from thale.schemas import Problem
from thale.series.schemas import SeriesItem

JSON = {"Content_Type": "application/json"}


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facade]:
    with running_facade(settings_of(tmp_path_factory.mktemp("facade"))) as facade:
        yield facade


def series_body() -> bytes:
    photographs = [
        {"phenotype": json.loads(item.phenotype.model_dump_json())} for item in daily_series([[10.0], [15.0]])
    ]
    return json.dumps({"photographs": photographs}).encode()


@pytest.mark.integration
def test_client_series_returns_growth(facade: Facade) -> None:
    photographs = daily_series([[10.0], [15.0]])
    with thale.Client(facade.url) as client:
        found = client.series(item.phenotype for item in photographs)
        assert found.plates[0].tracks[0].growth[0].rate == pytest.approx(5)
        items = [SeriesItem(phenotype=item.phenotype, name="a.png", plate="p") for item in photographs]
        with pytest.raises(ParameterError, match="2 of 2 photographs have no time"):
            client.series(items)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", JSON, 422, "parameter"),
        (b"{}", {"Content_Type": "image/png"}, 415, "unsupported-content-type"),
        (b"{}", {**JSON, "Accept": "image/png"}, 406, "not-acceptable"),
        (b"{}", {**JSON, "Content_Encoding": "gzip"}, 415, "unsupported-content-encoding"),
        (b"", {**JSON, "Content_Length": str(v1_series.MAX_SERIES_BYTES + 1)}, 413, "image-too-large"),
    ],
)
def test_series_returns_problem(facade: Facade, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    reply = facade.post("/v1/series", body, **headers)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply.body
    assert Problem.model_validate_json(reply.body).type == f"/problems/{code}"


@pytest.mark.integration
@pytest.mark.parametrize(("query", "first"), [("", "plate,plant,image"), ("?rows=growth", "plate,plant,trait,scope")])
def test_series_returns_table(facade: Facade, query: str, first: str) -> None:
    reply = facade.post(f"/v1/series{query}", series_body(), Accept="text/csv", **JSON)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/csv; charset=utf-8"), reply.body
    assert reply.headers["vary"].startswith("Accept")
    assert reply.body.decode().startswith(first)


@pytest.mark.integration
def test_series_is_in_openapi(facade: Facade) -> None:
    document = facade.get("/openapi.json").json
    assert {"200", "422", "429", "503"} <= document["paths"]["/v1/series"]["post"]["responses"].keys()
    item = document["components"]["schemas"]["SeriesItem"]
    assert (item["required"], item["additionalProperties"]) == (["phenotype"], False)
