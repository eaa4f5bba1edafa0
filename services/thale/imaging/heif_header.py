"""Header and EXIF block of HEIC files, the photographs of phones, without decoding pixels (ADR 0153).

A HEIC has one primary image: an HEVC picture, or a grid of HEVC tiles. Rotation and mirroring are properties of the
item. The orientation of its EXIF block has no effect, because encoders leave it unchanged when they add the property.
"""

import struct

from thale.errors import DamagedImageError, UnsupportedImageError
from thale.imaging.heif_boxes import HeifItems, ItemProperty, read_items
from thale.imaging.image_headers import Header

MAX_CODED_PIXELS = 110_000_000
"""Maximum number of pixels of all tiles. An image of up to 100 million pixels has incomplete tiles at two sides."""
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_SEQUENCE_BRANDS = (b"hevc", b"hevx", b"hevm", b"hevs", b"msf1")
_IMAGE_KINDS = (b"hvc1", b"grid", b"iovl", b"iden", b"av01", b"jpeg", b"j2k1", b"unci")
_EXPORT = "export the picture as JPEG, PNG or TIFF"
_PQ, _HLG = 16, 18
_MONOCHROME = 0
# Each orientation as the image of the axes: (x of x, y of x, x of y, y of y), for the stored pixel at (x, y).
_TRANSFORMS = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
_ORIENTATIONS = {transform: orientation for orientation, transform in _TRANSFORMS.items()}


def is_heic(prefix: bytes) -> bool:
    """Return True for the first 12 bytes of a HEIF file that can contain HEVC pictures or a sequence of them."""
    return prefix[4:8] == b"ftyp" and prefix[8:12] in _BRANDS + _SEQUENCE_BRANDS


def read_heic(data: bytes) -> Header:
    """Read the size, the pixel format and the orientation of the primary image.

    Raises:
        DamagedImageError: If a box is truncated, or if the tiles do not cover the image.
        UnsupportedImageError: If the file is a sequence, has several pictures, or a picture that is no 8- to 16-bit
            HEVC picture with the contrast of a photograph.
    """
    if data[8:12] in _SEQUENCE_BRANDS:
        raise UnsupportedImageError(f"this HEIC is a sequence of pictures: {_EXPORT}")
    found = read_items(data)
    _check_single_picture(found)
    coded_id, coded_pixels = _coded_item(data, found)
    width, height = _size(found, found.primary_id)
    if max(width * height, coded_pixels) > MAX_CODED_PIXELS and width * height <= MAX_CODED_PIXELS:
        raise DamagedImageError("the tiles of the HEIC are much larger than the image: save it again")
    orientation = 1
    for each in found.properties(found.primary_id):
        if each.kind == b"clap":
            width, height = _cropped_size(each.payload, width, height, orientation)
        elif each.kind in (b"irot", b"imir"):
            orientation = _turn(orientation, each)
        elif each.kind == b"colr" and each.payload[:4] == b"nclx" and each.payload[6:8] in (b"\0\x10", b"\0\x12"):
            raise UnsupportedImageError(f"this HEIC has the brightness scale of HDR video: {_EXPORT}")
    mode, bits = _pixel_format(found, coded_id)
    return Header("HEIC", width, height, mode, bits, orientation)


def read_exif(data: bytes) -> bytes | None:
    """Return the EXIF block of a HEIC, which starts with its TIFF header, or None without one.

    Raises:
        DamagedImageError: If a box or the block is truncated.
        UnsupportedImageError: If the file has no still images.
    """
    found = read_items(data)
    for item_id, item in found.items.items():
        if item.kind == b"Exif" and found.primary_id in found.references.get((b"cdsc", item_id), (found.primary_id,)):
            block = found.read_item(data, item_id)
            return block[4 + int.from_bytes(block[:4], "big") :]
    return None


def _check_single_picture(found: HeifItems) -> None:
    primary = found.items.get(found.primary_id)
    if primary is None:
        raise DamagedImageError("the HEIC declares no primary picture: save it again")
    if primary.kind not in (b"hvc1", b"grid"):
        name = {b"av01": "an AV1 picture", b"jpeg": "a JPEG"}.get(primary.kind, "a picture made of others")
        raise UnsupportedImageError(f"this HEIC contains {name}: {_EXPORT}")
    parts = {target for (kind, _), ids in found.references.items() if kind == b"dimg" for target in ids}
    parts |= {source for kind, source in found.references if kind in (b"thmb", b"auxl", b"base")}
    pictures = sum(
        item.kind in _IMAGE_KINDS and not item.is_hidden and item_id not in parts - {found.primary_id}
        for item_id, item in found.items.items()
    )
    if pictures > 1:
        raise UnsupportedImageError(
            f"this HEIC has {pictures} pictures: export the one to measure as JPEG, PNG or TIFF"
        )


