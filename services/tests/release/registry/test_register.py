"""Tests of registration: with a fake model server, and with TorchServe."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.fake_model_server import Response, run_fake_model_server
from tests.support.golden_predictions import encode_response, true_segmentation
from tests.support.tiny_models import write_tiny_model
from thale.errors import ArchiveError, RegistrationError, SignatureError, UnknownModelError, VersionExistsError
from thale.local.ephemeral_torchserve import run_ephemeral_torchserve
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.archive_validation import ValidatedArchive
from thale.release.registry.golden import golden_plates
from thale.release.registry.register import StartModelServer, register
from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE, read_signatures
from thale.release.registry.signing import PRIVATE_KEY_FILE, PUBLIC_KEY_FILE, generate_key_pair, sign_archive
from thale.release.registry.stores import FolderStore
from thale.schemas import ModelCard
from thale_models.archive import read_golden_predictions, write_archive

DEFAULT = Path(__file__).parents[4] / "model-server" / "weights" / "plate-seg" / "1.0.0"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def make_archive(folder: Path, seed: int = 0) -> Path:
    model = write_tiny_model(folder / f"model-{seed}", seed=seed, name="plate-seg")
    return write_archive(model.weights, model.card, folder / f"archive-{seed}")


def true_response(card: ModelCard, number: int) -> Response:
    return encode_response(true_segmentation(golden_plates()[number], card))


def fake_model_server(
    respond: Callable[[ModelCard, int], Response], archives: list[ValidatedArchive] | None = None
) -> StartModelServer:
    """Return a function that starts a fake model server with scripted responses."""

    @contextmanager
    def start(archive: ValidatedArchive) -> Iterator[str]:
        if archives is not None:
            archives.append(archive)
        with run_fake_model_server(lambda number: respond(archive.card, number)) as server:
            yield server.url

    return start


def test_register_stores_version_and_writes_audit_log(
    store: FolderStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_archive(tmp_path)
    with caplog.at_level(logging.INFO, "thale.audit"):
        result = register(path, store, fake_model_server(true_response), author="anna")
    assert result.new
    assert result.metrics == {"dice_root": 1, "dice_shoot": 1, "dice_seed": 1}
    assert result.version == store.find("plate-seg", "1.0.0")
    assert store.archive(result.version).read_bytes() == path.read_bytes()
    (record,) = (record for record in caplog.records if record.name == "thale.audit")
    assert (record.message, vars(record)["who"]) == ("version registered", "anna")
    assert vars(record)["digest"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_register_starts_no_server_for_existing_version(store: FolderStore, tmp_path: Path) -> None:
    archives: list[ValidatedArchive] = []
    first = register(make_archive(tmp_path), store, fake_model_server(true_response, archives))
    second = register(make_archive(tmp_path), store, fake_model_server(true_response, archives))
    assert (second.version, second.uri, second.new) == (first.version, first.uri, False)
    with pytest.raises(VersionExistsError, match="give the model a new version"):
        register(make_archive(tmp_path, seed=1), store, fake_model_server(true_response, archives))
    assert len(archives) == 1


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a key pair, whose public key is the trusted one."""
    generate_key_pair(tmp_path / "keys", b"")
    monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, str(tmp_path / "keys" / PUBLIC_KEY_FILE))
    return tmp_path / "keys"


def test_register_stores_the_signature_of_a_trusted_key(store: FolderStore, keys: Path, tmp_path: Path) -> None:
    path = make_archive(tmp_path)
    signature = sign_archive(path, keys / PRIVATE_KEY_FILE, None, tmp_path / "sig")
    version = register(path, store, fake_model_server(true_response), signature=signature.value).version
    assert store.signatures(version) == read_signatures(store.archive(version)) == {signature.key_id: signature.value}
    assert not register(path, store, fake_model_server(true_response)).new  # the stored signature is sufficient


def test_register_refuses_archive_without_signature(store: FolderStore, keys: Path, tmp_path: Path) -> None:
    path, archives = make_archive(tmp_path), list[ValidatedArchive]()
    generate_key_pair(tmp_path / "other", b"")
    other = sign_archive(path, tmp_path / "other" / PRIVATE_KEY_FILE, None, tmp_path / "sig").value
    for signature, message in ((None, "it is not signed"), (other, "not valid for its bytes"), (b"", "not valid for")):
        with pytest.raises(SignatureError, match=message):
            register(path, store, fake_model_server(true_response, archives), signature=signature)
    assert archives == []
    assert is_empty(store)


