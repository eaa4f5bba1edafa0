"""Names of results: the file name, shortened if it is too long, with a prefix or suffix if another source has it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from thale.batch.sources import Source, identity, printable

MAX_NAME_BYTES = 220
"""Maximum length of a result name. Its longest file, `.NAME.overlay.png.part`, must not exceed the 255 bytes of a file
system, and a name that is in use gets a suffix."""
_DIGEST_LENGTH = 8


def preferred_name(source: Source) -> str:
    """Return the name of a result if no other source has it: the label without the suffix, shortened if necessary."""
    return _shorten(source.label.with_suffix("")).as_posix()


def is_shortened(source: Source) -> bool:
    """Return True if the file name is too long for the names of its results."""
    return preferred_name(source) != source.label.with_suffix("").as_posix()


def candidate_names(source: Source) -> Iterator[str]:
    """Yield the preferred name, the name with the folder as prefix, and numbered names."""
    preferred = Path(preferred_name(source))
    yield preferred.as_posix()
    parent_name = printable(identity(source.path).parent.name)
    qualified = preferred
    if parent_name:
        qualified = _shorten(preferred.with_name(f"{parent_name}_{preferred.name}"))
    yield qualified.as_posix()
    number = 2
    while True:
        yield f"{qualified.as_posix()}-{number}"
        number += 1


def _shorten(path: Path) -> Path:
    """Return a path whose name has at most `MAX_NAME_BYTES`. A digest of the whole name keeps short names different."""
    encoded = path.name.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return path
    digest = hashlib.sha256(encoded).hexdigest()[:_DIGEST_LENGTH]
    start = encoded[: MAX_NAME_BYTES - _DIGEST_LENGTH - 1].decode(errors="ignore")
    return path.with_name(f"{start}~{digest}")
