"""The Open Inference Protocol v2 of a running facade, with KServe's client and with raw requests."""

import asyncio
import base64
import gzip
import json
import struct
from typing import Any, TypeVar

import httpx
import kserve
import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from tests.support import sample_images
from tests.support.running_facade import Facade, Reply
from thale.models.predictions import SegmentationMeta

pytestmark = pytest.mark.integration

T = TypeVar("T")


def call_kserve(facade: Facade, call: str, *arguments: Any, **options: Any) -> Any:
    async def run() -> Any:
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
            return await getattr(client, call)(facade.url, *arguments, **options)

    return asyncio.run(run())


def image_input(images: list[bytes], binary: bool) -> InferInput:
    if binary:
        tensor = InferInput("image", [len(images)], "BYTES")
        tensor.set_data_from_numpy(np.array(images, dtype=object), binary_data=True)
        return tensor
    return InferInput("image", [len(images)], "BYTES", data=[base64.b64encode(image).decode() for image in images])


def infer(facade: Facade, model: str, images: list[bytes], binary: bool, **options: Any) -> InferResponse:
    request = InferRequest(model_name=model, infer_inputs=[image_input(images, binary)], request_id="42", **options)
    return call_kserve(facade, "infer", request, model_name=model)


def outputs(response: InferResponse) -> dict[str, Any]:
    return {output.name: output.as_numpy() for output in response.outputs}


def test_kserve_client_reads_readiness(facade: Facade) -> None:
    assert call_kserve(facade, "is_server_live") is True
    assert call_kserve(facade, "is_server_ready") is True
    assert call_kserve(facade, "is_model_ready", "plate-seg") is True


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_kserve_client_segments_an_image(facade: Facade, binary_in: bool, binary_out: bool) -> None:
    parameters = {"mm_per_px": 0.25, "binary_data_output": binary_out}
    response = infer(facade, "plate-seg", [sample_images.png()], binary_in, parameters=parameters)
    assert response.id == "42"
    tensors = outputs(response)
    meta = SegmentationMeta.model_validate_json(str(tensors["meta"][0]))
    assert meta.calibration.scale.mm_per_px == 0.25
    assert meta.model.digest == facade.get("/v1/models/plate-seg").json["versions"][0]["digest"]
    assert tensors["probabilities"].shape == (1, 3, meta.frame.height, meta.frame.width)
    assert tensors["probabilities"].dtype == np.uint8


@pytest.mark.parametrize("binary", [False, True])
def test_kserve_client_finds_landmarks_in_a_batch(facade: Facade, binary: bool) -> None:
    response = infer(
        facade,
        "plate-landmarks",
        [sample_images.png(), sample_images.jpeg()],
        binary,
        parameters={"binary_data_output": binary},
    )
    tensors = outputs(response)
    count = len(tensors["kinds"])
    assert tensors["points"].shape == (count, 2)
    assert tensors["scores"].shape == tensors["image"].shape == (count,)
    assert set(tensors["image"]) <= {0, 1}
    assert len(tensors["meta"]) == 2


def test_infer_accepts_images_of_different_sizes(facade: Facade) -> None:
    small = sample_images.encode(sample_images.Image.fromarray(sample_images.seedlings(60, 300)), "PNG")
    tensors = outputs(infer(facade, "plate-seg", [sample_images.png(), small], True, parameters={"mm_per_px": 0.25}))
    assert tensors["probabilities"].shape == (2, 3, 200, 300)
    assert not tensors["probabilities"][1, :, 60:].any()


def test_infer_returns_the_requested_outputs(facade: Facade) -> None:
    requested_outputs = [RequestedOutput("meta", parameters={"binary_data": True})]
    assert list(
        outputs(infer(facade, "plate-seg", [sample_images.png()], True, request_outputs=requested_outputs))
    ) == ["meta"]


def test_kserve_client_reads_the_error_message(facade: Facade) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="unknown model 'none'"):
        infer(facade, "none", [sample_images.png()], False)


def test_infer_accepts_a_version(facade: Facade) -> None:
    reply = post(facade, request(), path="/v2/models/plate-seg/versions/1.0.0/infer")
    assert (reply.status, reply.json["model_version"]) == (200, "1.0.0")
    assert post(facade, request(), path="/v2/models/plate-seg/versions/2.0.0/infer").status == 404


def test_metadata_describes_server_and_models(facade: Facade) -> None:
    assert facade.get("/v2").json["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/models/plate-seg", "/v2/models/plate-seg/versions/1.0.0"):
        metadata = facade.get(path).json
        assert metadata["versions"] == ["1.0.0"]
        assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        assert [output["name"] for output in metadata["outputs"]] == ["probabilities", "meta"]
    assert facade.get("/v2/models/plate-seg/versions/1.0.0/ready").json == {"name": "plate-seg", "ready": True}


