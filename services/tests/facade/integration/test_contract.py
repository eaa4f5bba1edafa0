"""Real responses of every operation, status and format, validated against the served OpenAPI document."""

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support import heic_files, sample_images, sample_phenotypes
from tests.support.contract_validation import Contract
from tests.support.corrections import traits_body
from tests.support.drawn_dishes import dish
from tests.support.drawn_series import daily_series
from tests.support.facade_without_models import settings_of
from tests.support.running_facade import Facade, Reply, running_facade
from tests.support.sample_experiments import store_sample
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import create_key
from thale.facade.experiments.table_file import PARQUET, XLSX
from thale.facade.postprocess.types import TRAITS_TYPES
from thale.facade.settings import FacadeSettings

pytestmark = pytest.mark.integration

INFER = "/v2/models/plate-landmarks/infer"


@pytest.fixture(scope="module")
def contract(facade: Facade) -> Contract:
    return Contract(facade.get("/openapi.json").json)


@pytest.fixture(scope="module")
def send(facade: Facade, contract: Contract) -> Any:
    def send_and_check(method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        reply = facade.request(method, path, body, **headers)
        contract.check(method, path, reply)
        return reply

    return send_and_check


def infer_body(binary: bool = False) -> bytes:
    image = sample_images.png()
    tensor: dict[str, Any] = {"name": "image", "shape": [1], "datatype": "BYTES"}
    tensor |= (
        {"parameters": {"binary_data_size": len(image) + 4}} if binary else {"data": [base64.b64encode(image).decode()]}
    )
    return json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": binary}}).encode()


@pytest.mark.parametrize("query", ["mm_per_px=0.25", "", "plate_width_mm=100", "rotate=90&table=long", "region=image"])
@pytest.mark.parametrize("image", [dish(), sample_images.jpeg()], ids=["dish", "seedlings"])
def test_measurements_match_the_document(send: Any, image: bytes, query: str) -> None:
    accepted = {
        "/v1/phenotype": (
            *("application/json", "image/png", "application/rsml+xml", "text/csv"),
            "application/vnd.plantcv+json",
        ),
        "/v1/segment": ("application/json", "application/x-npz", "image/png"),
        "/v1/landmarks": ("application/json",),
    }
    for path, media_types in accepted.items():
        for media_type in media_types:
            reply = send("POST", f"{path}?{query}", image, Accept=media_type)
            assert reply.status in (200, 422), reply.body
            assert reply.status == 422 or reply.headers["content-type"].startswith(media_type)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/phenotype", b"", {}, 400),
        ("/v1/phenotype?model=none", sample_images.png(), {}, 404),
        ("/v1/phenotype?model=plate-seg@9.9.9", sample_images.png(), {}, 404),
        ("/v1/phenotype", sample_images.png(), {"Accept": "video/mp4"}, 406),
        ("/v1/segment", b"", {"Content_Length": str(2**40)}, 413),
        ("/v1/landmarks", b"GIF89a" + bytes(60), {}, 415),
        ("/v1/phenotype", b"x", {"Content_Encoding": "gzip"}, 415),
        ("/v1/phenotype?strict=true", sample_images.png(), {}, 422),
        ("/v1/phenotype?mm_per_pixel=1", sample_images.png(), {}, 422),
        ("/v1/phenotype?timeout_s=0.000001", sample_images.png(), {}, 504),
        (INFER, b"{", {}, 422),
        (INFER, infer_body(), {"Content_Encoding": "gzip"}, 415),
        (INFER, infer_body(), {"Inference_Header_Content_Length": "x"}, 400),
        ("/v2/models/none/infer", infer_body(), {}, 404),
        ("/v2/models/plate-seg/versions/9.9.9/infer", infer_body(), {}, 404),
        ("/v1/series", b"{", {}, 422),
        ("/v1/series", b"{}", {"Content_Type": "image/png"}, 415),
        ("/v1/series", b"{}", {"Accept": "image/png"}, 406),
        ("/v1/traits", b"{}", {}, 422),
        ("/v1/traits", b"{}", {"Accept": "image/png"}, 406),
        ("/v1/traits", b"{}", {"Content_Type": "image/png"}, 415),
    ],
)
def test_errors_match_the_document(send: Any, path: str, body: bytes, headers: dict[str, str], status: int) -> None:
    assert send("POST", path, body, **headers).status == status


