"""Parsers of untrusted bytes as fuzz targets: each accepts any bytes and raises only the errors of its contract."""

import struct
import zlib
from collections.abc import Callable

from tests.support import heic_files
from thale.errors import (
    AnnotationError,
    DamagedImageError,
    ImageError,
    MalformedRequestError,
    ParameterError,
    ThaleError,
)
from thale.exports import rsml
from thale.facade.api.v2_request import parse_infer_request
from thale.facade.api.v2_tensors import OUTPUTS
from thale.imaging.image_io import read_header
from thale.imaging.tiff_directories import TiffDirectories

MAX_MESSAGE_LENGTH = 4000
MAX_BATCH = 16


def check_message(error: ThaleError) -> None:
    """Assert that a message is short, so that it cannot repeat a whole input."""
    assert len(str(error)) < MAX_MESSAGE_LENGTH


def read_image_header(data: bytes) -> None:
    try:
        metadata = read_header(data)
        assert metadata.width > 0
        assert metadata.height > 0
    except (ImageError, ParameterError) as error:
        check_message(error)


def read_tiff_directories(data: bytes) -> None:
    try:
        for tags in TiffDirectories(data).pages():
            assert all(value >= 0 for value in tags.values())
        TiffDirectories(data).first()
    except DamagedImageError as error:
        check_message(error)


def parse_inference_request(data: bytes) -> None:
    """Parse an inference request. If the first byte is 1, the last line is the length header."""
    json_length = None
    if data[:1] == b"\1":
        data, _, last_line = data[1:].rpartition(b"\n")
        json_length = last_line.decode("latin-1")
    try:
        request, images = parse_infer_request(data, json_length, MAX_BATCH)
        assert 1 <= len(images) <= MAX_BATCH
        assert sum(map(len, images)) <= len(data)
        request.select_outputs(OUTPUTS["segmentation"])
    except (ParameterError, MalformedRequestError) as error:
        check_message(error)


def read_rsml(data: bytes) -> None:
    try:
        document = rsml.read(data)
    except AnnotationError as error:
        check_message(error)
        return
    saved = rsml.save(document)
    assert rsml.save(rsml.read(saved)) == saved


TARGETS: dict[str, Callable[[bytes], None]] = {
    "image-header": read_image_header,
    "tiff-directories": read_tiff_directories,
    "infer-request": parse_inference_request,
    "rsml": read_rsml,
}


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _tiff(big: bool) -> bytes:
    tags = [(256, 4, 64), (257, 4, 48), (258, 3, 8), (262, 3, 1), (274, 3, 6), (277, 3, 1)]
    if big:
        head = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(tags))
        return head + b"".join(struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in tags) + bytes(8)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)


_EXIF = _tiff(big=False)
_JPEG = (
    b"\xff\xd8\xff\xe1" + struct.pack(">H", len(_EXIF) + 8) + b"Exif\0\0" + _EXIF
    + b"\xff\xc0\0\x11\x08\0\x40\0\x40\x03" + bytes(9) + b"\xff\xda"
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)) + _chunk(b"eXIf", _EXIF)
_JSON = (
    b'{"id":"7","parameters":{"mm_per_px":0.05,"binary_data_output":true},"inputs":[{"name":"image","datatype":"BYTES",'
    b'"shape":[1],"parameters":null,"data":["aW1hZ2U="]}],"outputs":[{"name":"meta","parameters":{"binary_data":false}}]}'
)
_BINARY_HEAD = (
    b'{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":9}}],"outputs":null}'
)
_RSML = (
    b"<rsml><metadata><version>1</version><unit>cm</unit><resolution>300 dpi</resolution></metadata><scene>"
    b'<plant id="1">'
    b'<root id="1.1"><geometry><polyline><point x="1" y="2"/><point x="3,5" y="4"/></polyline></geometry>'
    b'<properties><length>3</length></properties><functions><function name="diameter" domain="polyline">'
    b'<sample value="1"/></function></functions></root></plant></scene></rsml>'
)
SEEDS: dict[str, list[bytes]] = {
    "image-header": [_JPEG, _PNG, _tiff(False), _tiff(True), heic_files.grid(1, 2, 100, 64, heic_files.rotation(1))],
    "tiff-directories": [_tiff(False), _tiff(True)],
    "infer-request": [_JSON, b"\1" + _BINARY_HEAD + struct.pack("<I", 5) + b"image\n%d" % len(_BINARY_HEAD)],
    "rsml": [_RSML],
}
"""Small valid inputs of each target, from which mutations start."""
