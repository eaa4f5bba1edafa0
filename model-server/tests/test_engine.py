"""Tests of the inference engines: equal results, rejected weights, cached graphs, imports."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import zeros

from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError
from thale_models.engine import Engine, EngineName, load_engine


def random_batch(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (1, 3, height, width)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "landmark"])
@pytest.mark.parametrize("size", [(64, 64), (4, 4), (20, 128)])
def test_engines_return_the_same_probabilities(
    task: str, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    model: TinyModel = request.getfixturevalue(f"{task}er")
    fast: Engine = request.getfixturevalue(f"{task}_engine")
    reference = load_engine(model.card, model.weights, "torch", threads=1)
    batch = random_batch(*size)
    predictions = [engine(batch) for engine in (fast, reference)]
    assert predictions[0].shape == (1, len(model.card.classes), *size)
    assert predictions[0].dtype == predictions[1].dtype == np.float32
    assert fast.stride == reference.stride == 4
    np.testing.assert_allclose(predictions[0], predictions[1], atol=1e-5)


def test_engine_applies_softmax_or_sigmoid_by_task(segment_engine: Engine, landmark_engine: Engine) -> None:
    batch = random_batch(32, 32)
    heat = landmark_engine(batch)
    np.testing.assert_allclose(segment_engine(batch).sum(axis=1), 1, atol=1e-5)
    assert 0 <= heat.min() < heat.max() <= 1
    assert np.ptp(heat.sum(axis=1)) > 0.01


@pytest.mark.slow
def test_inference_leaves_the_choice_of_the_core_to_the_kernel(segment_engine: Engine) -> None:
    batch = random_batch(512, 512)
    thread = threading.Thread(target=lambda: [segment_engine(batch) for _ in range(12)])
    thread.start()
    masks = set()
    while thread.is_alive():
        with suppress(ProcessLookupError):  # it has just ended
            masks.add(frozenset(os.sched_getaffinity(thread.native_id or 0)))
        time.sleep(0.001)
    assert masks == {frozenset(os.sched_getaffinity(0))}


def test_engine_name_has_the_version(segmenter: TinyModel, segment_engine: Engine) -> None:
    assert segment_engine.name.startswith("openvino 20")
    assert load_engine(segmenter.card, segmenter.weights, "torch").name.startswith("torch 2")


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_load_engine_rejects_weights_of_another_card(name: EngineName, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path, weights_sha256="0" * 64)
    with pytest.raises(ArchiveError, match="the card states 0000"):
        load_engine(model.card, model.weights, name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ("background", "root")}, "do not fit its network"),
        ({"net": "transformer"}, "available: block-unet"),
        ({"net_options": {"depths": 3}}, "depths"),
    ],
)
def test_load_engine_rejects_weights_of_another_network(
    fields: dict[str, object], message: str, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path, **fields)
    with pytest.raises(ArchiveError, match=message):
        load_engine(model.card, model.weights)


def test_load_engine_rejects_invalid_safetensors(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path)
    for content in (b"", b"\xff" * 64):
        model.weights.write_bytes(content)
        with pytest.raises(ArchiveError, match=r"tiny-seg 1\.0\.0"):
            load_engine(model.card.model_copy(update={"weights_sha256": sha256(content)}), model.weights)


def test_load_engine_rejects_missing_weights(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path)
    save_file({"enter.0.weight": zeros(1)}, model.weights)
    card = model.card.model_copy(update={"weights_sha256": sha256(model.weights.read_bytes())})
    with pytest.raises(ArchiveError, match="Missing key"):
        load_engine(card, model.weights)


@pytest.mark.slow
def test_cached_graph_equals_the_conversion_and_is_repaired(
    segmenter: TinyModel, segment_engine: Engine, tmp_path: Path
) -> None:
    batch = random_batch(64, 64)
    expected = segment_engine(batch)
    cache = tmp_path / "graphs"
    for _ in ("converts and stores", "loads"):
        np.testing.assert_array_equal(load_engine(segmenter.card, segmenter.weights, cache=cache)(batch), expected)
    assert len(list(cache.iterdir())) == 1
    assert cache.stat().st_mode & 0o077 == 0
    for file in cache.glob("*/graph.*"):
        file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(load_engine(segmenter.card, segmenter.weights, cache=cache)(batch), expected)


@pytest.mark.slow
def test_models_do_not_share_a_cached_graph(segmenter: TinyModel, segment_engine: Engine, tmp_path: Path) -> None:
    batch = random_batch(32, 32)
    other = write_tiny_model(tmp_path, seed=1)
    for model in (segmenter, other):
        load_engine(model.card, model.weights, cache=tmp_path / "graphs")
    cached = [load_engine(model.card, model.weights, cache=tmp_path / "graphs")(batch) for model in (segmenter, other)]
    np.testing.assert_array_equal(cached[0], segment_engine(batch))
    assert np.abs(cached[0] - cached[1]).max() > 0.01


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.slow
def test_load_engine_sends_no_usage_statistics(segmenter: TinyModel, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from thale.schemas import ModelCard\n"
        "from thale_models.engine import load_engine\n"
        "load_engine(ModelCard.model_validate_json(sys.stdin.read()), Path(sys.argv[1]))"
    )
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(
        [sys.executable, "-c", program, str(segmenter.weights)],
        input=segmenter.card.model_dump_json(),
        env={**os.environ, "HOME": str(home)},
        text=True,
        check=True,
    )
    assert list(home.iterdir()) == []  # OpenVINO's usage statistics would store an identifier here


@pytest.mark.slow
def test_load_engine_with_a_cached_graph_does_not_import_torch(segmenter: TinyModel, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from thale.schemas import ModelCard\n"
        "from thale_models.engine import load_engine\n"
        "load_engine(ModelCard.model_validate_json(sys.stdin.read()), Path(sys.argv[1]), cache=Path(sys.argv[2]))\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(segmenter.weights), str(tmp_path / "graphs")]
    card = segmenter.card.model_dump_json()
    outputs = [subprocess.run(command, input=card, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert outputs == ["True\n", "False\n"]