def test_inferences_match_the_document(send: Any) -> None:
    for model in ("plate-seg", "plate-landmarks"):
        for path in (f"/v2/models/{model}/infer", f"/v2/models/{model}/versions/1.0.0/infer"):
            reply = send("POST", path, infer_body(), Content_Type="application/json")
            assert (reply.status, reply.headers["content-type"]) == (200, "application/json"), reply.body
            head = infer_body(binary=True)
            tail = struct.pack("<I", len(sample_images.png())) + sample_images.png()
            reply = send("POST", path, head + tail, Inference_Header_Content_Length=str(len(head)))
            assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream"), reply.body


def test_other_routes_match_the_document(send: Any) -> None:
    for path in (
        *("/", "/health/live", "/health/ready", "/problems/scale", "/v1/models", "/v1/models/plate-seg"),
        *("/v1/rollouts", "/v1/sign-in"),
        *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/plate-seg"),
        *("/v2/models/plate-seg/ready", "/v2/models/plate-seg/versions/1.0.0"),
        "/v2/models/plate-seg/versions/1.0.0/ready",
    ):
        assert send("GET", path, X_Request_Id="request-7").headers["x-request-id"] == "request-7"
    for path in ("/problems/none", "/v1/models/none", "/v2/models/none", "/v2/models/plate-seg/versions/9.9.9/ready"):
        assert send("GET", path).status in (404, 422)
    photographs = [
        {"phenotype": json.loads(item.phenotype.model_dump_json())} for item in daily_series([[10.0], [15.0]])
    ]
    body = json.dumps({"photographs": photographs}).encode()
    for path, media_type in (("", "application/json"), ("", "text/csv"), ("?rows=growth", "text/csv")):
        reply = send("POST", f"/v1/series{path}", body, Content_Type="application/json", Accept=media_type)
        assert (reply.status, reply.headers["content-type"].split(";")[0]) == (200, media_type), reply.body
    correction = traits_body(sample_phenotypes.phenotype(sample_phenotypes.seedling()))
    for media_type in TRAITS_TYPES:
        reply = send("POST", "/v1/traits", correction, Content_Type="application/json", Accept=media_type)
        assert (reply.status, reply.headers["content-type"].split(";")[0]) == (200, media_type), reply.body


def test_experiments_match_the_document(send: Any, settings: FacadeSettings) -> None:
    json_type = {"Content_Type": "application/json"}
    created = send("POST", "/v1/experiments", b'{"name": "contract"}', **json_type)
    experiment = f"/v1/experiments/{created.json['id']}"
    changed = send("PATCH", experiment, b'{"retain_until": "2031-12-31"}', **json_type)
    assert (changed.status, changed.json["retain_until"]) == (200, "2031-12-31")
    assert send("PATCH", experiment, b'{"retain_until": "31.12.2031"}', **json_type).problem == "parameter"
    design = b"plate,genotype\nplate_1,col-0\n"
    assert send("PUT", f"{experiment}/design", design, Content_Type="text/csv").status == 200
    assert send("PUT", f"{experiment}/design", b"plate\n", Content_Type="text/html").status == 415
    assert send("PUT", f"{experiment}/design", b"x\n1\n", Content_Type="text/csv").problem == "design-table"
    added = send("POST", f"{experiment}/images?name=plate_1.png&mm_per_px=0.25", dish())
    measurement = f"/v1/measurements/{added.json['measurement_id']}"
    assert send("POST", f"{measurement}/reproduce").json["is_identical"] is True
    assert settings.experiments_path is not None
    with_plants = f"/v1/measurements/{store_sample(settings.experiments_path, created.json['id'])}"
    assert len(send("GET", with_plants).json["phenotype"]["plants"]) == 2
    check_brapi(send, created.json["id"])
    check_image_bytes(send, experiment)
    plant = {"id": 1, "roots": [{"id": "1", "points": [[1, 2], [3, 4]]}]}
    correction = json.dumps({"reason": "contract", "plants": [plant]}).encode()
    assert send("POST", f"{with_plants}/corrections", correction, **json_type).json["created_by"] == "local"
    body = json.dumps({"experiment": created.json["id"], "remeasure": True, "priority": -10}).encode()
    job = f"/v1/jobs/{send('POST', '/v1/jobs', body, **json_type).json['id']}"
    for path in (f"{job}/cancel", f"{job}/retry", f"{job}/cancel"):
        assert send("POST", path).status == 200
    paths = ("/v1/experiments", experiment, f"{experiment}/design", f"{experiment}/images", measurement, job)
    more = (f"{experiment}/measurements", f"{with_plants}/corrections", "/v1/jobs", f"{job}/images", f"{job}/events")
    for path in (*paths, *more):
        assert send("GET", path).status == 200
    for kind in ("text/csv", PARQUET, XLSX):
        assert send("GET", f"{experiment}/table", Accept=kind).headers["content-type"].startswith(kind)
    for method, path in (("GET", "/v1/experiments/none"), ("DELETE", "/v1/experiments/none"), ("GET", "/v1/jobs/none")):
        assert send(method, path).status == 404
    assert send("POST", "/v1/experiments", b'{"name": "contract"}', **json_type).status == 409
    assert send("DELETE", experiment).status == 200


