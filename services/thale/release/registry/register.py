"""Registration of a model archive: validation, acceptance on the golden plates, and immutable storage."""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from thale.errors import ArchiveError, ModelError, RegistrationError, SignatureError
from thale.release.registry import golden
from thale.release.registry.archive_validation import ValidatedArchive, validate_archive
from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE, Signature, SignaturePolicy, check_archive
from thale.release.registry.stores.model_store import ModelStore
from thale.release.registry.strict_zip import MAX_BYTES
from thale.schemas import VersionManifest

audit = logging.getLogger("thale.audit")

StartModelServer = Callable[[ValidatedArchive], AbstractContextManager[str]]
"""Serves one archive within the context, and yields the address of the inference API."""


@dataclass(frozen=True)
class RegistrationResult:
    """A version in the store."""

    version: VersionManifest
    uri: str
    new: bool
    """False if the same archive was registered before. Then nothing was done."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Scores on the golden plates: `dice_root`, `landmark_f1`, …. Empty if nothing was done."""
    seconds: float = 0.0


def register(
    path: Path,
    store: ModelStore,
    start_model_server: StartModelServer,
    *,
    author: str = "",
    criteria: golden.AcceptanceCriteria | None = None,
    signature: bytes | None = None,
    policy: SignaturePolicy | None = None,
) -> RegistrationResult:
    """Validate an archive, run it on the golden plates in a real model server, and store it immutably.

    All steps use one private copy, so that concurrent changes of the file have no effect.

    Args:
        path: The archive.
        store: The store of registered versions.
        start_model_server: Starts the real handler. Raises a RegistrationError if the model's worker does not start.
        author: The author in the audit log.
        criteria: The acceptance criteria, by default `AcceptanceCriteria()`.
        signature: The signature of the archive, to be stored with it.
        policy: The trusted keys, by default those of the environment.

    Raises:
        ArchiveError: If the archive is not valid.
        SignatureError: If the signature is not valid, or is missing although there are trusted keys.
        RegistrationError: If its worker does not start, or its predictions do not meet the acceptance criteria.
        VersionExistsError: If the store contains the version with other bytes.
        StoreError: If the store cannot write it.
    """
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="thale-register-") as temp_dir:
        archive = validate_archive(_copy_archive(path, Path(temp_dir)))
        manifest, card = archive.version_manifest, archive.card
        checked = _check_signature(archive, store, signature, policy or SignaturePolicy.from_environment())
        if (existing := store.get(manifest)) is not None:
            store.put(archive.path, checked)
            return RegistrationResult(existing.version, existing.uri, new=False)
        metrics = _run_acceptance(archive, start_model_server, criteria)
        result = store.put(archive.path, checked)
    seconds = time.monotonic() - started_at
    fields = {"model": card.name, "version": card.version, "digest": manifest.digest, "uri": result.uri, "who": author}
    audit.info("version registered", extra={**fields, "new": result.new, **metrics})
    return RegistrationResult(result.version, result.uri, result.new, metrics, seconds)


def _copy_archive(path: Path, temp_dir: Path) -> Path:
    copy = temp_dir / path.name
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ArchiveError(f"{path.name}: {size} bytes exceed the limit of {MAX_BYTES}")
        shutil.copyfile(path, copy)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read as a model archive: {error}") from error
    return copy


def _check_signature(
    archive: ValidatedArchive, store: ModelStore, signature: bytes | None, policy: SignaturePolicy
) -> Signature | None:
    """Return the signature with the id of its key, or None if none was given and none is necessary."""
    if signature is None:
        check_archive(archive.path, archive.digest, store.signatures(archive.version_manifest), policy)
        return None
    if not policy.keys:
        raise SignatureError(
            f"no key can verify the signature: set {PUBLIC_KEYS_VARIABLE} to the file of the public key"
        )
    if (checked := policy.identify(archive.digest, signature)) is None:
        raise SignatureError(
            f"the signature of {archive.path.name} is not valid for its bytes ({archive.digest}) and the keys "
            f"{', '.join(policy.keys)} of {PUBLIC_KEYS_VARIABLE}: sign this archive again with `thale release sign`"
        )
    return checked


def _run_acceptance(
    archive: ValidatedArchive, start_model_server: StartModelServer, criteria: golden.AcceptanceCriteria | None
) -> dict[str, float]:
    card = archive.card
    with start_model_server(archive) as url:
        try:
            predictions = golden.predict_golden_plates(url, card.name, card.version)
        except ModelError as error:
            raise RegistrationError(f"{card.name} {card.version} cannot predict the golden plates: {error}") from error
    return golden.check_acceptance(card, predictions, archive.golden, criteria)
