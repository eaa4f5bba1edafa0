"""Number of scans of a JPEG, and its limit. Each scan of a progressive JPEG processes every pixel again.

A JPEG of 600 kB with 99 scans of 100 megapixels takes 14 CPU seconds to decode, and a baseline JPEG of that size two
(ADR 0084). libjpeg reads all scans of a file before it returns the first pixel.
"""

import re

from thale.errors import DamagedImageError, ImageTooLargeError

MAX_SCAN_PIXELS = 2_000_000_000
"""Maximum product of scans and pixels: 20 scans of 100 megapixels. Cameras write about 10 scans."""
MAX_SCANS = 100
"""Maximum number of scans of a small image. Thousands are an attack on the decoder."""
MAX_SEGMENTS = 20_000
"""Maximum number of segments in the whole file."""

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_NEXT_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
"""The next marker with a payload. Entropy-coded data contain only FF 00 and the restart markers FF D0 to FF D7."""


def count_scans(data: bytes) -> int:
    """Return the number of scans of a JPEG. A segment, such as a thumbnail in EXIF, may contain the bytes of a marker.

    Raises:
        DamagedImageError: If the file has more than `MAX_SEGMENTS` segments.
    """
    if data.count(b"\xff\xda") <= 1:  # at memory speed; true for almost all photographs
        return 1
    scans, position = 0, 2
    for _ in range(MAX_SEGMENTS):
        match = _NEXT_MARKER.search(data, position)
        if match is None or match[1][0] == _END_OF_IMAGE:
            return max(1, scans)
        scans += match[1][0] == _START_OF_SCAN
        length = int.from_bytes(data[match.end() : match.end() + 2], "big")
        position = match.end() + length
    raise DamagedImageError(f"the JPEG has more than {MAX_SEGMENTS} segments: save it again")


def check_scans(data: bytes, width: int, height: int) -> None:
    """Limit the scans of a JPEG by its pixels.

    Raises:
        ImageTooLargeError: If the JPEG has too many scans for its size.
        DamagedImageError: If the file has more than `MAX_SEGMENTS` segments.
    """
    scans = count_scans(data)
    max_scans = min(MAX_SCANS, MAX_SCAN_PIXELS // (width * height))
    if scans > max_scans:
        raise ImageTooLargeError(
            f"the JPEG of {width} x {height} px has {scans} scans; the maximum at this size is {max_scans}: save it as "
            "a baseline JPEG, not as a progressive one"
        )
