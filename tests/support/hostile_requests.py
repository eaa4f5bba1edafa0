"""Generated hostile requests: mutations of images, inference requests, multipart bodies and headers, from a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support import sample_images
from tests.support.fuzz_targets import SEEDS

_V2_PATH = "/v2/models/plate-seg/infer"
_HEADER_VALUES = ("", "\xb2", "-1", "0", "1e9", "9" * 200, "gzip", "a,b;q=x", "\xff", "multipart/form-data", "identity")
_HEADER_NAMES = (
    "Content-Encoding",
    "Inference-Header-Content-Length",
    "Accept",
    "Content-Type",
    "X-Request-Id",
    "traceparent",
    "Idempotency-Key",
)
_QUERIES = (
    "",
    "page=99999",
    "mm_per_px=nan",
    "page=0&page=1",
    "model=%00",
    "name=%ff%fe",
    "x=" + "y" * 900,
)
_KEYS = (b"inputs", b"outputs", b"parameters", b"data", b"shape", b"name", b"datatype", b"id")
_JSON_VALUES = (
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b"1e400",
    b"9" * 4301,
    b'"\\ud800"',
    b"[[[[]]]]",
    b"true",
    b'""',
    b"[" * 3000,
)


@dataclass(frozen=True)
class MutatedRequest:
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def hostile_requests(count: int, seed: int) -> Iterator[MutatedRequest]:
    generator = random.Random(seed)
    kinds = (_image_request, _infer_request, _multipart_request)
    for index in range(count):
        request = kinds[index % len(kinds)](generator)
        if generator.random() < 0.3:
            request.headers[generator.choice(_HEADER_NAMES)] = generator.choice(_HEADER_VALUES)
        yield request


def _mutate(data: bytes, generator: random.Random, header_bytes: int = 400) -> bytes:
    mutated = bytearray(data)
    for _ in range(generator.randint(1, 8)):
        span = min(header_bytes, len(mutated)) if generator.random() < 0.8 else len(mutated)
        position = generator.randrange(span + 1)
        match generator.randrange(4):
            case 0:
                mutated[position : position + 4] = generator.randbytes(4)
            case 1:
                mutated[position:position] = mutated[position : position + 12] * generator.randint(1, 200)
            case 2:
                del mutated[position : position + generator.randint(1, 40)]
            case _:
                mutated[position : position + 4] = generator.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    return bytes(mutated[: generator.randint(1, len(mutated))] if mutated and generator.random() < 0.1 else mutated)


def _image(generator: random.Random) -> bytes:
    seeds = [*SEEDS["image-header"], sample_images.png(), sample_images.jpeg()]
    return _mutate(generator.choice(seeds), generator)


def _image_request(generator: random.Random) -> MutatedRequest:
    query = generator.choice(_QUERIES)
    return MutatedRequest(f"/v1/phenotype?{query}" if query else "/v1/phenotype", _image(generator))


def _infer_request(generator: random.Random) -> MutatedRequest:
    headers = {"Content-Type": "application/json"}
    body = generator.choice(SEEDS["infer-request"]).lstrip(b"\1")
    if generator.random() < 0.5:
        key, value = generator.choice(_KEYS), generator.choice(_JSON_VALUES)
        body = body.replace(b'"%s":' % key, b'"%s":%s,"_":' % (key, value), 1)
    else:
        body = _mutate(body, generator)
    if generator.random() < 0.3:
        headers["Inference-Header-Content-Length"] = str(generator.choice((0, 1, len(body) // 2, len(body), 10**11)))
    return MutatedRequest(_V2_PATH, body, headers)


def _multipart_request(generator: random.Random) -> MutatedRequest:
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = head + _image(generator)[:5000] + b"\r\n--b--\r\n"
    return MutatedRequest(
        "/v1/phenotype", _mutate(body, generator, 120), {"Content-Type": "multipart/form-data; boundary=b"}
    )
