"""Verification of a model store before TorchServe starts: members, digest and signature of every archive (ADR 0090).

TorchServe runs the handler of an archive, loads folders as models, and checks neither digests nor signatures.
"""

import re
from pathlib import Path

from thale.errors import ArchiveError, StoreError
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.signatures import SignaturePolicy, check_archive, read_signatures
from thale.release.registry.stores.model_store import DIGEST_SUFFIX

_ARCHIVE_SUFFIX = ".mar"
_LOADABLE_SUFFIXES = (".model", ".tar.gz", ".tgz", ".war", ".zip")
"""Suffixes of other files that TorchServe loads, or may load in another version."""
_DIGEST_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9.-]+)\n")
_MAX_DIGEST_BYTES = 256


def verify_model_store(folder: Path, policy: SignaturePolicy) -> list[str]:
    """Check all models of a model store, and return the names of the archives.

    Args:
        folder: The model store. TorchServe can load any model in it.
        policy: The trusted keys.

    Raises:
        ArchiveError: If an archive is not valid, or the folder contains another kind of model.
        StoreError: If a digest or signature is not valid, or a file cannot be read.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise StoreError(f"the model store {folder} cannot be read: {error.strerror}") from error
    archives = [entry for entry in entries if entry.name.endswith(_ARCHIVE_SUFFIX)]
    for entry in entries:
        if entry not in archives and (entry.is_dir() or entry.name.lower().endswith(_LOADABLE_SUFFIXES)):
            raise ArchiveError(f"{entry} is not a model archive, but TorchServe would load it: remove it")
    for archive in archives:
        validate_archive(archive)
        check_archive(archive, _read_digest(archive), read_signatures(archive), policy)
    return [archive.name for archive in archives]


def _read_digest(archive: Path) -> str | None:
    """Return the digest in the digest file of an archive. None without that file: the archive was not registered."""
    path = archive.with_name(f"{archive.name}{DIGEST_SUFFIX}")
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_DIGEST_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    match = _DIGEST_LINE.fullmatch(content)
    if match is None or match[2] != archive.name:
        raise StoreError(f"{path} is not a line of sha256sum for {archive.name}: register the version again")
    return f"sha256:{match[1]}"
