"""Tests of signatures of model archives, with OpenSSL as a second implementation."""

import base64
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.tiny_models import write_tiny_model
from thale.errors import SignatureError
from thale.models.model_card import CARD, parse_model_card
from thale.release.registry import signing
from thale.release.registry.signatures import (
    PUBLIC_KEYS_VARIABLE,
    SignaturePolicy,
    check_archive,
    compute_digest,
    read_public_key,
    read_signature,
    read_signatures,
    signature_name,
)
from thale.release.registry.signing import PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, generate_key_pair, sign_archive
from thale_models.archive import write_archive
from thale_models.graph_files import read_graph

WEIGHTS = Path(__file__).parents[4] / "model-server" / "weights" / "plate-seg" / "1.0.0"
MakePolicy = Callable[..., SignaturePolicy]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    model = write_tiny_model(folder / "model")
    return write_archive(model.weights, model.card, folder)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    generate_key_pair(tmp_path / "keys", b"")
    return tmp_path / "keys"


@pytest.fixture
def make_policy(monkeypatch: pytest.MonkeyPatch) -> MakePolicy:
    def make(*folders: Path) -> SignaturePolicy:
        monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, os.pathsep.join(str(folder / PUBLIC_KEY_FILE) for folder in folders))
        return SignaturePolicy.from_environment()

    return make


def sign(archive: Path, keys: Path, out: Path) -> dict[str, bytes]:
    signature = sign_archive(archive, keys / PRIVATE_KEY_FILE, None, out)
    return {signature.key_id: signature.value}


def test_signature_of_a_trusted_key_is_valid(
    archive: Path, keys: Path, make_policy: MakePolicy, tmp_path: Path
) -> None:
    policy = make_policy(keys)
    signatures = sign(archive, keys, tmp_path / "sig")
    check_archive(archive, compute_digest(archive), signatures, policy)
    assert policy.find_valid(compute_digest(archive), signatures) == next(iter(policy.keys))
    assert read_signature(tmp_path / "sig") == next(iter(signatures.values()))


def test_openssl_verifies_the_signature_of_thale(archive: Path, keys: Path, tmp_path: Path) -> None:
    value = next(iter(sign(archive, keys, tmp_path / "sig").values()))
    (tmp_path / "der").write_bytes(base64.b64decode(value))
    command = ["openssl", "dgst", "-sha256", "-verify", keys / PUBLIC_KEY_FILE, "-signature", tmp_path / "der", archive]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"Verified OK\n"


def test_thale_verifies_the_signature_of_openssl(archive: Path, make_policy: MakePolicy, tmp_path: Path) -> None:
    private_key, public_key = tmp_path / PRIVATE_KEY_FILE, tmp_path / PUBLIC_KEY_FILE
    create = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private_key]
    subprocess.run(create, check=True)
    subprocess.run(
        ["openssl", "ec", "-in", private_key, "-pubout", "-out", public_key], check=True, capture_output=True
    )
    command = ["openssl", "dgst", "-sha256", "-sign", private_key, archive]
    value = base64.encodebytes(subprocess.run(command, check=True, capture_output=True).stdout).replace(b"\n", b"")
    assert make_policy(tmp_path).identify(compute_digest(archive), value) is not None


def test_archive_without_signature_is_refused(archive: Path, keys: Path, make_policy: MakePolicy) -> None:
    with pytest.raises(SignatureError, match="it is not signed: sign it with `thale release sign`"):
        check_archive(archive, None, {}, make_policy(keys))


def test_signature_of_another_key_is_refused(
    archive: Path, keys: Path, make_policy: MakePolicy, tmp_path: Path
) -> None:
    generate_key_pair(tmp_path / "other", b"")
    signatures = sign(archive, tmp_path / "other", tmp_path / "sig")
    with pytest.raises(SignatureError, match="no signature is valid"):
        check_archive(archive, None, signatures, make_policy(keys))
    renamed = {next(iter(make_policy(keys).keys)): next(iter(signatures.values()))}
    with pytest.raises(SignatureError, match="no signature is valid"):
        check_archive(archive, None, renamed, make_policy(keys))
    check_archive(archive, None, signatures, make_policy(keys, tmp_path / "other"))


def test_signature_of_other_bytes_is_refused(
    archive: Path, keys: Path, make_policy: MakePolicy, tmp_path: Path
) -> None:
    signatures = sign(archive, keys, tmp_path / "sig")
    changed = tmp_path / archive.name
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    with pytest.raises(SignatureError, match="no signature is valid"):
        check_archive(changed, None, signatures, make_policy(keys))
    with pytest.raises(SignatureError, match=r"but sha256:[0-9a-f]{64} was registered"):
        check_archive(changed, compute_digest(archive), signatures, make_policy(keys))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"AAAA",
        b"not base64!",
        b"\xff" * 70,
        base64.b64encode(bytes(72)),
        base64.b64encode(b"0\x06\x02\x01\0\x02\x01\0"),
    ],
)
def test_malformed_signature_is_not_valid(value: bytes, archive: Path, keys: Path, make_policy: MakePolicy) -> None:
    policy = make_policy(keys)
    assert policy.identify(compute_digest(archive), value) is None
    assert policy.find_valid(compute_digest(archive), {next(iter(policy.keys)): value}) is None


