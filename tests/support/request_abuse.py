"""Requests that abuse one element of HTTP or of a body, each kind generated from a seed: headers, forms, JSON keys.

`hostile_requests` mutates valid requests. These requests are large or repetitive where a server may not expect it.
"""

import random
from collections.abc import Callable, Iterator, Mapping

from tests.support import sample_images
from tests.support.hostile_requests import MutatedRequest

_LANDMARKS = "/v1/landmarks"
_FORM = {"Content-Type": "multipart/form-data; boundary=b"}
_JSON = {"Content-Type": "application/json"}
_PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
_QUALITIES = ("1e999", "nan", "-0", "0_1", "inf", "\u0661", "9" * 5000, "0." + "0" * 5000 + "1", "1;q=0", "")


def _with_headers(**headers: str) -> MutatedRequest:
    return MutatedRequest(_LANDMARKS, sample_images.png(), {name.replace("_", "-"): v for name, v in headers.items()})


def _accept(generator: random.Random) -> MutatedRequest:
    types = ("a/b", "*/*", "image/png", "application/json", "/", "a/", ";", "application/*")
    count = generator.choice((1, 50, 2000))
    ranges = (f"{generator.choice(types)};q={generator.choice(('1', '0.5', '0', '2'))}" for _ in range(count))
    return _with_headers(Accept=",".join(ranges))


def _quality(generator: random.Random) -> MutatedRequest:
    return _with_headers(Accept=f"application/json;q={generator.choice(_QUALITIES)}".encode().decode("latin-1"))


def _idempotency_key(generator: random.Random) -> MutatedRequest:
    keys = (
        "a" * 256,
        "x" * 30_000,
        '"',
        '""',
        "a b",
        "a\\b",
        "\x7f",
        f'"{generator.random()}"',
        str(generator.random()),
    )
    return _with_headers(Idempotency_Key=generator.choice(keys))


def _range(generator: random.Random) -> MutatedRequest:
    ranges = ("bytes=0-0", "bytes=-1", "bytes=9-1", "x" * 9000, "bytes=" + ",".join(["0-0"] * 3000))
    return _with_headers(Range=generator.choice(ranges), If_Range=generator.choice(("*", '"a"', "x" * 100)))


def _upgrade(generator: random.Random) -> MutatedRequest:
    protocols = ("websocket", "h2c", "TLS/1.0", "a, b, c", "x" * 3000, ",")
    return _with_headers(Connection="Upgrade", Upgrade=generator.choice(protocols))


def _expect(generator: random.Random) -> MutatedRequest:
    return _with_headers(Expect=generator.choice(("200-ok", "x" * 3000, "100-continue, a", "")))


def _parts(generator: random.Random) -> MutatedRequest:
    part = generator.choice(
        (_PART + b"x\r\n", b"--b\r\n\r\n\r\n", _PART, b'--b\r\nContent-Disposition: a; name="x"\r\n\r\n')
    )
    return MutatedRequest(_LANDMARKS, part * generator.choice((2, 5000)) + b"--b--\r\n", dict(_FORM))


def _part_headers(generator: random.Random) -> MutatedRequest:
    headers = generator.choice((b"a: b\r\n" * 50_000, b"a: " + b"b" * 500_000 + b"\r\n", b"a" * 500_000, b": \r\n" * 9))
    return MutatedRequest(_LANDMARKS, b"--b\r\n" + headers + b"\r\nx\r\n--b--\r\n", dict(_FORM))


def _form_data(generator: random.Random) -> MutatedRequest:
    content = generator.choice((b"\r", b"\r\n--", b"\r\n--b", b"--b--", b"\n")) * generator.choice((10, 200_000))
    body = _PART + sample_images.png() + content + b"\r\n--b--\r\n" + content
    boundary = generator.choice(("b", '"b"', "b" * 300, "", '"' + '\\"' * 5000, "b; " + "a=b; " * 2000))
    return MutatedRequest(_LANDMARKS, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def _repeated_infer_keys(generator: random.Random) -> MutatedRequest:
    tensor = b'"inputs":[{"name":"image","shape":[1],"datatype":"BYTES","data":["%s"]}],'
    key = generator.choice((tensor % (b"A" * 2000), tensor % b"", b'"id":"a",', b'"inputs":[],', b'"parameters":{},'))
    body = b"{" + key * generator.choice((2, 1000)) + (tensor % b"QQ==").rstrip(b",") + b"}"
    return MutatedRequest("/v2/models/plate-landmarks/infer", body, dict(_JSON))


def _repeated_series_keys(generator: random.Random) -> MutatedRequest:
    key = generator.choice((b'"photographs":[],', b'"photographs":[{}],', b'"time_zone":"UTC",', b'"x":1,'))
    return MutatedRequest("/v1/series", b"{" + key * generator.choice((2, 50_000)) + b'"time_zone":"UTC"}', dict(_JSON))


_KINDS: Mapping[str, Callable[[random.Random], MutatedRequest]] = {
    "accept": _accept,
    "quality": _quality,
    "idempotency-key": _idempotency_key,
    "range": _range,
    "upgrade": _upgrade,
    "expect": _expect,
    "parts": _parts,
    "part-headers": _part_headers,
    "form-data": _form_data,
    "infer-keys": _repeated_infer_keys,
    "series-keys": _repeated_series_keys,
}
KINDS = tuple(_KINDS)


def abusive_requests(kind: str, count: int, seed: int) -> Iterator[MutatedRequest]:
    """Yield requests of one of `KINDS`."""
    generator = random.Random(f"{kind} {seed}")
    for _ in range(count):
        yield _KINDS[kind](generator)
