import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support import heic_files as files
from thale.errors import DamagedImageError, ImageError, ImageTooLargeError, ImageTooSmallError, UnsupportedImageError
from thale.imaging.heif_boxes import MAX_BOXES
from thale.imaging.heif_header import read_exif
from thale.imaging.image_io import decode, read_header
from thale.imaging.image_signatures import sniff

SQUARE = files.size(files.SIDE, files.SIDE)
_TOLERANCE = 6
TURNS = {
    (): (1, lambda pixels: pixels),
    (files.rotation(1),): (8, np.rot90),
    (files.rotation(2),): (3, lambda pixels: np.rot90(pixels, 2)),
    (files.rotation(3),): (6, lambda pixels: np.rot90(pixels, 3)),
    (files.mirror(0),): (4, np.flipud),
    (files.mirror(1),): (2, np.fliplr),
    (files.rotation(1), files.mirror(1)): (7, lambda pixels: np.fliplr(np.rot90(pixels))),
    (files.rotation(3), files.mirror(1)): (5, lambda pixels: np.fliplr(np.rot90(pixels, 3))),
}


@pytest.mark.parametrize("turns", TURNS)
def test_decode_applies_rotation_and_mirror(turns: tuple[bytes, ...]) -> None:
    orientation, turn = TURNS[turns]
    data = files.heic(SQUARE, files.crop(64, 48), *turns)
    expected = turn(files.scene()[:48])
    metadata = read_header(data)
    assert (metadata.height, metadata.width) == expected.shape[:2]
    assert (metadata.format, metadata.mode, metadata.bits, metadata.pages) == ("HEIC", "RGB", 8, 1)
    assert metadata.exif_orientation == orientation
    assert np.abs(decode(data).astype(int) - expected).max() <= _TOLERANCE


def test_orientation_in_exif_has_no_effect() -> None:
    exif = Image.Exif()
    exif[274] = 6
    metadata = read_header(files.with_exif(exif.tobytes()[6:]))
    assert metadata.exif_orientation == 1


def test_decode_joins_the_tiles_of_a_grid() -> None:
    data = files.grid(2, 3, 180, 100, files.rotation(3))
    expected = np.rot90(np.tile(files.scene(), (2, 3, 1))[:100, :180], 3)
    metadata = read_header(data)
    assert (metadata.width, metadata.height) == (100, 180)
    assert np.abs(decode(data).astype(int) - expected).max() <= _TOLERANCE


def test_read_exif_returns_the_block() -> None:
    exif = Image.Exif()
    exif[306] = "2026:05:01 10:00:00"
    block = exif.tobytes()[6:]
    assert read_exif(files.with_exif(block)) == block
    assert read_exif(files.heic(SQUARE)) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (files.heic(SQUARE, brand=b"hevc"), "sequence"),
        (files.heic(SQUARE, brand=b"msf1"), "sequence"),
        (files.heic()[:24], "truncated"),
        (files.heic(SQUARE, items={1: (b"av01", b"")}), "AV1 picture"),
        (files.heic(SQUARE, items={1: (b"iovl", b"")}), "made of others"),
        (files.heic(SQUARE, items={1: (b"hvc1", b""), 2: (b"hvc1", b"")}), "has 2 pictures"),
        (files.heic(SQUARE, files.box(b"colr", b"nclx\0\x09\0\x10\0\x09\x80")), "HDR"),
        (files.heic(SQUARE, files.rotation(1), files.crop(64, 48)), "turned before"),
    ],
)
def test_read_header_rejects_unsupported_variant(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedImageError, match=message):
        read_header(data)


