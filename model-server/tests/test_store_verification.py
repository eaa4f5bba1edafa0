"""Tests of the verification of a model store before TorchServe starts."""

import hashlib
import sys
from pathlib import Path

import pytest

from tests.support.tiny_models import TinyModel
from thale.errors import ArchiveError, SignatureError, StoreError
from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE, SignaturePolicy, signature_name
from thale.release.registry.signing import PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, generate_key_pair, sign_archive
from thale.release.registry.stores import FolderStore
from thale_models import entrypoint
from thale_models.archive import write_archive
from thale_models.store_verification import verify_model_store

NO_KEYS = SignaturePolicy({})


@pytest.fixture
def archive(segmenter: TinyModel, tmp_path: Path) -> Path:
    return write_archive(segmenter.weights, segmenter.card, tmp_path / "model-store")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    generate_key_pair(tmp_path / "keys", b"")
    monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, str(tmp_path / "keys" / PUBLIC_KEY_FILE))
    return tmp_path / "keys"


def test_registered_archive_is_verified(segmenter: TinyModel, archive: Path, keys: Path, tmp_path: Path) -> None:
    signature = sign_archive(archive, keys / PRIVATE_KEY_FILE, None, tmp_path / "sig")
    store = FolderStore(tmp_path / "registry")
    version = store.put(archive, signature).version
    folder = store.archive(version).parent
    assert (folder / f"{archive.name}.sha256").read_text() == f"{version.digest[7:]}  {archive.name}\n"
    assert verify_model_store(folder, SignaturePolicy.from_environment()) == [archive.name]


def test_archive_with_another_digest_is_refused(archive: Path) -> None:
    digest = archive.with_name(f"{archive.name}.sha256")
    digest.write_text(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n")
    assert verify_model_store(archive.parent, NO_KEYS) == [archive.name]
    digest.write_text(f"{'0' * 64}  {archive.name}\n")
    with pytest.raises(SignatureError, match="was registered"):
        verify_model_store(archive.parent, NO_KEYS)
    for content in ("", "0" * 64, f"{'0' * 64}  other.mar\n", "x" * 10**6):
        digest.write_text(content)
        with pytest.raises(StoreError, match="not a line of sha256sum"):
            verify_model_store(archive.parent, NO_KEYS)


def test_unsigned_or_wrongly_signed_archive_is_refused(archive: Path, keys: Path, tmp_path: Path) -> None:
    policy = SignaturePolicy.from_environment()
    with pytest.raises(SignatureError, match="it is not signed"):
        verify_model_store(archive.parent, policy)
    generate_key_pair(tmp_path / "other", b"")
    other = sign_archive(archive, tmp_path / "other" / PRIVATE_KEY_FILE, None, tmp_path / "sig")
    archive.with_name(signature_name(archive.name, next(iter(policy.keys)))).write_bytes(other.value)
    with pytest.raises(SignatureError, match="no signature is valid"):
        verify_model_store(archive.parent, policy)
    assert verify_model_store(archive.parent, NO_KEYS) == [archive.name]


def test_archive_with_code_is_refused_without_keys(archive: Path) -> None:
    archive.with_name("evil.mar").write_bytes(b"PK not an archive")
    with pytest.raises(ArchiveError, match=r"evil\.mar"):
        verify_model_store(archive.parent, NO_KEYS)


@pytest.mark.parametrize("name", ["unpacked/", "model.tar.gz", "model.tgz", "MODEL.ZIP", "old.model"])
def test_model_of_another_kind_is_refused(name: str, archive: Path) -> None:
    path = archive.with_name(name.rstrip("/"))
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_bytes(b"")
    with pytest.raises(ArchiveError, match="TorchServe would load it: remove it"):
        verify_model_store(archive.parent, NO_KEYS)


def test_other_files_with_archives_are_ignored(archive: Path) -> None:
    for name in ("source-digests.json", ".partial.mar", "README"):
        archive.with_name(name).write_bytes(b"")
    assert verify_model_store(archive.parent, NO_KEYS) == [archive.name]


def test_entrypoint_verifies_before_it_starts_java(
    archive: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Path(__file__).parents[1]
    files = (f"--ts-config={server / 'config.properties'}", f"--log-config={server / 'log4j2.xml'}")
    started: list[str] = []
    monkeypatch.setattr(sys, "argv", ["entrypoint", f"--model-store={archive.parent}", *files])
    monkeypatch.setattr(entrypoint.os, "execv", lambda program, arguments: started.append(program))
    assert entrypoint.main() == 2
    assert "it is not signed" in capsys.readouterr().err
    assert started == []
    monkeypatch.delenv(PUBLIC_KEYS_VARIABLE)
    entrypoint.main()
    assert len(started) == 1
