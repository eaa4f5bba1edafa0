"""Parser of inference requests: hostile JSON costs no more than it sends."""

import base64
import json
import time
import tracemalloc
from typing import Any

import pytest

from thale.errors import MalformedRequestError, ParameterError
from thale.facade.api.v2_json import MAX_JSON_BYTES, decode_base64, split_long_texts
from thale.facade.api.v2_request import InferRequest, parse_infer_request

IMAGE = bytes(range(256)) * 12


def request(**fields: Any) -> bytes:
    image = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "data": [base64.b64encode(IMAGE).decode()],
    }
    return json.dumps({"inputs": [image | fields.pop("image", {})], **fields}).encode()


def parse(body: bytes, json_length: str | None = None) -> tuple[InferRequest, list[bytes]]:
    return parse_infer_request(body, json_length, 16)


HOSTILE_BODIES = {
    "numbers of 4,000 digits": b'{"inputs":[{"name":"image","datatype":"BYTES","shape":['
    + b",".join([b"9" * 4000] * 400)
    + b'],"data":["x"]}]}',
    "one number": b'{"inputs":[{"name":"image","datatype":"BYTES","shape":[' + b"9" * 15_000 + b'],"data":["x"]}]}',
    "empty inputs": b'{"inputs":[' + b",".join([b"{}"] * 1_300_000) + b"]}",
    "inputs within the limit": b'{"inputs":[' + b",".join([b"{}"] * 5_000) + b"]}",
    "nested data": b'{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":['
    + b",".join([b"[]"] * 4_000_000)
    + b"]}]}",
    "depth": b'{"inputs":' + b"[" * 15_000,
    "unknown parameters": b'{"inputs":[],"parameters":{'
    + b",".join(b'"%d":1' % index for index in range(1_000))
    + b"}}",
    "one key": b'{"' + b"k" * 2_000_000 + b'":1}',
    "quotation marks": b'"' * 4_000_000,
    "escapes": b'"' + b'\\"' * 2_000_000,
    "backslashes": b'"' + b"\\" * 4_000_000 + b'"',
    "open text": b'{"inputs":[{"data":["' + b"A" * 4_000_000,
    "many texts": b"[" + b",".join([b'"' + b"A" * 1100 + b'"'] * 4_000) + b"]",
    "text as id": json.dumps({"id": "A" * 4000, "inputs": json.loads(request())["inputs"]}).encode(),
    "text as name": request(image={"name": "A" * 4000}),
    "text as output": request(outputs=[{"name": "A" * 4000}]),
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_parser_refuses_hostile_json_at_bounded_cost(name: str) -> None:
    body = HOSTILE_BODIES[name]
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(ParameterError) as refusal:
            parse(body)
        seconds, (_, peak_bytes) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(refusal.value)) < 2000
    assert peak_bytes < 2 * len(body) + 8 * 2**20
    assert seconds < 5  # 39 s before the bounds; about 0.1 s under tracemalloc since


def test_parser_returns_images_of_flat_and_nested_data() -> None:
    text = base64.b64encode(IMAGE).decode()
    for shape, data in (
        ([2], [text, text]),
        ([2, 1], [[text], [text]]),
        ([1, 2], [[text, text]]),
        ([2, 1], [text] * 2),
    ):
        assert parse(request(image={"shape": shape, "data": data}))[1] == [IMAGE, IMAGE]


def test_parser_reads_short_texts_and_padding() -> None:
    for image in (b"a", b"ab", b"abc", b"x" * 767, b"x" * 768, b"x" * 769):
        data = [base64.b64encode(image).decode()]
        assert parse(request(image={"data": data}))[1] == [image]


@pytest.mark.parametrize("escape", [(b"+", b"\\u002B"), (b"/", b"\\/"), (b"=", b"\\u003d")])
def test_parser_reads_escaped_base64(escape: tuple[bytes, bytes]) -> None:
    image = b"\xfb\xff\xfe" * 1000 + b"a"
    body = request(image={"data": [base64.b64encode(image).decode()]}).replace(*escape)
    assert parse(body)[1] == [image]


def test_decode_base64_rejects_padding_between_blocks() -> None:
    block = base64.b64encode(bytes(3 * 2**18))
    assert decode_base64(block * 2) == bytes(6 * 2**18)
    with pytest.raises(ValueError, match="padding"):
        decode_base64(block[:-4] + b"AA==" + block)


def test_long_texts_are_separated_from_the_rest() -> None:
    split = split_long_texts(b'{"a": "short", "b": "' + b"B" * 2000 + b'"}', 2024, 16)
    [(marker, text)] = split.texts.items()
    assert text == b"B" * 2000
    assert json.loads(split.json) == {"a": "short", "b": marker}


def test_json_is_limited_without_its_long_texts() -> None:
    spaces = b" " * (MAX_JSON_BYTES + 1)
    with pytest.raises(ParameterError, match=f"more than {MAX_JSON_BYTES} bytes"):
        parse(request() + spaces)
    assert parse(request() + spaces[: MAX_JSON_BYTES // 2])[1] == [IMAGE]


def test_binary_tensor_stops_at_the_declared_count() -> None:
    tail = bytes(4) * 5_000_000
    head = request(image={"data": None, "parameters": {"binary_data_size": len(tail)}})
    with pytest.raises(ParameterError, match="2 elements"):
        parse(head + tail, str(len(head)))


@pytest.mark.parametrize("length", ["²", "-5", "", "1.0", "0x10", "9" * 5000])
def test_length_that_is_no_number_is_malformed(length: str) -> None:
    with pytest.raises(MalformedRequestError):
        parse(request(), length)


def test_length_header_is_quoted_in_part_only() -> None:
    with pytest.raises(MalformedRequestError, match="send the length of the JSON") as raised:
        parse_infer_request(b"{}", "9" * 60_000, 1)
    assert len(str(raised.value)) < 200
