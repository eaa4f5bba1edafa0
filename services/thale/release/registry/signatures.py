"""Verification of model archives before they are registered or loaded: digest and signature (ADR 0090).

A signature is ECDSA on P-256 over the SHA-256 of an archive, DER in base64: the format of `cosign sign-blob --key`. It
is stored in the folder of its archive as `ARCHIVE.KEY-ID.sig`, so that two keys can overlap during a rotation.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from thale.errors import ArchiveError, SignatureError
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.packaged_models import is_packaged_graph, packaged_cards
from thale.schemas import VersionManifest

PUBLIC_KEYS_VARIABLE = "THALE_SIGNING_PUBLIC_KEYS"
"""Files of trusted public keys (PEM), separated like PATH. If unset or empty, digests are checked and signatures are
not."""

_KEY_ID_LENGTH = 16
_SIGNATURE_NAME = re.compile(r"(?P<archive>.+)\.(?P<key_id>[0-9a-f]{16})\.sig")
_MAX_KEY_BYTES, _MAX_SIGNATURE_BYTES, _MAX_SIGNATURES = 16 * 2**10, 1024, 16
_REMEDY = "sign it with `thale release sign`, and register it with --signature"


@dataclass(frozen=True)
class PublicKey:
    """A trusted public key. Its id is the start of the SHA-256 of its DER encoding."""

    id: str
    key: ec.EllipticCurvePublicKey


@dataclass(frozen=True)
class Signature:
    """A signature of an archive by a trusted key."""

    key_id: str
    value: bytes
    """DER in base64."""


@dataclass(frozen=True)
class SignaturePolicy:
    """The trusted public keys. With at least one, each archive must be signed by one of them or packaged with thale."""

    keys: Mapping[str, PublicKey]
    """Keys by id."""

    @classmethod
    def from_environment(cls) -> Self:
        """Return the policy of `THALE_SIGNING_PUBLIC_KEYS`.

        Raises:
            SignatureError: If a file is not a public key, so that a wrong path does not disable the check.
        """
        paths = [path for path in os.environ.get(PUBLIC_KEYS_VARIABLE, "").split(os.pathsep) if path]
        keys = [read_public_key(Path(path)) for path in paths]
        return cls({key.id: key for key in keys})

    def identify(self, digest: str, value: bytes) -> Signature | None:
        """Return the signature with its key, or None if no trusted key made it for this digest."""
        for key in self.keys.values():
            if _is_valid(key, digest, value):
                return Signature(key.id, value)
        return None

    def find_valid(self, digest: str, signatures: Mapping[str, bytes]) -> str | None:
        """Return the id of a trusted key with a valid signature, or None."""
        for key_id, value in signatures.items():
            key = self.keys.get(key_id)
            if key is not None and _is_valid(key, digest, value):
                return key_id
        return None


def check_archive(path: Path, digest: str | None, signatures: Mapping[str, bytes], policy: SignaturePolicy) -> None:
    """Check the file that will be loaded. No other user may be able to write to it.

    Args:
        path: The file.
        digest: Its registered digest, `sha256:…`. None if it is unknown.
        signatures: Its signatures by key id.
        policy: The trusted keys.

    Raises:
        SignatureError: If the digest differs, or if there are trusted keys and none of them signed the archive, and it
            is not packaged with thale.
    """
    actual_digest = compute_digest(path)
    if digest not in (None, actual_digest):
        raise SignatureError(
            f"{path.name} has the digest {actual_digest}, but {digest} was registered: restore its file"
        )
    if not policy.keys or policy.find_valid(actual_digest, signatures) or is_packaged(path):
        return
    cause = "no signature is valid" if signatures else "it is not signed"
    raise SignatureError(
        f"{path.name} must be signed by one of the keys {', '.join(policy.keys)} of {PUBLIC_KEYS_VARIABLE}, "
        f"but {cause}: {_REMEDY}"
    )


def check_registered(manifest: VersionManifest, signatures: Mapping[str, bytes], policy: SignaturePolicy) -> None:
    """Check the signature of a registered version without its archive. The model server checks the bytes (ADR 0090).

    Args:
        manifest: The version with its registered digest.
        signatures: Its signatures by key id.
        policy: The trusted keys.

    Raises:
        SignatureError: If there are trusted keys, none of them signed the version, and it is not packaged with thale.
    """
    if not policy.keys or policy.find_valid(manifest.digest, signatures):
        return
    if manifest.card.model_dump_json() in packaged_cards():
        return
    cause = "no signature is valid" if signatures else "it is not signed"
    raise SignatureError(
        f"{manifest.card.name} {manifest.card.version} must be signed by one of the keys {', '.join(policy.keys)} of "
        f"{PUBLIC_KEYS_VARIABLE}, but {cause}: {_REMEDY}"
    )


def is_packaged(path: Path) -> bool:
    """Return whether an archive contains a model of the installed thale: the same card, weights and graph.

    The card has the digest of the weights. An archive without a graph is converted from them. Such a model is as
    trustworthy as the code that loads it.
    """
    try:
        archive = validate_archive(path)
        if archive.card.model_dump_json() not in packaged_cards():
            return False
        return archive.graph_sha256 is None or is_packaged_graph(archive.card, archive.graph_sha256)
    except ArchiveError:
        return False


def compute_digest(path: Path) -> str:
    """Return a file's SHA-256, as `sha256:…`."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def signature_name(archive: str, key_id: str) -> str:
    """Return the name of a signature's file."""
    return f"{archive}.{key_id}.sig"


