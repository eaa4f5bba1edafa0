"""Legal progressive JPEGs of one grey level: the fewest bytes for any number of pixels and scans.

ITU-T T.81, annexes F and G. Each coefficient is sent in a first scan and then refined, as the standard requires, and
each scan of AC coefficients is a sequence of runs of blocks without coefficients.
"""

import struct
from collections.abc import Iterator

_BLOCK_PX = 8
_COEFFICIENTS = 64
_MAX_RUN_BITS = 14
MAX_SCANS = 1 + 2 * (_COEFFICIENTS - 1)


def progressive_jpeg(width_px: int, height_px: int, scans: int, components: int = 1) -> bytes:
    """Return a grey or colour JPEG. A decoder holds the coefficients of all its components at once.

    Args:
        width_px: Width, up to 65,500.
        height_px: Height, up to 65,500.
        scans: Number of scans of the first component, from 1 (DC coefficients only) to `MAX_SCANS`.
        components: 1 (grey) or 3 (colour, without subsampling). Each component after the first has one scan.
    """
    blocks = -(-width_px // _BLOCK_PX) * -(-height_px // _BLOCK_PX)
    runs = _run_lengths(blocks)
    symbols = sorted({run_bits << 4 for run_bits, _ in runs})
    frame = struct.pack(">BHHB", 8, height_px, width_px, components)
    frame += b"".join(bytes([number + 1, 0x11, 0]) for number in range(components))
    parts = [
        b"\xff\xd8",
        _segment(0xDB, bytes([0]) + bytes([1]) * _COEFFICIENTS),
        _segment(0xC2, frame),
        _huffman_table(0x00, [0]),
        _huffman_table(0x10, symbols),
    ]
    # Each block has the DC difference 0, whose code is one bit.
    parts += [_scan(0, 0, _pack("0" * blocks), number + 1) for number in range(components)]
    entropy_coded = _pack("".join(_run_code(symbols.index(bits << 4), bits, length) for bits, length in runs))
    for index in range(scans - 1):
        refined, coefficient = divmod(index, _COEFFICIENTS - 1)
        parts.append(_scan(coefficient + 1, (0x01, 0x10)[refined], entropy_coded))
    return b"".join([*parts, b"\xff\xd9"])


def _run_lengths(blocks: int) -> list[tuple[int, int]]:
    """Return runs that cover all blocks, as pairs of the number of bits and the length."""
    runs = []
    while blocks:
        bits = min(_MAX_RUN_BITS, blocks.bit_length() - 1)
        length = min(blocks, 2 ** (bits + 1) - 1)
        runs.append((bits, length))
        blocks -= length
    return runs


def _run_code(code: int, bits: int, length: int) -> str:
    return f"{code:04b}" + (f"{length - 2**bits:0{bits}b}" if bits else "")


def _huffman_table(table: int, symbols: list[int]) -> bytes:
    """Return a table whose codes are numbers of one bit for a single symbol of DC, and of four bits otherwise."""
    code_bits = 1 if table == 0 else 4
    counts = [len(symbols) if length == code_bits else 0 for length in range(1, 17)]
    return _segment(0xC4, bytes([table, *counts, *symbols]))


def _scan(coefficient: int, successive_approximation: int, entropy_coded: bytes, component: int = 1) -> bytes:
    header = struct.pack(">B2B3B", 1, component, 0x00, coefficient, coefficient, successive_approximation)
    return _segment(0xDA, header) + entropy_coded


def _pack(bits: str) -> bytes:
    """Return bits as bytes, filled with 1, with a zero after each byte 255."""
    padded = bits + "1" * (-len(bits) % 8)
    data = b"".join(_chunks(padded))
    return data.replace(b"\xff", b"\xff\0")


def _chunks(bits: str) -> Iterator[bytes]:
    step = 8 * 65536
    for start in range(0, len(bits), step):
        part = bits[start : start + step]
        yield int(part, 2).to_bytes(len(part) // 8, "big")


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