def _coded_item(data: bytes, found: HeifItems) -> tuple[int, int]:
    """Return the item with the pixel format, and the number of pixels that a decoder computes.

    Raises:
        DamagedImageError: If the tiles do not cover the image exactly once, with incomplete tiles at the right and
            lower side alone.
    """
    width, height = _size(found, found.primary_id)
    if found.items[found.primary_id].kind == b"hvc1":
        found.check_complete(data, [found.primary_id])
        return found.primary_id, width * height
    layout = found.read_item(data, found.primary_id)
    wide = bool(layout[1] & 1) if len(layout) > 1 else False
    if len(layout) < (12 if wide else 8):
        raise DamagedImageError("the layout of the HEIC's tiles is truncated: send the whole file")
    rows, columns = layout[2] + 1, layout[3] + 1
    tiles = found.references.get((b"dimg", found.primary_id), ())
    sizes = {_size(found, tile) for tile in tiles}
    if len(tiles) != rows * columns or len(sizes) != 1 or any(_kind(found, tile) != b"hvc1" for tile in tiles):
        raise DamagedImageError(f"the HEIC needs {rows} x {columns} tiles of one size, and has others: save it again")
    [(tile_width, tile_height)] = sizes
    declared = struct.unpack_from(">II" if wide else ">HH", layout, 4)
    covers = 0 <= columns * tile_width - width < tile_width and 0 <= rows * tile_height - height < tile_height
    if declared != (width, height) or not covers:
        raise DamagedImageError(
            f"the tiles of the HEIC do not fit its size ({rows} x {columns} tiles of {tile_width} x {tile_height} px "
            f"for {width} x {height} px): save it again"
        )
    found.check_complete(data, tiles)
    return tiles[0], rows * columns * tile_width * tile_height


def _kind(found: HeifItems, item_id: int) -> bytes:
    item = found.items.get(item_id)
    return item.kind if item else b""


def _size(found: HeifItems, item_id: int) -> tuple[int, int]:
    payloads = [each.payload for each in found.properties(item_id) if each.kind == b"ispe"]
    if len(set(payloads)) != 1 or len(payloads[0]) < 12:
        raise DamagedImageError("a picture of the HEIC has no size, or several: save it again")
    width, height = struct.unpack_from(">II", payloads[0], 4)
    return int(width), int(height)


def _cropped_size(payload: bytes, width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the size after the crop by which encoders remove padding.

    Raises:
        DamagedImageError: If the crop is truncated, not in whole pixels, or larger than the image.
        UnsupportedImageError: If the picture is turned before the crop.
    """
    if orientation != 1:
        raise UnsupportedImageError(f"this HEIC is turned before it is cropped: {_EXPORT}")
    if len(payload) < 16:
        raise DamagedImageError("the crop of the HEIC is truncated: send the whole file")
    width_n, width_d, height_n, height_d = struct.unpack_from(">IIII", payload)
    if not width_d or not height_d or width_n % width_d or height_n % height_d:
        raise DamagedImageError("the crop of the HEIC is not in whole pixels: save it again")
    cropped = width_n // width_d, height_n // height_d
    if not (0 < cropped[0] <= width and 0 < cropped[1] <= height):
        raise DamagedImageError("the crop of the HEIC is larger than the image: save it again")
    return cropped


def _turn(orientation: int, applied: ItemProperty) -> int:
    """Return the orientation after a further rotation (counter-clockwise quarters) or mirroring."""
    value = applied.payload[0] if applied.payload else 0
    step = (1, 8, 3, 6)[value & 3] if applied.kind == b"irot" else (4, 2)[value & 1]
    a, b, c, d = _TRANSFORMS[orientation]
    e, f, g, h = _TRANSFORMS[step]
    return _ORIENTATIONS[(a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)]


def _pixel_format(found: HeifItems, item_id: int) -> tuple[str, int]:
    for each in found.properties(item_id):
        if each.kind == b"hvcC" and len(each.payload) >= 18:
            chroma, bits = each.payload[16] & 3, (each.payload[17] & 7) + 8
            return ("L" if chroma == _MONOCHROME else "RGB"), bits
    raise DamagedImageError("a picture of the HEIC has no decoder configuration: save it again")