def key_id_from_name(name: str, archive: str) -> str | None:
    """Return the key id in the name of a signature of an archive, None for other names."""
    match = _SIGNATURE_NAME.fullmatch(name)
    return match["key_id"] if match is not None and match["archive"] == archive else None


def read_signatures(archive: Path) -> Mapping[str, bytes]:
    """Return the signatures in the folder of an archive by key id, up to 16 of them.

    Raises:
        SignatureError: If one cannot be read.
    """
    try:
        names = sorted(path.name for path in archive.parent.iterdir() if key_id_from_name(path.name, archive.name))
        return {
            str(key_id_from_name(name, archive.name)): read_signature(archive.with_name(name))
            for name in names[:_MAX_SIGNATURES]
        }
    except OSError as error:
        raise SignatureError(f"the signatures of {archive} cannot be read: {error.strerror}") from error


def read_signature(path: Path) -> bytes:
    """Return the content of a signature's file.

    Raises:
        SignatureError: If it cannot be read, or is too large for a signature.
    """
    return _read(path, _MAX_SIGNATURE_BYTES, "a signature").strip()


def read_public_key(path: Path) -> PublicKey:
    """Read a public key (PEM).

    Raises:
        SignatureError: If the file cannot be read, or does not contain a public key for ECDSA on P-256.
    """
    try:
        key = serialization.load_pem_public_key(_read(path, _MAX_KEY_BYTES, "a public key"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{path} is not a public key in PEM: pass the .pub file of `thale release keygen`, or cosign.pub"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignatureError(f"{path} is not a key for ECDSA on P-256: create one with `thale release keygen`")
    return PublicKey(public_key_id(key), key)


def public_key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the id of a public key."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:_KEY_ID_LENGTH]


def prehashed_sha256(digest: str) -> tuple[bytes, ec.ECDSA]:
    """Return the bytes of a digest and the algorithm that signs or verifies them without hashing again."""
    return bytes.fromhex(digest.removeprefix("sha256:")), ec.ECDSA(Prehashed(hashes.SHA256()))


def _is_valid(key: PublicKey, digest: str, value: bytes) -> bool:
    try:
        key.key.verify(base64.b64decode(value, validate=True), *prehashed_sha256(digest))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _read(path: Path, max_bytes: int, kind: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise SignatureError(f"{path} cannot be read as {kind}: {error.strerror}") from error
    if len(data) > max_bytes:
        raise SignatureError(f"{path} is larger than {max_bytes} bytes, so it is not {kind}")
    return data
