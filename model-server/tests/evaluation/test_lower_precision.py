"""Tests of versions in a lower precision: written with the proof, refused without it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.tiny_models import write_tiny_model
from thale.errors import ArchiveError, DeviceError
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.schemas import ModelCard, Task
from thale.schemas.model_card import Precision
from thale_models.evaluation import lower_precision as module
from thale_models.evaluation.lower_precision import PROOF, lower_precision
from thale_models.evaluation.plate_scores import LoadedModel
from thale_models.evaluation.trait_records import TraitRecord
from thale_models.graph_files import write_graph

TRUE_MM = 40.0


def records(error_mm: float) -> list[TraitRecord]:
    values = {"total_root_length": (TRUE_MM + error_mm, TRUE_MM, "ok")}
    return [TraitRecord(f"p{plate}", 0, 1, 0, {}, values) for plate in range(25)]


@pytest.fixture(name="folders")
def write_folders(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of a segmentation model and of its partner."""
    tasks: tuple[Task, Task] = ("segmentation", "landmarks")
    for task in tasks:
        model = write_tiny_model(tmp_path / task, task)
        (tmp_path / task / CARD).write_text(model.card.model_dump_json())
    return tmp_path / "segmentation", tmp_path / "landmarks"


@pytest.fixture(name="evaluate")
def fake_evaluation(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Returns a function that sets the error in the lower precision, in mm. The error in float32 is 0."""

    def fake_int8_graph(folder: Path, out: Path, card: ModelCard, _plates: int) -> None:
        write_graph(folder, parse_model_card((folder / CARD).read_bytes()))
        (out / "graph.xml").write_bytes(b"int8")

    def set_error(error_mm: float) -> None:
        def collect(_data: Sequence[Path], _copies: int, models: dict[Task, LoadedModel], *_: Path) -> object:
            return records(0.0 if models["segmentation"].card.precision == "float32" else error_mm)

        def load(folders: Sequence[Path], _engine: str) -> dict[Task, LoadedModel]:
            cards = [parse_model_card((folder / CARD).read_bytes()) for folder in folders]
            return {card.task: LoadedModel(card, None) for card in cards}  # type: ignore[arg-type]  # not used

        monkeypatch.setattr(module, "collect_records", collect)
        monkeypatch.setattr(module, "load_models", load)

    monkeypatch.setattr(module, "write_int8_graph", fake_int8_graph)
    return set_error


def test_lower_precision_writes_the_version_with_its_proof(
    folders: tuple[Path, Path], evaluate: Callable[[float], None], tmp_path: Path
) -> None:
    evaluate(0.1)
    out = tmp_path / "out"
    growths = lower_precision(*folders, [], out, "1.1.0", "int8", 1)
    assert [growth.growth for growth in growths] == [pytest.approx(0.05)]
    card = parse_model_card((out / CARD).read_bytes())
    assert (card.version, card.precision) == ("1.1.0", "int8")
    assert (out / "graph.xml").read_bytes() == b"int8"
    assert (out / WEIGHTS).read_bytes() == (folders[0] / WEIGHTS).read_bytes()
    assert json.loads((out / PROOF).read_text())["precision"] == "1.1.0 int8"
    with pytest.raises(ArchiveError, match="already has a model"):
        lower_precision(*folders, [], out, "1.1.0", "int8", 1)


def test_lower_precision_refuses_a_version_whose_error_grows(
    folders: tuple[Path, Path], evaluate: Callable[[float], None], tmp_path: Path
) -> None:
    evaluate(0.3)
    out = tmp_path / "out"
    with pytest.raises(ArchiveError, match=r"int8 is not proven to keep .*: total_root_length \+0\.150"):
        lower_precision(*folders, [], out, "1.1.0", "int8", 1)
    assert [path.name for path in out.iterdir()] == [PROOF]


def test_lower_precision_refuses_data_without_true_roots(
    folders: tuple[Path, Path], evaluate: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evaluate(0.0)
    monkeypatch.setattr(module, "collect_records", lambda *_: [])
    with pytest.raises(ArchiveError, match="no plate with true roots"):
        lower_precision(*folders, [], tmp_path / "out", "1.1.0", "int8", 1)


def test_lower_precision_compares_a_bfloat16_model_with_float32(
    folders: tuple[Path, Path], evaluate: Callable[[float], None], tmp_path: Path
) -> None:
    _set_precision(folders[0], "bfloat16")
    evaluate(0.1)
    growths = lower_precision(*folders, [], tmp_path / "out", "1.1.0", "int8", 1)
    assert [(growth.reference_error, growth.candidate_error) for growth in growths] == [(0.0, pytest.approx(0.05))]


def test_lower_precision_refuses_a_model_in_int8(folders: tuple[Path, Path], tmp_path: Path) -> None:
    _set_precision(folders[0], "int8")
    with pytest.raises(ArchiveError, match="is in int8: pass the version that it was made from"):
        lower_precision(*folders, [], tmp_path / "out", "1.1.0", "int8", 1)


def _set_precision(folder: Path, precision: Precision) -> None:
    card = parse_model_card((folder / CARD).read_bytes())
    (folder / CARD).write_text(card.model_copy(update={"precision": precision}).model_dump_json())


@pytest.mark.parametrize(("capabilities", "is_possible"), [(["FP32", "BF16"], True), (["FP32", "INT8"], False)])
def test_bfloat16_is_evaluated_only_where_the_processor_has_it(
    capabilities: list[str],
    is_possible: bool,
    folders: tuple[Path, Path],
    evaluate: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    evaluate(0.0)
    monkeypatch.setattr(module, "cpu_capabilities", lambda: capabilities)
    out = tmp_path / "out"
    if is_possible:
        lower_precision(*folders, [], out, "1.1.0", "bfloat16", 1)
        assert parse_model_card((out / CARD).read_bytes()).precision == "bfloat16"
        assert not (out / "graph.xml").exists()
    else:
        with pytest.raises(DeviceError, match="avx512_bf16 or amx_bf16"):
            lower_precision(*folders, [], out, "1.1.0", "bfloat16", 1)