def test_digest_is_checked_without_keys(archive: Path, make_policy: MakePolicy) -> None:
    policy = make_policy()
    check_archive(archive, compute_digest(archive), {}, policy)
    with pytest.raises(SignatureError, match="was registered"):
        check_archive(archive, f"sha256:{'0' * 64}", {}, policy)


def test_packaged_model_needs_no_signature(keys: Path, make_policy: MakePolicy, tmp_path: Path) -> None:
    card = parse_model_card((WEIGHTS / CARD).read_bytes())
    weights = WEIGHTS / "weights.safetensors"
    check_archive(write_archive(weights, card, tmp_path / "same"), None, {}, make_policy(keys))
    other = card.model_copy(update={"version": "1.0.1"})
    with pytest.raises(SignatureError, match="it is not signed"):
        check_archive(write_archive(weights, other, tmp_path / "other"), None, {}, make_policy(keys))


def test_packaged_card_does_not_excuse_another_graph(keys: Path, make_policy: MakePolicy, tmp_path: Path) -> None:
    card = parse_model_card((WEIGHTS / CARD).read_bytes())
    graph = read_graph(WEIGHTS, card)
    assert graph is not None
    weights, policy = WEIGHTS / "weights.safetensors", make_policy(keys)
    check_archive(write_archive(weights, card, tmp_path / "same", graph=graph), None, {}, policy)
    constants = bytearray(graph.constants)
    constants[-1] ^= 1
    other = replace(graph, constants=bytes(constants))
    with pytest.raises(SignatureError, match="it is not signed"):
        check_archive(write_archive(weights, card, tmp_path / "other", graph=other), None, {}, policy)


def test_read_signatures_finds_those_of_the_archive(archive: Path, keys: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(archive, tmp_path))
    (key_id, value), *_ = sign(copy, keys, tmp_path / "sig").items()
    own, other = signature_name(copy.name, key_id), signature_name("other.mar", key_id)
    for name in (own, other, f"{copy.name}.{key_id[:8]}.sig"):
        (tmp_path / name).write_bytes(value + b"\n")
    assert read_signatures(copy) == {key_id: value}
    (tmp_path / own).write_bytes(bytes(2000))
    with pytest.raises(SignatureError, match="larger than 1024 bytes"):
        read_signatures(copy)


def test_key_pair_is_encrypted_with_the_password(archive: Path, tmp_path: Path) -> None:
    key_id = generate_key_pair(tmp_path, b"correct horse")
    private_key = tmp_path / PRIVATE_KEY_FILE
    assert stat.S_IMODE(private_key.stat().st_mode) == 0o600
    assert signing.is_encrypted(private_key)
    assert sign_archive(archive, private_key, b"correct horse", tmp_path / "sig").key_id == key_id
    assert read_public_key(tmp_path / PUBLIC_KEY_FILE).id == key_id
    for password in (b"wrong", b"", None):
        with pytest.raises(SignatureError, match="the password is wrong"):
            sign_archive(archive, private_key, password, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_key_pair_is_never_replaced(keys: Path) -> None:
    before = (keys / PRIVATE_KEY_FILE).read_bytes()
    with pytest.raises(SignatureError, match=r"thale-signing\.key exists"):
        generate_key_pair(keys, b"")
    assert (keys / PRIVATE_KEY_FILE).read_bytes() == before


def test_private_key_that_others_can_read_is_refused(archive: Path, keys: Path, tmp_path: Path) -> None:
    (keys / PRIVATE_KEY_FILE).chmod(0o640)
    with pytest.raises(SignatureError, match="chmod 600"):
        sign(archive, keys, tmp_path / "sig")


def test_policy_refuses_files_that_are_no_public_key(
    keys: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "rsa.pub").write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    (tmp_path / "p384.pub").write_bytes(pem(ec.generate_private_key(ec.SECP384R1())))
    (tmp_path / "empty.pub").write_bytes(b"")
    for path in ("rsa.pub", "p384.pub", "empty.pub", "missing.pub", "keys", f"keys/{PRIVATE_KEY_FILE}"):
        monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, f"{keys / PUBLIC_KEY_FILE}{os.pathsep}{tmp_path / path}")
        with pytest.raises(SignatureError, match=r"not a key for ECDSA|not a public key|cannot be read"):
            SignaturePolicy.from_environment()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_signature_with_another_hash_is_not_valid(archive: Path, make_policy: MakePolicy, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / PUBLIC_KEY_FILE).write_bytes(pem(key))
    value = base64.b64encode(key.sign(archive.read_bytes(), ec.ECDSA(hashes.SHA512())))
    assert make_policy(tmp_path).identify(compute_digest(archive), value) is None