def test_register_signs_a_version_registered_before(
    store: FolderStore, keys: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = make_archive(tmp_path)
    signature = sign_archive(path, keys / PRIVATE_KEY_FILE, None, tmp_path / "sig")
    with monkeypatch.context() as without_keys:
        without_keys.delenv(PUBLIC_KEYS_VARIABLE)
        version = register(path, store, fake_model_server(true_response)).version
        with pytest.raises(SignatureError, match="no key can verify the signature"):
            register(path, store, fake_model_server(true_response), signature=signature.value)
    assert not register(path, store, fake_model_server(true_response), signature=signature.value).new
    assert store.signatures(version) == {signature.key_id: signature.value}


def is_empty(store: FolderStore) -> bool:
    with pytest.raises(UnknownModelError):
        store.find("plate-seg", "1.0.0")
    return not store.root.exists()


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        (lambda card, number: (503, "application/json", b"{}"), "cannot predict the golden plates: no worker"),
        (
            lambda card, number: (500, "application/json", b"{}"),
            "the model server failed on backlit",
        ),
        (
            lambda card, number: encode_response(
                true_segmentation(golden_plates()[number], card, lambda mask: mask * 0)
            ),
            "detects none",
        ),
        (
            lambda card, number: true_response(card.model_copy(update={"version": "9.9.9"}), number),
            r"predicted by .* 9\.9\.9",
        ),
    ],
)
def test_register_rejects_model_that_fails_acceptance(
    respond: Callable[[ModelCard, int], Response], message: str, store: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(RegistrationError, match=message):
        register(make_archive(tmp_path), store, fake_model_server(respond))
    assert is_empty(store)


def test_register_starts_no_server_for_invalid_archive(store: FolderStore, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mar"
    broken.write_bytes(b"PK")
    huge = tmp_path / "huge.mar"
    with huge.open("wb") as file:
        os.truncate(file.fileno(), 2**40)
    pipe = tmp_path / "pipe.mar"
    os.mkfifo(pipe)
    for path in (broken, huge, pipe, tmp_path, tmp_path / "missing.mar"):
        with pytest.raises(ArchiveError, match=path.name):
            register(path, store, fake_model_server(true_response, archives := []))
        assert not archives
    assert is_empty(store)


def test_register_ignores_concurrent_changes_of_the_file(store: FolderStore, tmp_path: Path) -> None:
    path = make_archive(tmp_path)
    data = path.read_bytes()

    @contextmanager
    def overwrite_archive(archive: ValidatedArchive) -> Iterator[str]:
        path.write_bytes(b"other")
        with fake_model_server(true_response)(archive) as url:
            yield url

    result = register(path, store, overwrite_archive)
    assert store.archive(result.version).read_bytes() == data


def test_register_stops_server_after_failed_acceptance(store: FolderStore, tmp_path: Path) -> None:
    stopped = []

    @contextmanager
    def record_stop(archive: ValidatedArchive) -> Iterator[str]:
        try:
            with fake_model_server(lambda card, number: (500, "", b""))(archive) as url:
                yield url
        finally:
            stopped.append(archive)

    with pytest.raises(RegistrationError):
        register(make_archive(tmp_path), store, record_stop)
    assert stopped


def archive_default_model(
    folder: Path, transform: Callable[[dict[str, torch.Tensor]], None] = lambda weights: None
) -> Path:
    """Archive the default model with transformed weights, a matching card, and its own golden predictions."""
    folder.mkdir()
    card = parse_model_card((DEFAULT / CARD).read_bytes())
    golden = read_golden_predictions(DEFAULT, card)
    assert golden is not None
    weights = load_file(DEFAULT / WEIGHTS)
    transform(weights)
    save_file(weights, folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    new_card = card.model_copy(update={"weights_sha256": digest})
    return write_archive(folder / WEIGHTS, new_card, folder, golden.model_copy(update={"weights_sha256": digest}))


def first_convolution(weights: dict[str, torch.Tensor]) -> str:
    return min(name for name, tensor in weights.items() if tensor.ndim == 4)


def permute_channels(weights: dict[str, torch.Tensor]) -> None:
    """Permute the channels of a convolution, which keeps every shape."""
    name = first_convolution(weights)
    weights[name] = weights[name].flip(0).contiguous()


def remove_layer(weights: dict[str, torch.Tensor]) -> None:
    del weights[first_convolution(weights)]


@pytest.mark.integration
def test_register_accepts_default_model_with_torchserve(store: FolderStore, tmp_path: Path) -> None:
    result = register(archive_default_model(tmp_path / "model"), store, run_ephemeral_torchserve)
    assert result.new
    assert result.metrics["dice_root"] > 0.8
    assert result.seconds > 0


@pytest.mark.integration
def test_register_rejects_permuted_weights_with_torchserve(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"(?s)golden plates.*px of root, and \d+ px when"):
        register(archive_default_model(tmp_path / "model", permute_channels), store, run_ephemeral_torchserve)
    assert is_empty(store)


@pytest.mark.integration
def test_register_reports_log_when_worker_does_not_start(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"(?s)does not start.*last lines.*[Mm]issing"):
        register(archive_default_model(tmp_path / "model", remove_layer), store, run_ephemeral_torchserve)
    assert is_empty(store)