@pytest.mark.parametrize("path", ["", "/ready", "/versions/1.0.0", "/versions/1.0.0/ready"])
def test_unknown_model_is_a_protocol_error(facade: Facade, path: str) -> None:
    reply = facade.get(f"/v2/models/none{path}")
    assert reply.status == 404
    assert list(reply.json) == ["error"]


def request(**fields: Any) -> dict[str, Any]:
    image = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "data": [base64.b64encode(sample_images.png()).decode()],
    }
    return {"inputs": [image | fields.pop("image", {})], **fields}


def post(facade: Facade, body: object, path: str = "/v2/models/plate-seg/infer", **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return facade.request("POST", path, data, Content_Type="application/json", **headers)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 422, "request is invalid"),
        (b"{", 422, "request is invalid"),
        ({"inputs": []}, 422, "inputs: List should have at least 1 item"),
        (request(image={"name": "picture"}), 422, "exactly one input"),
        (request(image={"datatype": "UINT8"}), 422, "exactly one input"),
        (request(image={"shape": [2]}), 422, "1 elements"),
        (request(image={"shape": []}), 422, "shape"),
        (request(image={"shape": [-1]}), 422, "shape"),
        (request(image={"shape": [2**62, 2**62]}), 422, "shape"),
        (request(image={"shape": [10**9, 10**9]}), 422, "images: send 1 to 16"),
        (request(image={"shape": [1, 1, 1]}), 422, "at most 2 items"),
        (request(image={"data": ["not base64!"]}), 422, "base64"),
        (request(image={"data": [7]}), 422, "base64"),
        (request(image={"data": [""]}), 400, "empty"),
        (request(image={"data": None}), 422, "either"),
        (request(image={"data": [], "shape": [0]}), 422, "0 images"),
        (request(image={"data": [""] * 17, "shape": [17]}), 422, "17 images"),
        (request(image={"data": [base64.b64encode(b"text").decode()]}), 415, "text"),
        (request(parameters={"mm_per_pixel": 1}), 422, "mm_per_pixel"),
        (request(parameters={"mm_per_px": -1}), 422, "mm_per_px"),
        (request(outputs=[{"name": "masks"}]), 422, "unknown output 'masks'"),
        (request(outputs=[{"name": "meta", "parameters": {"classification": 3}}]), 422, "classification"),
        (request(outputs=[{"name": "meta", "parameters": {"binary_data": "false"}}]), 422, "binary_data"),
        (request(image={"parameters": {"binary_data_size": 5}}), 422, "binary_data_size"),
    ],
)
def test_invalid_request_is_rejected_with_the_reason(facade: Facade, body: object, status: int, reason: str) -> None:
    reply = post(facade, body)
    assert reply.status == status, reply.body
    assert reason in reply.json["error"]


@pytest.mark.parametrize(
    ("length", "tail", "reason"),
    [
        ("9999999", b"", "Inference-Header-Content-Length"),
        (None, b"\1\0", "ends within the length"),
        (None, struct.pack("<I", 100) + b"short", "shorter than"),
        (None, b"", "0 elements"),
    ],
)
def test_inconsistent_binary_lengths_are_rejected(facade: Facade, length: str | None, tail: bytes, reason: str) -> None:
    head = json.dumps(request(image={"data": None, "parameters": {"binary_data_size": len(tail)}})).encode()
    reply = post(facade, head + tail, Inference_Header_Content_Length=length or str(len(head)))
    assert reply.status == 422
    assert reason in reply.json["error"]


@pytest.mark.parametrize("length", ["-5", "²", "1e3", "", "9" * 5000])
def test_length_header_that_is_no_number_is_malformed(facade: Facade, length: str) -> None:
    reply = post(facade, request(), Inference_Header_Content_Length=length)
    assert reply.status == 400
    assert "Inference-Header-Content-Length" in reply.json["error"]


def test_null_counts_as_absent_for_every_option(facade: Facade) -> None:
    nulls = {"id": None, "parameters": None, "outputs": None, "image": {"parameters": None}}
    reply = post(facade, request(**nulls))
    assert reply.status == 200
    assert [output["name"] for output in reply.json["outputs"]] == ["probabilities", "meta"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_compressed_bodies_are_refused(facade: Facade, coding: str) -> None:
    replies = [
        post(facade, gzip.compress(json.dumps(request()).encode()), Content_Encoding=coding),
        facade.phenotype(gzip.compress(sample_images.png()), Content_Encoding=coding),
    ]
    assert [(reply.status, reply.headers["accept-encoding"]) for reply in replies] == [(415, "identity")] * 2
    assert post(facade, request(), Content_Encoding="identity").status == 200


def test_batch_error_names_the_invalid_image(facade: Facade) -> None:
    good, bad = (base64.b64encode(image).decode() for image in (sample_images.png(), b"GIF89a" + bytes(50)))
    reply = post(facade, request(image={"data": [good, bad], "shape": [2, 1]}))
    assert reply.status == 415
    assert reply.json["error"].startswith("image 1 of the batch")
