"""Tests of the model archives: reproducible bytes, valid content, golden predictions."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.support.tiny_models import TinyModel, write_tiny_model
from thale.errors import ArchiveError
from thale.models.model_card import CARD, WEIGHTS, parse_model_card
from thale.release.registry.archive_validation import MANIFEST, validate_archive
from thale.release.registry.golden import GoldenPredictions, check_acceptance
from thale_models.archive import read_golden_predictions, write_archive
from thale_models.golden import write_golden_predictions

WEIGHT_FOLDERS = Path(__file__).parents[1] / "weights"


@pytest.mark.slow
def test_write_archive_is_reproducible(segmenter: TinyModel, tmp_path: Path) -> None:
    first = write_archive(segmenter.weights, segmenter.card, tmp_path / "a")
    later = shutil.copy(segmenter.weights, tmp_path / "renamed.bin")
    time.sleep(2.1)  # ZIP timestamps have a resolution of two seconds
    second = write_archive(Path(later), segmenter.card, tmp_path / "b")
    assert first.name == second.name == "tiny-seg-1.0.0.mar"
    assert first.read_bytes() == second.read_bytes()


def test_archive_has_only_data_and_a_dotted_handler_path(
    segmenter: TinyModel, landmarker: TinyModel, tmp_path: Path
) -> None:
    for model, handler in ((segmenter, "segment"), (landmarker, "landmarks")):
        with zipfile.ZipFile(write_archive(model.weights, model.card, tmp_path)) as archive:
            assert archive.namelist() == sorted((CARD, MANIFEST, WEIGHTS))
            manifest = json.loads(archive.read(MANIFEST))
        assert manifest["model"]["handler"] == f"thale_models.handlers.{handler}"
        assert manifest["model"]["modelVersion"] == "1.0.0"


def test_write_archive_rejects_weights_of_another_card(
    segmenter: TinyModel, landmarker: TinyModel, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="one training run"):
        write_archive(landmarker.weights, segmenter.card, tmp_path)
    assert not list(tmp_path.iterdir())


def test_write_archive_rejects_weights_that_are_not_finite(segmenter: TinyModel, tmp_path: Path) -> None:
    tensors = load_file(segmenter.weights)
    next(tensor for tensor in tensors.values() if tensor.is_floating_point()).view(-1)[-1] = float("nan")
    save_file(tensors, tmp_path / WEIGHTS)
    digest = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    card = segmenter.card.model_copy(update={"weights_sha256": digest})
    with pytest.raises(ArchiveError, match="contains NaN or infinity"):
        write_archive(tmp_path / WEIGHTS, card, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change", [{"version": "01.1.0"}, {"name": "Tiny"}, {"limits": "a\u202eb"}, {"data": "x" * 4097}]
)
def test_write_archive_rejects_invalid_card(change: dict[str, str], segmenter: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=f"the model card is invalid: {next(iter(change))}"):
        write_archive(segmenter.weights, segmenter.card.model_copy(update=change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_write_archive_includes_current_golden_predictions(segmenter: TinyModel, tmp_path: Path) -> None:
    run = segmenter.weights.parent
    assert read_golden_predictions(run, segmenter.card) is None
    golden = write_golden_predictions(run, segmenter.card)
    assert read_golden_predictions(run, segmenter.card) == golden
    assert validate_archive(write_archive(segmenter.weights, segmenter.card, tmp_path, golden)).golden == golden
    stale = golden.model_copy(update={"answers": golden.answers[1:]})
    (run / "golden.json").write_text(stale.model_dump_json())
    assert read_golden_predictions(run, segmenter.card) is None


def test_write_archive_rejects_golden_of_other_weights(segmenter: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="other weights"):
        write_archive(segmenter.weights, segmenter.card, tmp_path, GoldenPredictions(weights_sha256="0", answers=()))


@pytest.mark.parametrize("folder", sorted(WEIGHT_FOLDERS.glob("*/*")), ids=lambda folder: folder.parent.name)
def test_default_models_have_current_golden_predictions(folder: Path) -> None:
    card = parse_model_card((folder / CARD).read_bytes())
    golden = read_golden_predictions(folder, card)
    assert golden is not None, f"other weights or plates: run `thale-models archive {folder}` and commit golden.json"
    assert check_acceptance(card, golden.answers, golden)


@pytest.mark.parametrize(
    ("task", "fields", "message"),
    [
        ("segmentation", {"classes": ("root", "background", "shoot", "seed")}, "list background first"),
        ("segmentation", {"classes": ("background", "root", "root", "seed")}, "once"),
        ("landmarks", {"classes": ("root_base", "flower")}, "primary_tip"),
        ("segmentation", {"overlap_px": 64}, "cannot cover an image"),
        ("segmentation", {"tile_px": 100_000}, "cannot cover an image"),
        ("segmentation", {"tile_px": 0, "overlap_px": 0}, "cannot cover an image"),
    ],
)
def test_write_archive_rejects_a_card_that_cannot_be_served(
    task: str, fields: dict[str, object], message: str, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / "model", task, **fields)
    with pytest.raises(ArchiveError, match=message):
        write_archive(model.weights, model.card, tmp_path)


@pytest.mark.slow
def test_archive_modules_do_not_import_torch() -> None:
    script = (
        "import sys, thale_models.archive, thale.release.registry.archive_validation; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
