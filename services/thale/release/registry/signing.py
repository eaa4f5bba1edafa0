"""Key pairs and signatures of model archives, for the person who trains models (ADR 0090)."""

import base64
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from thale.errors import SignatureError
from thale.host.files import write_atomically
from thale.release.registry.archive_validation import validate_archive
from thale.release.registry.signatures import Signature, prehashed_sha256, public_key_id

PRIVATE_KEY_FILE, PUBLIC_KEY_FILE = "thale-signing.key", "thale-signing.pub"
_GROUP_AND_OTHERS = 0o077


def generate_key_pair(folder: Path, password: bytes) -> str:
    """Write a new key pair to a folder and return its id. Existing files are not replaced.

    Args:
        folder: The folder, created if necessary.
        password: Encrypts the private key (PKCS 8). If empty, the key is not encrypted, and only its file mode
            protects it.

    Raises:
        SignatureError: If a file exists or cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    private_key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create(folder / PRIVATE_KEY_FILE, private_key, 0o600)
        _create(folder / PUBLIC_KEY_FILE, public_key, 0o644)
    except FileExistsError as error:
        raise SignatureError(f"{error.filename} exists: a key is never replaced, so choose another --out") from error
    except OSError as error:
        raise SignatureError(f"{error.filename} cannot be written ({error.strerror}): choose another --out") from error
    return public_key_id(key.public_key())


def is_encrypted(path: Path) -> bool:
    """Return whether a private key needs a password.

    Raises:
        SignatureError: If the file cannot be read, or other users can.
    """
    return b"ENCRYPTED PRIVATE KEY" in _read_private_key(path)


def sign_archive(path: Path, private_key: Path, password: bytes | None, out: Path) -> Signature:
    """Validate an archive, sign it, write the signature, and return it.

    Raises:
        ArchiveError: If the archive is not valid.
        SignatureError: If the key cannot be read, the password is wrong, or the signature cannot be written.
    """
    digest = validate_archive(path).digest
    key = _load_private_key(private_key, password)
    value = base64.b64encode(key.sign(*prehashed_sha256(digest)))
    try:
        write_atomically(out, value)
    except OSError as error:
        raise SignatureError(f"{out} cannot be written ({error.strerror}): choose another --out") from error
    return Signature(public_key_id(key.public_key()), value)


def _load_private_key(path: Path, password: bytes | None) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read_private_key(path), password or None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # the text of the error may describe the key
        raise SignatureError(
            f"{path} is not a private key in PEM (PKCS 8), or the password is wrong: "
            "pass the .key file of `thale release keygen` and its password"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SignatureError(f"{path} is not a key for ECDSA on P-256: create one with `thale release keygen`")
    return key


def _read_private_key(path: Path) -> bytes:
    """Return a private key. Permissions are checked on the open file, not on its path."""
    try:
        with path.open("rb") as file:
            if mode := stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _GROUP_AND_OTHERS:
                raise SignatureError(f"other users can access {path} (mode {mode:03o}): chmod 600 {path}")
            return file.read(2**16)
    except OSError as error:
        raise SignatureError(f"{path} cannot be read: {error.strerror}") from error


def _create(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (it is a descriptor)
        file.write(data)
