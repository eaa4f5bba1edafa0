"""Tests of ready-made OpenVINO graphs: equal results, stale graphs, workers without torch."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.graph_members import GRAPH, GRAPH_CONSTANTS
from thale_models import engine as engine_module
from thale_models.archive import write_archive
from thale_models.cli import archive
from thale_models.engine import choose_precision, load_engine
from thale_models.graph_files import read_graph, write_graph
from thale_models.torch_options import TorchOptions

WEIGHT_FOLDERS = sorted((Path(__file__).parents[1] / "weights").glob("*/*"))
BATCH = np.random.default_rng(1).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> TinyModel:
    return write_tiny_model(tmp_path / "model")


def convert_nothing(*_: object) -> None:
    raise AssertionError("the network was converted")


def test_engine_from_a_graph_equals_the_conversion(model: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = load_engine(model.card, model.weights, threads=1)
    write_graph(model.weights.parent, model.card)
    monkeypatch.setattr(engine_module, "convert", convert_nothing)
    ready = load_engine(model.card, model.weights, threads=1)
    np.testing.assert_array_equal(ready(BATCH), converted(BATCH))
    assert ready.stride == converted.stride == 4
    assert ready.name == converted.name


@pytest.mark.parametrize("damage", ["stale", "truncated", "without constants"])
def test_engine_converts_if_the_graph_is_not_valid(model: TinyModel, damage: str, tmp_path: Path) -> None:
    folder = model.weights.parent
    other = write_tiny_model(tmp_path / "other", seed=1)
    write_graph(other.weights.parent if damage == "stale" else folder, other.card if damage == "stale" else model.card)
    if damage == "stale":
        for name in (GRAPH, GRAPH_CONSTANTS):
            (folder / name).write_bytes((other.weights.parent / name).read_bytes())
    elif damage == "truncated":
        (folder / GRAPH).write_bytes((folder / GRAPH).read_bytes()[:1000])
    else:
        (folder / GRAPH_CONSTANTS).unlink()
    assert read_graph(folder, model.card) is None
    expected = load_engine(model.card, model.weights, "torch")(BATCH)
    np.testing.assert_allclose(load_engine(model.card, model.weights)(BATCH), expected, atol=1e-5)


@pytest.mark.parametrize("folder", WEIGHT_FOLDERS, ids=lambda folder: folder.parent.name)
def test_default_models_have_current_graphs(folder: Path) -> None:
    card = parse_model_card((folder / CARD).read_bytes())
    files = read_graph(folder, card)
    assert files is not None, f"other weights: run `thale-models archive {folder}` and commit the graph"
    expected = load_engine(card, folder / WEIGHTS, "torch", threads=1)(BATCH)
    in_float32 = load_engine(card, folder / WEIGHTS, threads=1, torch_options=TorchOptions(precision="float32"))
    np.testing.assert_allclose(in_float32(BATCH), expected, atol=1e-5)
    released = load_engine(card, folder / WEIGHTS, threads=1)  # bfloat16 where the processor has it
    np.testing.assert_allclose(released(BATCH), expected, atol=0.02)


def test_archive_command_adds_the_graph(model: TinyModel, tmp_path: Path) -> None:
    (model.weights.parent / CARD).write_text(model.card.model_dump_json())
    for compute_graph, is_expected in ((False, False), (True, True), (False, True)):
        archive(model.weights.parent, tmp_path, compute_golden=False, compute_graph=compute_graph)
        with zipfile.ZipFile(tmp_path / "tiny-seg-1.0.0.mar") as packed:
            assert (GRAPH in packed.namelist()) == is_expected


def test_write_archive_rejects_the_graph_of_other_weights(model: TinyModel, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=1)
    graph = write_graph(other.weights.parent, other.card)
    with pytest.raises(ArchiveError, match="converted from other weights"):
        write_archive(model.weights, model.card, tmp_path, graph=graph)


def test_int8_model_requires_its_quantised_graph(model: TinyModel, tmp_path: Path) -> None:
    write_graph(model.weights.parent, model.card)  # float32: does not belong to the card below
    card = model.card.model_copy(update={"precision": "int8"})
    with pytest.raises(ArchiveError, match="thale-models lower-precision"):
        load_engine(card, model.weights)
    with pytest.raises(ArchiveError, match="thale-models lower-precision"):
        write_archive(model.weights, card, tmp_path)
    with pytest.raises(ArchiveError, match="thale-models lower-precision"):
        write_graph(model.weights.parent, card)


@pytest.mark.slow
def test_worker_serves_an_archive_without_torch(tmp_path: Path) -> None:
    """The handler runs in TorchServe's worker program with an import of torch that fails."""
    folder = next(folder for folder in WEIGHT_FOLDERS if folder.parent.name == "plate-seg")
    program = tmp_path / "model_service_worker.py"
    program.write_text(
        "import sys; sys.modules['torch'] = None\n"
        "from types import SimpleNamespace\n"
        "from ts.protocol.otf_message_handler import create_predict_response\n"
        "from thale_models.handlers.segment import SegmentHandler\n"
        "handler = SegmentHandler()\n"
        f"handler.initialize(SimpleNamespace(system_properties={{'model_dir': {str(folder)!r}}}))\n"
        "assert create_predict_response([b'map'], {0: 'id'}, 'ok', 200)\n"
        "print(handler.engine.name)\n"
    )
    command = [sys.executable, "-m", "thale_models.worker", str(program)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith("openvino 20")


@pytest.mark.parametrize(
    ("card", "setting", "capabilities", "expected"),
    [
        ("float32", "auto", ["FP32", "INT8", "BF16"], "float32"),
        ("float32", "bfloat16", ["FP32", "BF16"], "float32"),
        ("bfloat16", "auto", ["FP32", "INT8", "BF16"], "bfloat16"),
        ("bfloat16", "bfloat16", ["FP32", "BF16"], "bfloat16"),
        ("bfloat16", "float32", ["FP32", "BF16"], "float32"),
        ("bfloat16", "auto", ["FP32", "INT8"], "float32"),
        ("int8", "float32", ["FP32"], "int8"),
    ],
)
def test_choose_precision_by_card_and_processor(
    card: str, setting: str, capabilities: list[str], expected: str
) -> None:
    assert choose_precision(card, setting, capabilities) == expected  # type: ignore[arg-type]
