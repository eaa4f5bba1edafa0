import hashlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from thale.errors import (
    DamagedImageError,
    EmptyImageError,
    ImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    MultiPageImageError,
    ParameterError,
    UnsupportedImageError,
)
from thale.imaging.image_io import decode, read_header
from thale.imaging.image_signatures import sniff

ORIENTATION = 0x0112


def scene(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Return a smooth image whose four corners differ, so that JPEG preserves it and a rotation is visible."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([40 + 180 * x, 40 + 180 * y, 220 - 90 * (x + y)], axis=-1).astype(np.uint8)


def encode_image(pixels: NDArray[np.generic], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def png_16(samples_HWC: NDArray[np.uint16], colour: int) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples_HWC)
    return png(samples_HWC.shape[1], samples_HWC.shape[0], 16, colour, rows)


def encode_with_orientation(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode_image(scene(), kind, exif=exif, **({"quality": 98, "subsampling": 0} if kind == "JPEG" else {}))


UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_decode_applies_every_exif_orientation(kind: str, orientation: int) -> None:
    data = encode_with_orientation(kind, orientation)
    expected = UPRIGHT[orientation](scene())
    pixels, metadata = decode(data), read_header(data)
    assert np.abs(pixels.astype(int) - expected).max() <= 6
    assert (metadata.height, metadata.width) == expected.shape[:2]
    assert metadata.exif_orientation == orientation


def test_read_header_returns_format_size_and_digest() -> None:
    data = encode_image(scene(), "PNG")
    metadata = read_header(data, name="plate 1.png")
    assert (metadata.format, metadata.mode, metadata.bits, metadata.pages) == ("PNG", "RGB", 8, 1)
    assert (metadata.size_bytes, metadata.name) == (len(data), "plate 1.png")
    assert metadata.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_decode_converts_every_plain_mode_to_rgb(kind: str, mode: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    expected = np.asarray(image.convert("RGB"))
    assert decode(buffer.getvalue()).shape == (48, 64, 3)
    np.testing.assert_array_equal(decode(buffer.getvalue()), expected)


def test_decode_drops_alpha_and_preserves_colours() -> None:
    hidden = np.dstack([scene(), np.zeros((48, 64), np.uint8)])
    np.testing.assert_array_equal(decode(encode_image(hidden, "PNG")), scene())
    np.testing.assert_array_equal(decode(encode_image(hidden, "TIFF")), scene())


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_decode_converts_cmyk_to_rgb(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).convert("CMYK").save(buffer, kind)
    assert read_header(buffer.getvalue()).mode == "CMYK"
    assert np.abs(decode(buffer.getvalue()).astype(int) - scene()).mean() < 4


@pytest.mark.parametrize(("used_bits", "shift"), [(8, 0), (10, 2), (12, 4), (14, 6), (16, 8)])
def test_decode_shifts_16_bit_samples_by_used_bits(used_bits: int, shift: int) -> None:
    deep = (scene().astype(np.uint16) << 8 >> (16 - used_bits)) | (1 << (used_bits - 1))
    expected = (deep >> shift).astype(np.uint8)
    grey = np.repeat(expected[..., :1], 3, axis=2)
    for data in (
        png_16(deep, colour=2),
        png_16(np.dstack([deep, deep[..., :1]]), colour=6),
        tiff(deep, photometric="rgb"),
        tiff(deep, photometric="rgb", byteorder=">"),
        tiff(deep, photometric="rgb", compression="zlib", predictor=True),
        tiff(deep, photometric="rgb", compression="zlib", byteorder=">"),
        tiff(deep, photometric="rgb", bigtiff=True),
        tiff(np.moveaxis(deep, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        tiff(np.dstack([deep, deep[..., :1]]), photometric="rgb", extrasamples=["unassalpha"]),
    ):
        np.testing.assert_array_equal(decode(data), expected)
    for data in (
        png_16(deep[..., :1], colour=0),
        png_16(deep[..., :2], colour=4),
        tiff(deep[..., 0], photometric="minisblack"),
        tiff(deep[..., 0], photometric="minisblack", compression="zlib", byteorder=">"),
        tiff(deep[..., :2].copy(), photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]),
        encode_image(deep[..., 0], "TIFF", compression="tiff_lzw"),
    ):
        np.testing.assert_array_equal(decode(data), grey)


def test_decode_does_not_stretch_contrast_of_dark_16_bit_image() -> None:
    narrow = np.full((40, 40), 2100, np.uint16)
    narrow[10:20] = 2000
    assert set(np.unique(decode(tiff(narrow)))) == {2000 >> 4, 2100 >> 4}


@pytest.mark.parametrize("hot", [8192, 65535])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_decode_ignores_hot_pixels_of_16_bit_image(hot: int, compression: str | None) -> None:
    deep = scene()[..., 0].astype(np.uint16) << 4
    deep[0, 0] = 4095
    expected = decode(tiff(deep))
    deep[5, 5] = deep[7, 9] = hot
    expected[5, 5] = expected[7, 9] = 255
    np.testing.assert_array_equal(decode(tiff(deep, compression=compression)), expected)


def test_decode_uses_the_bit_depth_of_large_images() -> None:
    deep = np.full((2100, 2100), 700, np.uint16)
    deep[::40] = 900
    deep[5, 5] = 65535
    assert set(np.unique(decode(tiff(deep)))) == {700 >> 2, 900 >> 2, 255}


@pytest.mark.parametrize("quality", [20, 30, 50, 75, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_read_header_estimates_quality_of_jpeg(quality: int, mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).convert(mode).save(buffer, "JPEG", quality=quality)
    assert read_header(buffer.getvalue()).jpeg_quality == quality


def test_read_header_knows_no_quality_without_tables() -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "JPEG")
    data = buffer.getvalue()
    start = data.index(b"\xff\xdb")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    assert read_header(data[:start] + data[start + 2 + length :]).jpeg_quality is None
    assert read_header(png_16(scene().astype(np.uint16), colour=2)).jpeg_quality is None


def test_decode_inverts_tiff_when_white_is_zero() -> None:
    deep = scene()[..., 0].astype(np.uint16) << 8 | 0xFF
    assert decode(tiff(deep, photometric="miniswhite"))[0, 0, 0] == 255 - scene()[0, 0, 0]
    assert decode(tiff(scene()[..., 0], photometric="miniswhite"))[0, 0, 0] == 255 - scene()[0, 0, 0]


@pytest.mark.parametrize("pixels", [np.zeros((40, 40), np.float32), np.zeros((40, 40), np.int16)])
def test_read_header_rejects_tiff_of_float_or_signed_samples(pixels: NDArray[np.generic]) -> None:
    with pytest.raises(UnsupportedImageError, match="save it with 8 or 16 bits"):
        read_header(tiff(pixels))


def test_decode_names_remedy_when_tiff_layout_is_unsupported() -> None:
    planes = np.zeros((3, 40, 40), np.uint16)
    with pytest.raises(UnsupportedImageError, match="tiffcp -c none"):
        decode(tiff(planes, photometric="rgb", planarconfig="separate", compression="zlib"))


def test_decode_requires_page_when_tiff_has_several_pages() -> None:
    pages = np.stack([scene(), scene()[::-1], scene()[:, ::-1]])
    data = tiff(pages, photometric="rgb")
    with pytest.raises(MultiPageImageError, match="page=0 … page=2"):
        read_header(data)
    with pytest.raises(MultiPageImageError):
        decode(data)
    assert read_header(data, page=1).pages == 3
    for page in range(3):
        np.testing.assert_array_equal(decode(data, page=page), pages[page])
    with pytest.raises(ParameterError, match="has 3 pages"):
        decode(data, page=3)
    with pytest.raises(ParameterError, match="has 1 page,"):
        decode(encode_image(scene(), "PNG"), page=1)


def test_read_header_does_not_count_thumbnails_as_pages() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(scene()[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        writer.write(scene(), photometric="rgb", metadata=None)
    assert read_header(buffer.getvalue()).pages == 1
    np.testing.assert_array_equal(decode(buffer.getvalue()), scene())


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"GIF89a" + bytes(40), "a GIF"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP"),
        (b"BM" + bytes(60), "a BMP"),
        (b"\0\0\0\x18ftypavif", "an AVIF"),
        (b"%PDF-1.7", "a PDF"),
        (b"\xef\xbb\xbf <svg xmlns=''>", "an SVG"),
        (b"<!doctype html>", "HTML"),
        (b'{"image": 1}', "JSON"),
        (b"hello, plate", "text"),
        (b"--boundary\r\nContent-Disposition: form-data", "a multipart form"),
        (b"/9j/4AAQSkZJRg==", "base64"),
        (bytes(64), "an unknown format"),
        (b"\xff", "an unknown format"),
    ],
)
def test_sniff_names_format_of_unsupported_file(data: bytes, description: str) -> None:
    for call in (sniff, read_header, decode):
        with pytest.raises(UnsupportedImageError, match=description):
            call(data)


def test_sniff_rejects_empty_body() -> None:
    for call in (sniff, read_header, decode):
        with pytest.raises(EmptyImageError):
            call(b"")


def test_read_header_rejects_raw_photograph_with_tiff_signature() -> None:
    dng = tiff(scene(), photometric="rgb", extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])
    with pytest.raises(UnsupportedImageError, match="DNG"):
        read_header(dng)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_read_header_rejects_huge_size_without_allocation(kind: str) -> None:
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, 100_000) for tag in (256, 257))
    data = {"PNG": png(100_000, 100_000, 8, 2, b""), "TIFF": b"II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4)}[
        kind
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (read_header, decode):
            with pytest.raises(ImageTooLargeError, match="100 million pixels"):
                call(data)


def test_read_header_rejects_small_image() -> None:
    with pytest.raises(ImageTooSmallError, match="1 x 1 px"):
        read_header(encode_image(scene()[:1, :1], "PNG"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_decode_rejects_truncated_file(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    data = encode_image(noise, kind)
    with pytest.raises(DamagedImageError):
        decode(data[: int(len(data) * share)])


def test_decode_rejects_decoder_attacks() -> None:
    for data in (
        b"\xff\xd8" + b"\xff" * 1_000_000,
        b"\xff\xd8\xff" + b"\xfe\0\x02\xff" * 20_000,
        b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    ):
        with pytest.raises(DamagedImageError):
            decode(data)


def test_decode_is_thread_safe() -> None:
    files = [encode_with_orientation(kind, 6) for kind in ("JPEG", "PNG", "TIFF")] * 8
    alone = [decode(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(decode, files), strict=True):
            np.testing.assert_array_equal(one, other)


SEEDS = [
    encode_image(scene(), "JPEG"),
    encode_image(scene(), "JPEG", progressive=True),
    encode_image(scene(), "PNG"),
    png_16(scene().astype(np.uint16) << 8, colour=2),
    encode_image(scene(), "TIFF", compression="tiff_lzw"),
    tiff(scene(), photometric="rgb"),
    tiff(scene().astype(np.uint16) << 8, photometric="rgb", compression="zlib", byteorder=">"),
    tiff(scene().astype(np.uint16) << 4, photometric="rgb", tile=(32, 32), bigtiff=True),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns about damaged tags
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    in_header=st.booleans(),
    retained_share=st.floats(0.05, 1),
)
def test_decode_raises_only_image_errors_for_damaged_files(
    data: bytes, edits: list[tuple[float, int]], in_header: bool, retained_share: float
) -> None:
    mutated = bytearray(data)
    for position, value in edits:
        mutated[int(position * (min(300, len(mutated)) if in_header else len(mutated)))] = value
    del mutated[int(len(mutated) * retained_share) :]
    try:
        pixels = decode(bytes(mutated), page=None)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


@pytest.mark.parametrize(("size", "is_accepted"), [((33, 1650), True), ((33, 1651), False), ((30_000, 40), False)])
def test_read_header_limits_the_ratio_of_the_sides(size: tuple[int, int], is_accepted: bool) -> None:
    """A strip of few pixels would occupy a model worker for minutes, because tiles have a minimum size."""
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    if is_accepted:
        assert read_header(buffer.getvalue()).width == size[0]
    else:
        with pytest.raises(ImageTooLargeError, match="the longer side may be up to 50 times the shorter one"):
            read_header(buffer.getvalue())
