"""Registering: the steps with a stand-in for the model server, and the whole of it with a real one."""

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
from thale.errors import ArchiveError, RegistrationError, UnknownModelError, VersionExistsError
from thale.local.ephemeral_torchserve import run_ephemeral_torchserve
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.archive_validation import ValidatedArchive
from thale.release.registry.golden import golden_plates
from thale.release.registry.register import StartModelServer, register
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
    respond: Callable[[ModelCard, int], Response], started: list[ValidatedArchive] | None = None
) -> StartModelServer:
    """Return a stand-in for the real model server that knows what its archive's model would say."""

    @contextmanager
    def start(archive: ValidatedArchive) -> Iterator[str]:
        if started is not None:
            started.append(archive)
        with run_fake_model_server(lambda number: respond(archive.card, number)) as server:
            yield server.url

    return start


def test_a_model_that_answers_well_is_stored_with_its_figures_and_an_audit_line(
    store: FolderStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_archive(tmp_path)
    with caplog.at_level(logging.INFO, "thale.audit"):
        registered = register(path, store, fake_model_server(true_response), author="anna")
    assert registered.new
    assert registered.metrics == {"dice_root": 1, "dice_shoot": 1, "dice_seed": 1}
    assert registered.version == store.find("plate-seg", "1.0.0")
    assert store.archive(registered.version).read_bytes() == path.read_bytes()
    (line,) = caplog.records
    assert (line.message, vars(line)["who"]) == ("version registered", "anna")
    assert vars(line)["digest"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_the_same_bytes_again_start_nothing_and_other_bytes_are_refused_at_once(
    store: FolderStore, tmp_path: Path
) -> None:
    started: list[ValidatedArchive] = []
    first = register(make_archive(tmp_path), store, fake_model_server(true_response, started))
    again = register(make_archive(tmp_path), store, fake_model_server(true_response, started))
    assert (again.version, again.uri, again.new) == (first.version, first.uri, False)
    with pytest.raises(VersionExistsError, match="give the model a new version"):
        register(make_archive(tmp_path, seed=1), store, fake_model_server(true_response, started))
    assert len(started) == 1


def is_empty(store: FolderStore) -> bool:
    with pytest.raises(UnknownModelError):
        store.find("plate-seg", "1.0.0")
    return not store.root.exists()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda card, number: (503, "application/json", b"{}"), "cannot answer the golden plates: no worker"),
        (lambda card, number: (500, "application/json", b"{}"), "cannot answer the golden plates: backlit"),
        (
            lambda card, number: encode_response(
                true_segmentation(golden_plates()[number], card, lambda mask: mask * 0)
            ),
            "sees none",
        ),
        (
            lambda card, number: true_response(card.model_copy(update={"version": "9.9.9"}), number),
            r"answered by .* 9\.9\.9",
        ),
    ],
)
def test_a_model_that_answers_badly_is_not_stored(
    answer: Callable[[ModelCard, int], Response], complaint: str, store: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(RegistrationError, match=complaint):
        register(make_archive(tmp_path), store, fake_model_server(answer))
    assert is_empty(store)


def test_what_is_no_archive_starts_no_server(store: FolderStore, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mar"
    broken.write_bytes(b"PK")
    huge = tmp_path / "huge.mar"
    with huge.open("wb") as file:
        os.truncate(file.fileno(), 2**40)
    pipe = tmp_path / "pipe.mar"
    os.mkfifo(pipe)
    for path in (broken, huge, pipe, tmp_path, tmp_path / "missing.mar"):
        with pytest.raises(ArchiveError, match=path.name):
            register(path, store, fake_model_server(true_response, started := []))
        assert not started
    assert is_empty(store)


def test_what_happens_to_the_file_meanwhile_changes_nothing(store: FolderStore, tmp_path: Path) -> None:
    path = make_archive(tmp_path)
    whole = path.read_bytes()

    @contextmanager
    def meddling(archive: ValidatedArchive) -> Iterator[str]:
        path.write_bytes(b"other")
        with fake_model_server(true_response)(archive) as url:
            yield url

    registered = register(path, store, meddling)
    assert store.archive(registered.version).read_bytes() == whole


def test_a_model_server_is_left_also_when_the_answers_are_refused(store: FolderStore, tmp_path: Path) -> None:
    ended = []

    @contextmanager
    def watched(archive: ValidatedArchive) -> Iterator[str]:
        try:
            with fake_model_server(lambda card, number: (500, "", b""))(archive) as url:
                yield url
        finally:
            ended.append(archive)

    with pytest.raises(RegistrationError):
        register(make_archive(tmp_path), store, watched)
    assert ended


def archive_default_model(
    folder: Path, transform: Callable[[dict[str, torch.Tensor]], None] = lambda weights: None
) -> Path:
    """Archive the default model with the answers it gave, its weights changed, and a card that says so."""
    folder.mkdir()
    card = parse_model_card((DEFAULT / CARD).read_bytes())
    golden = read_golden_predictions(DEFAULT, card)
    assert golden is not None
    weights = load_file(DEFAULT / WEIGHTS)
    transform(weights)
    save_file(weights, folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    changed = card.model_copy(update={"weights_sha256": digest})
    return write_archive(folder / WEIGHTS, changed, folder, golden.model_copy(update={"weights_sha256": digest}))


def first_convolution(weights: dict[str, torch.Tensor]) -> str:
    return min(name for name, tensor in weights.items() if tensor.ndim == 4)


def permute_channels(weights: dict[str, torch.Tensor]) -> None:
    """Mix up the channels of a convolution: every shape and digest is right, and the answers are not."""
    name = first_convolution(weights)
    weights[name] = weights[name].flip(0).contiguous()


def remove_layer(weights: dict[str, torch.Tensor]) -> None:
    del weights[first_convolution(weights)]


def test_the_default_model_is_registered_by_a_real_model_server(store: FolderStore, tmp_path: Path) -> None:
    registered = register(archive_default_model(tmp_path / "model"), store, run_ephemeral_torchserve)
    assert registered.new
    assert registered.metrics["dice_root"] > 0.8
    assert registered.seconds > 0


def test_permuted_weights_are_found_out_by_a_real_model_server(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"(?s)golden plates.*px of root, and \d+ px when"):
        register(archive_default_model(tmp_path / "model", permute_channels), store, run_ephemeral_torchserve)
    assert is_empty(store)


def test_weights_that_do_not_fit_their_net_get_no_worker_and_are_told_with_the_log(
    store: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(RegistrationError, match=r"(?s)does not start.*last lines.*[Mm]issing"):
        register(archive_default_model(tmp_path / "model", remove_layer), store, run_ephemeral_torchserve)
    assert is_empty(store)
