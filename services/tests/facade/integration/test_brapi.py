"""BrAPI routes of a running facade: real responses validated against the schemas of BrAPI v2.1."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request

from tests.support.brapi_experiment import NAMES, fill_store
from tests.support.brapi_specification import paths, query_names, response_errors
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import Facade, Reply, running_facade
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.facade.api.brapi import images_url
from thale.facade.api.openapi_document import load_document

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Facade, str]]:
    folder = tmp_path_factory.mktemp("brapi")
    experiment = fill_store(folder / "experiments")
    with running_facade(settings_of(folder, experiments_path=folder / "experiments")) as facade:
        yield facade, experiment


@pytest.fixture
def get(served: tuple[Facade, str]) -> Any:
    facade, _ = served

    def get_and_check(path: str, query: str = "") -> Any:
        reply = facade.get(f"/brapi/v2/{path}{query and '?'}{query}")
        assert reply.status == 200, reply.body
        assert response_errors("GET", f"/{path}", reply.json) == []
        return reply.json["result"].get("data", reply.json["result"])

    return get_and_check


def test_every_route_matches_the_schemas_of_brapi(served: tuple[Facade, str], get: Any) -> None:
    experiment = served[1]
    identifiers = {"studyDbId": experiment}
    for kind, key in (
        ("observationunits", "observationUnitDbId"),
        ("observations", "observationDbId"),
        ("variables", "observationVariableDbId"),
        ("images", "imageDbId"),
    ):
        found = get(kind)
        assert found, kind
        assert len({item[key] for item in found}) == len(found)
        identifiers[key] = found[-1][key]
    for path in paths():
        name = re.search(r"\{(\w+)\}", path)
        if name is None:
            assert get(path[1:])
        else:
            found = get(path[1:].format(**identifiers))
            assert found[name[1]] == identifiers[name[1]]


def template(path: str) -> str:
    """Return a path with the names of its parameters replaced."""
    return re.sub(r"\{\w+\}", "*", path)


def test_server_info_lists_the_routes_of_the_document(get: Any) -> None:
    documented = {template(path) for path in load_document()["paths"] if path.startswith("/brapi/v2/")}
    calls = {template(f"/brapi/v2/{call['service']}") for call in get("serverinfo")["calls"]}
    assert documented - calls == {"/brapi/v2/images/*/imagecontent"}
    assert calls <= documented


def test_query_parameters_are_those_of_brapi() -> None:
    operations = {template(path): item.get("get") for path, item in load_document()["paths"].items()}
    for path in paths():
        parameters = operations[template(f"/brapi/v2{path}")]["parameters"]
        names = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        assert names <= query_names(path), path


def test_units_have_levels_and_design_facts(served: tuple[Facade, str], get: Any) -> None:
    units = {unit["observationUnitName"]: unit for unit in get("observationunits", f"studyDbId={served[1]}")}
    assert list(units) == ["p1", "p1 plant 1", "p1 plant 2", "p2", "p2 plant 1", "p2 plant 2", "p3"]
    germplasm = {name: unit.get("germplasmName") for name, unit in units.items()}
    assert germplasm == {
        **{"p1": None, "p1 plant 1": "col-0", "p1 plant 2": "ler"},
        **{"p2": "ws", "p2 plant 1": "ws", "p2 plant 2": "ws", "p3": None},
    }
    plant = units["p1 plant 2"]
    assert plant["treatments"] == [{"factor": "NaCl", "modality": "50 mM"}]
    assert units["p2"]["treatments"] == []
    position = plant["observationUnitPosition"]
    assert position["observationLevel"]["levelCode"] == "2"
    above = {level["levelName"]: level for level in position["observationLevelRelationships"]}
    assert list(above) == ["study", "rep", "plate"]
    assert above["plate"]["observationUnitDbId"] == units["p1"]["observationUnitDbId"]
    assert above["rep"]["levelCode"] == "1"


def test_observations_have_value_time_and_quality(served: tuple[Facade, str], get: Any) -> None:
    query = f"studyDbId={served[1]}&observationVariableDbId=primary_root_length_mm"
    found = get("observations", query)
    assert [item["observationUnitName"] for item in found] == [
        *("p1 plant 1", "p1 plant 2", "p1 plant 1", "p1 plant 2", "p2 plant 1", "p2 plant 2")
    ]
    assert [item["value"] for item in found] == ["10.0", "20.0", "11.0", "21.0", "12.0", "22.0"]
    assert [item.get("observationTimeStamp") for item in found[::2]] == [
        *("2026-11-20T12:00:00Z", "2026-11-21T10:00:00+01:00", None)
    ]
    assert found[0]["additionalInfo"]["timeSource"] == "date in the file name, at noon UTC"
    assert {"quality", "measurementId", "models"} <= found[0]["additionalInfo"].keys()
    one = get(f"observations/{found[3]['observationDbId']}")
    assert one == found[3]
    of_unit = get("observations", f"observationUnitDbId={found[0]['observationUnitDbId']}")
    assert {item["observationUnitName"] for item in of_unit} == {"p1 plant 1"}
    assert {item["additionalInfo"]["image"] for item in of_unit} == set(NAMES[:2])


def test_unknown_values_are_absent(get: Any) -> None:
    unknown = [item for item in get("observations") if "value" not in item]
    assert unknown
    assert all("nan" not in item.values() for item in unknown)
    assert {item["additionalInfo"]["quality"] for item in unknown} != {"ok"}


def test_filters_without_a_match_return_no_items(get: Any) -> None:
    for path, query in (
        *(("studies", "studyDbId=none"), ("studies", "studyName=none"), ("observationunits", "studyDbId=none")),
        *(("observationunits", "observationUnitDbId=none"), ("observations", "observationUnitDbId=exp-1.1.1.1")),
        *(("observations", "observationVariableDbId=none"), ("observations", "observationDbId=x")),
        *(("images", "imageDbId=../../etc"), ("images", "imageName=none"), ("images", "observationUnitDbId=x")),
        *(("variables", "observationVariableDbId=none"), ("variables", "studyDbId=none")),
    ):
        assert get(path, query) == [], (path, query)


def test_pages_have_all_items_once(served: tuple[Facade, str]) -> None:
    facade, _ = served
    for path, key in (("observations", "observationDbId"), ("observationunits", "observationUnitDbId")):
        whole = facade.get(f"/brapi/v2/{path}").json
        total = whole["metadata"]["pagination"]["totalCount"]
        pages: list[Any] = []
        size = max(2, total // 3)
        for page in range(-(-total // size) + 1):
            reply = facade.get(f"/brapi/v2/{path}?page={page}&pageSize={size}").json
            assert reply["metadata"]["pagination"] == {
                **{"currentPage": page, "pageSize": size, "totalCount": total, "totalPages": -(-total // size)}
            }
            pages += (item[key] for item in reply["result"]["data"])
        assert pages == [item[key] for item in whole["result"]["data"]]
        assert len(set(pages)) == total


def test_image_url_returns_the_bytes(served: tuple[Facade, str], get: Any) -> None:
    facade, _ = served
    images = get("images")
    assert [image["imageFileName"] for image in images] == list(NAMES)
    for image in images:
        content = facade.get(urlsplit(image["imageURL"]).path)
        assert (content.status, content.body) == (200, image["imageFileName"].encode())
        assert content.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("forwarded", "scheme"), [("https", "https"), ("http", "http"), ("gopher", "http"), ("", "http")]
)
def test_image_url_has_the_scheme_of_the_gateway(forwarded: str, scheme: str) -> None:
    headers = [(b"host", b"thale.example.org"), (b"x-forwarded-proto", forwarded.encode())]
    scope = {"type": "http", "scheme": "http", "path": "/brapi/v2/images", "headers": headers, "query_string": b""}
    assert images_url(Request(scope)) == f"{scheme}://thale.example.org/brapi/v2/images"


def brapi_error(reply: Reply) -> str:
    """Return the message of an error in the form of BrAPI."""
    assert reply.headers["content-type"] == "application/json"
    match = re.fullmatch(r"ERROR - \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ - (.+)", reply.json)
    assert match, reply.body
    return match[1]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("studies?pageSize=0", 400, "pageSize"),
        ("studies?page=-1", 400, "page"),
        ("observations?germplasmDbId=3", 400, "germplasmDbId"),
        ("observationunits?observationUnitLevelName=plot", 400, "observationUnitLevelName"),
        ("studies/none", 404, "no study 'none'"),
        ("images/exp-1.1/imagecontent", 404, "no image"),
        ("observationunits/exp-1.1.1.999999999999", 404, "no observation unit"),
        ("germplasm", 404, "/brapi/v2/germplasm"),
    ],
)
def test_errors_have_the_form_of_brapi(served: tuple[Facade, str], path: str, status: int, message: str) -> None:
    reply = served[0].get(f"/brapi/v2/{path}")
    assert reply.status == status
    assert message in brapi_error(reply)


def test_routes_need_the_scope_read(tmp_path: Path) -> None:
    store = ApiKeyFile(tmp_path / "api-keys.json")
    key, _ = create_key(store, "lab", frozenset({"read"}), timedelta(days=1), datetime.now(UTC))
    settings = settings_of(
        tmp_path, api_keys_path=tmp_path / "api-keys.json", experiments_path=tmp_path / "experiments"
    )
    with running_facade(settings) as facade:
        for path in ("serverinfo", "studies", "observations", "images/exp-1.1/imagecontent"):
            reply = facade.get(f"/brapi/v2/{path}")
            assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="thale"')
            assert brapi_error(reply)
        assert facade.get("/brapi/v2/studies", Authorization=f"Bearer {key.text}").status == 200


def test_facade_without_a_store_says_so(tmp_path: Path) -> None:
    with running_facade(settings_of(tmp_path)) as facade:
        assert "THALE_EXPERIMENTS_PATH" in brapi_error(facade.get("/brapi/v2/studies"))
