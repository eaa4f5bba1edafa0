"""Tests of `thale-models check-engine`, on a CPU with tiny models."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_models import TinyModel
from thale.errors import DeviceError, RegistrationError
from thale.release.registry.golden import golden_plates
from thale_models import engine_check
from thale_models.engine import Engine, load_engine
from thale_models.engine_check import check_engine
from thale_models.torch_options import TorchOptions


@pytest.fixture(name="folder")
def write_folder(segmenter: TinyModel) -> Path:
    card = segmenter.card.model_copy(update={"tile_px": 320})
    (segmenter.weights.parent / "card.json").write_text(card.model_dump_json())
    return segmenter.weights.parent


@pytest.fixture(name="lenient", autouse=True)
def accept_any_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_check, "check_acceptance", lambda card, predictions, reference: {"dice_root": 0.5})
    monkeypatch.setattr(engine_check, "golden_plates", lambda: golden_plates()[:1])
    for side in ("WIDTH", "HEIGHT"):
        monkeypatch.setattr(engine_check, f"_TIMED_PLATE_{side}", 400)


@pytest.mark.slow
def test_check_engine_reports_difference_scores_and_seconds(folder: Path) -> None:
    (report,) = check_engine([folder], TorchOptions("cpu", "bfloat16"), plates=1)
    assert report.model == "tiny-seg 1.0.0"
    assert report.engine.endswith(", CPU, bfloat16")
    assert 0 < report.max_difference < 0.05
    assert report.scores == {"dice_root": 0.5}
    assert 0 < report.net_s < report.plate_s


def test_check_engine_rejects_irreproducible_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoisyEngine:
        stride, batch_size, name = 4, 1, "noisy"

        def __init__(self, engine: Engine) -> None:
            self.engine, self.calls = engine, 0

        def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
            self.calls += 1
            return self.engine(batch_N3HW) + np.float32(self.calls * 1e-6)

    monkeypatch.setattr(
        engine_check, "load_engine", lambda *arguments, **options: NoisyEngine(load_engine(*arguments, **options))
    )
    with pytest.raises(DeviceError, match="noisy returns different bits"):
        check_engine([folder], TorchOptions("cpu"), plates=1)


def test_check_engine_applies_the_registration_criteria(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_: object) -> dict[str, float]:
        raise RegistrationError("dice_root is too low")

    monkeypatch.setattr(engine_check, "check_acceptance", reject)
    with pytest.raises(RegistrationError, match="dice_root"):
        check_engine([folder], TorchOptions("cpu"), plates=1)
