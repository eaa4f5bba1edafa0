"""Tests of int8 graphs by NNCF: valid in an archive, named in the provenance, close to float32, deterministic."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError, MissingPackageError
from thale.release.registry.archive_validation import validate_archive
from thale_models import quantisation
from thale_models.archive import write_archive
from thale_models.engine import load_engine
from thale_models.graph_files import GraphFiles, read_graph
from thale_models.quantisation import write_int8_graph


def draw_batch(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)


def random_tiles(number: int, *_: object) -> Iterator[NDArray[np.float32]]:
    yield draw_batch(number)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", name="int8")
def write_int8(model: TinyModel) -> tuple[TinyModel, GraphFiles]:
    """The int8 version of the model, in the same folder."""
    card = model.card.model_copy(update={"version": "1.1.0", "precision": "int8"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantisation, "_tiles", random_tiles)
        return TinyModel(card, model.weights), write_int8_graph(model.weights.parent, model.weights.parent, card, 4)


@pytest.mark.slow
def test_int8_graph_is_close_to_float32_and_deterministic(model: TinyModel, int8: tuple[TinyModel, GraphFiles]) -> None:
    batch = draw_batch(99)
    engine = load_engine(int8[0].card, int8[0].weights, threads=1)
    assert engine.name.endswith(", int8")
    assert engine.stride == 4
    expected = load_engine(model.card, model.weights, "torch", threads=1)(batch)
    probabilities = engine(batch)
    assert 1e-6 < np.abs(probabilities - expected).max() < 0.1
    again = load_engine(int8[0].card, int8[0].weights, threads=2)
    np.testing.assert_array_equal(again(batch), probabilities)


@pytest.mark.slow
def test_int8_archive_is_valid(int8: tuple[TinyModel, GraphFiles], tmp_path: Path) -> None:
    model, graph = int8
    assert graph.info.precision == "int8"
    assert b"FakeQuantize" in graph.graph
    assert validate_archive(write_archive(model.weights, model.card, tmp_path, graph=graph)).card == model.card
    float_card = model.card.model_copy(update={"precision": "float32"})
    assert read_graph(model.weights.parent, float_card) is None


@pytest.mark.slow
def test_int8_graph_of_other_weights_is_not_loaded(int8: tuple[TinyModel, GraphFiles], tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=1, precision="int8")
    for name in ("graph.xml", "graph.bin"):
        (tmp_path / "other" / name).write_bytes((int8[0].weights.parent / name).read_bytes())
    with pytest.raises(ArchiveError, match="no quantised graph"):
        load_engine(other.card, other.weights)


def test_missing_nncf_has_its_install_command(
    model: TinyModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'thale\[models,quantisation\]'"):
        write_int8_graph(model.weights.parent, tmp_path, model.card, 1)
