"""Quality of a JPEG, estimated from its luminance quantisation table.

Encoders scale the example table of the JPEG standard (ITU-T T.81, table K.1) by a quality from 1 to 100, as libjpeg
does. Cameras with tables of their own get the quality at which libjpeg quantises equally strongly on average.
"""

import struct

# The sum of the 64 entries of table K.1. A sum does not depend on the order of the entries, which differs between
# encoders that write it in zigzag order.
_STANDARD_SUM = 3688
_ENTRIES = 64
_MIN_QUALITY, _MAX_QUALITY = 1, 100


def estimate_quality(segment: bytes) -> int | None:
    """Return the quality from 1 to 100 by the first table of a DQT segment, if it is table 0.

    Args:
        segment: Payload of the segment: one byte with precision and table number, then 64 entries of 8 or 16 bits.

    Returns:
        The quality in the scale of libjpeg, or None for another or a truncated table.
    """
    if not segment or segment[0] & 0xF != 0:  # table 0 is for luminance
        return None
    is_16_bit = segment[0] >> 4 != 0
    end = 1 + _ENTRIES * (2 if is_16_bit else 1)
    if len(segment) < end:
        return None
    entries: tuple[int, ...] = struct.unpack(f">{_ENTRIES}{'H' if is_16_bit else 'B'}", segment[1:end])
    percent = 100 * sum(entries) / _STANDARD_SUM
    quality = 5000 / percent if percent > 100 else 100 - percent / 2
    return max(_MIN_QUALITY, min(_MAX_QUALITY, round(quality)))
