"""HEIC files for tests, built box by box around one HEVC picture of 64 x 64 px, so that every box can be wrong.

No encoder is needed: those of HEVC have licences that forbid their use here.
"""

import struct
from base64 import b85decode
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

SIDE = 64
CONFIGURATION = b85decode(
    b"0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDD?$MQ18@KU0|1Z!00RI30{|YNAb|yz>PacCZUPz%"
    b"2mk;B0LTCU0{{p>VgLaE2SfqEa<C#m"
)
"""Decoder configuration (hvcC) of the picture."""
PICTURE = b85decode(
    b"0003;C;_ho`0aUsg&2n!?Wh!CO;1)y4j?dJRXR^}%b0_<x^y@(|KOgd<ofTq_r43`&m#>*Oh+0@-pL-P*RN9eS<*OM_|rxB!Aft!YqCCCVnP}#"
    b"_FsX}g^d_bv+;ve^4z*W*0e7rX^W7xf`wGZd)@-eA67c*okGKOCrU4lWJaN96pr9#puLJW4$by`z2wy?Fe@P$@2;XF=(4&qnW$!AJ!E1+8Z0$7"
    b"eRCLd$hdD%2;x^l-VKFulunDayMptVLRM?e#v6OIt3Z^-Tb^YxI3doXcORckX_ibpV9bk!CmYp$&*@SP3syUZ$y7pwZgzX?mzrvyUrklk(WI%8"
    b"A!HZ!`y!q^(=ITV{T;<a#tqS@pYHz#{}q2ll%vWEB{OY(**!sdgI12PXgkU}_Q_wu!`MMVsy9-SUqpANd!$|"
)
"""The picture `scene()` at quality 80."""
HUGE_CONFIGURATION = b85decode(
    b"0RwOV0058x00000wD17@{rLC*01pFT0096PKmiN^|NjGU00093kN^M!00093w7LR7VE_RDE<ynT18@KU0|1Z!00RI30|2z30DuSpKn0fSNhz*w"
    b"0vZem00093$N&HX00=;000968L;=Bauwp;"
)
"""Decoder configuration of a picture of 4096 x 4096 px."""


def scene() -> NDArray[np.uint8]:
    """Return the pixels of the picture before its compression: its four corners differ."""
    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    return np.stack([40 + 180 * x, 40 + 180 * y, 220 - 90 * (x + y)], axis=-1).astype(np.uint8)


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def size(width: int, height: int) -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height))


def crop(width: int, height: int, denominator: int = 1) -> bytes:
    """Return a crop whose upper left corner is that of the picture of 64 x 64 px."""
    offsets = (width - SIDE, 2, height - SIDE, 2)
    return box(b"clap", struct.pack(">IIIIiIiI", width, denominator, height, denominator, *offsets))


def rotation(quarters: int) -> bytes:
    return box(b"irot", bytes([quarters]))


def mirror(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


def heic(
    *properties: bytes,
    items: Mapping[int, tuple[bytes, bytes]] | None = None,
    references: Sequence[tuple[bytes, int, Sequence[int]]] = (),
    associations: Mapping[int, Sequence[int]] | None = None,
    primary: int = 1,
    brand: bytes = b"heic",
    hidden: Sequence[int] = (),
    configuration: bytes = CONFIGURATION,
) -> bytes:
    """Return a HEIC. By default, it has the picture with the given properties besides its configuration.

    Args:
        properties: Boxes of the properties, which have the indices 2 and up. Index 1 is the configuration.
        items: Kind and bytes of each item.
        references: Kind, source and targets of each reference.
        associations: Indices of the properties of each item.
        primary: The primary item.
        brand: The major brand.
        hidden: Items that are hidden.
        configuration: Decoder configuration of the pictures.
    """
    items = items or {1: (b"hvc1", PICTURE)}
    associations = associations or {item: range(1, len(properties) + 2) for item in items}
    ftyp = box(b"ftyp", brand + bytes(4) + b"mif1heic")
    kinds = b"".join(
        box(b"infe", struct.pack(">BBHHH", 2, 0, item in hidden, item, 0) + kind + b"\0")
        for item, (kind, _) in items.items()
    )
    boxes = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", struct.pack(">IH", 0, primary))
    boxes += box(b"iinf", struct.pack(">IH", 0, len(items)) + kinds)
    if references:
        single = [
            box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
            for kind, source, targets in references
        ]
        boxes += box(b"iref", bytes(4) + b"".join(single))
    links = b"".join(struct.pack(">HB", item, len(indices)) + bytes(indices) for item, indices in associations.items())
    containers = box(b"ipco", box(b"hvcC", configuration) + b"".join(properties))
    boxes += box(b"iprp", containers + box(b"ipma", struct.pack(">II", 0, len(associations)) + links))
    offset = len(ftyp) + len(boxes) + 12 + (16 + 14 * len(items)) + 8
    locations = b""
    for item, (_, data) in items.items():
        locations += struct.pack(">HHHII", item, 0, 1, offset, len(data))
        offset += len(data)
    boxes += box(b"iloc", struct.pack(">IHH", 0, 0x4400, len(items)) + locations)
    return ftyp + box(b"meta", bytes(4) + boxes) + box(b"mdat", b"".join(data for _, data in items.values()))


def grid(rows: int, columns: int, width: int, height: int, *properties: bytes, side: int = SIDE) -> bytes:
    """Return a HEIC whose primary image is a grid that repeats the picture."""
    tiles = range(2, 2 + rows * columns)
    layout = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    return heic(
        size(width, height),
        size(side, side),
        *properties,
        items={1: (b"grid", layout)} | {tile: (b"hvc1", PICTURE) for tile in tiles},
        references=[(b"dimg", 1, tiles)],
        associations={1: [2, *range(4, 4 + len(properties))]} | {tile: [1, 3] for tile in tiles},
        hidden=tiles,
    )


def with_exif(exif: bytes) -> bytes:
    """Return a HEIC with an EXIF block, which starts with its TIFF header."""
    return heic(
        size(SIDE, SIDE),
        items={1: (b"hvc1", PICTURE), 2: (b"Exif", struct.pack(">I", 6) + b"Exif\0\0" + exif)},
        references=[(b"cdsc", 2, [1])],
        associations={1: [1, 2]},
    )