def check_image_bytes(send: Any, experiment: str) -> None:
    """Read images of each format, and one that the client has already."""
    pixels = sample_images.seedlings()
    images = {
        "image/jpeg": sample_images.jpeg(),
        "image/png": sample_images.encode(Image.fromarray(pixels[:150]), "PNG"),
        "image/tiff": sample_images.tiff(pixels),
        "image/heic": heic_files.heic(heic_files.size(heic_files.SIDE, heic_files.SIDE)),
    }
    for media_type, data in images.items():
        added = send("POST", f"{experiment}/images?name=%C3%BCber%20%22.x&measure=false", data).json
        reply = send("GET", f"{experiment}/images/{added['sha256']}")
        assert (reply.headers["content-type"], reply.body) == (media_type, data)
    path = f"{experiment}/images/{added['sha256']}"
    reply = send("GET", path, Accept="application/octet-stream")
    assert (reply.headers["content-type"], reply.body) == ("application/octet-stream", data)
    assert send("GET", path, Accept="image/gif").status == 406
    assert send("GET", f"{experiment}/images/{'0' * 64}").status == 404
    assert send("GET", f"{experiment}/images/none").status == 422


def check_brapi(send: Any, experiment: str) -> None:
    """Send a request to each route of BrAPI."""
    query = f"studyDbId={experiment}&observationUnitLevelName=plant"
    observation = send("GET", f"/brapi/v2/observations?{query}").json["result"]["data"][0]
    variable = observation["observationVariableDbId"]
    for path in (
        *("serverinfo", "commoncropnames", "observationlevels", "studies", "observationunits", "variables", "images"),
        *(f"studies/{experiment}", f"observationunits/{observation['observationUnitDbId']}", f"variables/{variable}"),
        *(f"observations/{observation['observationDbId']}", f"images/{experiment}.1"),
        f"images/{experiment}.1/imagecontent",
    ):
        assert send("GET", f"/brapi/v2/{path}").status == 200, path
    assert send("GET", "/brapi/v2/studies/none").status == 404
    assert send("GET", "/brapi/v2/studies?pageSize=0").status == 400


def test_every_success_of_the_document_was_validated(facade: Facade, contract: Contract) -> None:
    """The tests above have sent a request to each operation, for each of its media types."""
    documented = {
        (operation["operationId"], media_type)
        for item in facade.get("/openapi.json").json["paths"].values()
        for operation in item.values()
        for media_type in operation["responses"]["200"]["content"]
    }
    assert documented == {(name, kind) for name, status, kind in contract.validated if status == 200}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Facade, str, str]]:
    """Yield a facade without models, and a key with all scopes and one without `predict`."""
    store = ApiKeyFile(tmp_path / "api-keys.json")
    day, now = timedelta(days=1), datetime.now(UTC)
    keys = [create_key(store, "lab", frozenset(scopes), day, now)[0] for scopes in ({"read", "predict"}, {"read"})]
    settings = settings_of(tmp_path, api_keys_path=tmp_path / "api-keys.json", caller_rate_per_s=0.001, caller_burst=1)
    with running_facade(settings) as facade:
        yield facade, *(f"Bearer {key.text}" for key in keys)


def test_credentials_and_limits_match_the_document(guarded: tuple[Facade, str, str], contract: Contract) -> None:
    facade, key, reader = guarded
    for path in ("/v1/phenotype", "/v1/series", "/v1/traits", INFER):
        statuses = []
        for headers in ({}, {"Authorization": reader}, {"Authorization": key}, {"Authorization": key}):
            reply = facade.request("POST", path, b"x", **headers)
            contract.check("POST", path, reply)
            statuses.append(reply.status)
        assert statuses[:2] == [401, 403]
        assert statuses[-1] == 429
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= reply.headers.keys()
    for path in ("/health/ready", "/v2/health/ready", "/v1/models", "/v2/models/plate-seg/ready"):
        contract.check("GET", path, facade.get(path))
        contract.check("GET", path, facade.get(path, Authorization=reader))