@pytest.mark.parametrize("kind", [b"thmb", b"auxl"])
def test_thumbnails_and_auxiliary_images_do_not_count(kind: bytes) -> None:
    items = {1: (b"hvc1", files.PICTURE), 2: (b"hvc1", files.PICTURE)}
    role = files.box(b"auxC", bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0")
    data = files.heic(SQUARE, role, items=items, references=[(kind, 2, [1])])
    assert read_header(data).width == files.SIDE
    assert decode(data).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (files.heic(SQUARE, primary=9), "no primary"),
        (files.heic(), "no size"),
        (files.heic(SQUARE, files.size(32, 32)), "several"),
        (files.heic(SQUARE, files.crop(65, 64)), "larger than the image"),
        (files.heic(SQUARE, files.crop(129, 128, 2)), "whole pixels"),
        (files.heic(SQUARE, files.crop(64, 64, 0)), "whole pixels"),
        (files.grid(2, 2, 180, 100), "do not fit"),
        (files.grid(2, 2, 60, 100), "do not fit"),
        (files.heic(SQUARE, associations={1: [2]}), "configuration"),
        (files.heic(SQUARE)[:300], "send the whole file"),
    ],
)
def test_read_header_rejects_damaged_file(data: bytes, message: str) -> None:
    with pytest.raises(DamagedImageError, match=message):
        read_header(data)


def test_read_header_checks_the_limits_of_size() -> None:
    with pytest.raises(ImageTooLargeError, match="100 million pixels"):
        read_header(files.heic(files.size(100_000, 100_000)))
    with pytest.raises(ImageTooSmallError):
        read_header(files.heic(SQUARE, files.crop(16, 64)))


def test_grid_cannot_hide_the_size_of_its_tiles() -> None:
    """The cost is computed from the size of the image, so that tiles must not be much larger in total."""
    with pytest.raises(DamagedImageError, match="much larger"):
        read_header(files.grid(1, 1, 64, 64, side=20_000))


def test_decode_rejects_a_picture_larger_than_declared() -> None:
    huge = files.heic(SQUARE, configuration=files.HUGE_CONFIGURATION)
    assert read_header(huge).width == files.SIDE
    with pytest.raises(DamagedImageError, match="cannot be decoded completely"):
        decode(huge)


def test_total_work_of_boxes_is_limited() -> None:
    boxes = files.box(b"free", b"") * (MAX_BOXES + 1)
    with pytest.raises(DamagedImageError, match="boxes"):
        read_header(files.box(b"ftyp", b"heic" + bytes(8)) + files.box(b"meta", bytes(4) + boxes))
    references = files.box(b"dimg", struct.pack(">HH", 1, 0xFFFF) + bytes(2 * 0xFFFF)) * 2
    with pytest.raises(DamagedImageError, match="entries"):
        read_header(
            files.box(b"ftyp", b"heic" + bytes(8))
            + files.box(b"meta", bytes(4) + files.box(b"iref", bytes(4) + references))
        )


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_decode_rejects_truncated_heic(share: float) -> None:
    data = files.grid(2, 2, 128, 128)
    with pytest.raises(DamagedImageError):
        decode(data[: int(len(data) * share)])


def test_sniff_names_video_and_avif() -> None:
    assert sniff(files.heic()[:16]) == "HEIC"
    for brand, name in ((b"avif", "an AVIF"), (b"isom", "a video")):
        with pytest.raises(UnsupportedImageError, match=name):
            sniff(b"\0\0\0\x18ftyp" + brand + bytes(4))


_SEEDS = [
    files.heic(SQUARE, files.crop(64, 48), files.rotation(1)),
    files.grid(2, 2, 100, 100),
    files.with_exif(b"II*\0"),
]


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    data=st.sampled_from(_SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), min_size=1, max_size=6),
    retained_share=st.floats(0.05, 1),
)
def test_damaged_heic_raises_image_errors_only(
    data: bytes, edits: list[tuple[int, int]], retained_share: float
) -> None:
    mutated = bytearray(data)
    for position, value in edits:
        mutated[position % len(mutated)] = value
    changed = bytes(mutated[: max(16, int(len(mutated) * retained_share))])
    for call in (read_header, decode):
        with contextlib.suppress(ImageError):
            call(changed)
