"""Responses of a real platform with the default models, validated against the OpenAPI document that it serves.

`test_contract.py` does the same with tiny models, which find no plant: nothing has an interval, and lists are empty.
"""

import base64
import json
import math
import struct
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.smoke import draw_smoke_plate
from tests.support.contract_validation import Contract
from tests.support.default_models import WEIGHTS
from tests.support.local_platform import run_platform
from tests.support.running_facade import Reply
from thale.release.registry.golden.plates import golden_plates

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

FORMATS = {
    "/v1/phenotype": (
        "application/json",
        "image/png",
        "application/rsml+xml",
        "text/csv",
        "application/vnd.plantcv+json",
    ),
    "/v1/segment": ("application/json", "application/x-npz", "image/png"),
    "/v1/landmarks": ("application/json",),
}
MODELS = ("plate-seg", "plate-landmarks")
QUERIES = ("", "mm_per_px=0.07", "plate_width_mm=100")
PHENOTYPE_QUERIES = ("rotate=90", "table=long")

Send = Callable[..., Reply]


@pytest.fixture(scope="module")
def send(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Send]:
    """Yield a function that sends a request to the platform and validates the response."""
    with run_platform(tmp_path_factory.mktemp("home"), WEIGHTS) as platform:
        address = urlsplit(platform.url)

        def request(method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
            connection = HTTPConnection(str(address.hostname), address.port or 80, timeout=180)
            try:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                connection.request(method, path, body, named)
                response = connection.getresponse()
                received = {name.lower(): value for name, value in response.getheaders()}
                return Reply(response.status, received, response.read())
            finally:
                connection.close()

        contract = Contract(request("GET", "/openapi.json").json)

        def send_and_check(method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
            reply = request(method, path, body, **headers)
            contract.check(method, path, reply)
            return reply

        yield send_and_check


@pytest.fixture(scope="module")
def plate() -> bytes:
    """Return the plate of the smoke test, with five seedlings and its edges."""
    return draw_smoke_plate().encoded


def list_values(value: object, key: str) -> list[Any]:
    """Return the values of a key in nested objects and lists."""
    if isinstance(value, dict):
        return [
            *([value[key]] if key in value else []),
            *(v for item in value.values() for v in list_values(item, key)),
        ]
    return [v for item in value for v in list_values(item, key)] if isinstance(value, list) else []


@pytest.mark.parametrize("query", QUERIES)
def test_measurements_of_a_plate_match_the_document(send: Send, plate: bytes, query: str) -> None:
    for path, media_types in FORMATS.items():
        for media_type in media_types:
            reply = send("POST", f"{path}?{query}", plate, Accept=media_type)
            assert reply.status == 200, reply.body
            assert reply.headers["content-type"].startswith(media_type)
            assert reply.body


@pytest.mark.parametrize("query", PHENOTYPE_QUERIES)
def test_phenotypes_of_a_plate_match_the_document(send: Send, plate: bytes, query: str) -> None:
    for media_type in FORMATS["/v1/phenotype"]:
        reply = send("POST", f"/v1/phenotype?{query}", plate, Accept=media_type)
        assert (reply.status, reply.headers["content-type"].split(";")[0]) == (200, media_type)


def test_phenotype_has_plants_intervals_and_flags(send: Send, plate: bytes) -> None:
    """The document was validated with values, not with empty lists and nulls alone."""
    phenotype = send("POST", "/v1/phenotype", plate).json
    assert len(phenotype["plants"]) == 5
    assert phenotype["scale"]["mm_per_px"] > 0
    lengths = [t for p in phenotype["plants"] for t in p["traits"] if t["trait"] == "primary_root_length"]
    intervals = [(t["interval"][0], t["value"], t["interval"][1]) for t in lengths]
    assert all(0 < low <= value <= high for low, value, high in intervals), intervals
    assert {t["unit"] for t in lengths} == {"mm"}
    for key in ("flags", "quality", "landmarks", "polygons", "points"):
        assert any(list_values(phenotype, key)), key


def test_numbers_without_a_scale_are_null(send: Send) -> None:
    cropped = next(iter(golden_plates())).image
    phenotype = send("POST", "/v1/phenotype", cropped).json
    assert phenotype["scale"] == {"mm_per_px": None, "source": "none", "plate_width_mm": None}
    assert phenotype["plants"]
    assert set(list_values(phenotype, "area_mm2")) == {None}
    assert {"no_scale", "no_plate"} <= {flag["code"] for flags in list_values(phenotype, "flags") for flag in flags}
    values = [t for p in phenotype["plants"] for t in p["traits"]]
    assert {t["quality"] for t in values if t["value"] is None} == {"unknown"}
    assert {"px", "px2"} & {t["unit"] for t in values if t["value"] is not None}


def infer_body(image: bytes, *, binary: bool) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a request of the Open Inference Protocol."""
    tensor: dict[str, Any] = {"name": "image", "shape": [1], "datatype": "BYTES"}
    if not binary:
        tensor["data"] = [base64.b64encode(image).decode()]
        return json.dumps({"inputs": [tensor]}).encode(), {"Content_Type": "application/json"}
    tensor["parameters"] = {"binary_data_size": len(image) + 4}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = head + struct.pack("<I", len(image)) + image
    return body, {"Inference_Header_Content_Length": str(len(head))}


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_inference_of_a_plate_matches_the_document(send: Send, plate: bytes, model: str, *, binary: bool) -> None:
    body, headers = infer_body(plate, binary=binary)
    reply = send("POST", f"/v2/models/{model}/infer", body, **headers)
    assert reply.status == 200, reply.body
    head = reply.body[: int(reply.headers["inference-header-content-length"])] if binary else reply.body
    outputs = json.loads(head)["outputs"]
    assert all(size > 0 for output in outputs for size in output["shape"]), outputs
    for output in outputs:
        size = math.prod(output["shape"])
        assert binary or len(output["data"]) == size, output["name"]
