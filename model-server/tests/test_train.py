"""Tests of training: learning, reproducibility, exact resume, moving average and learning-rate schedule."""

import hashlib
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel

from tests.support.tiny_plates import write_manifest, write_plate_folder
from thale.errors import ParameterError, TrainingError
from thale.schemas import ModelCard
from thale_models import cli
from thale_models import train as training
from thale_models.crop_sampler import Batch
from thale_models.nets import build_net
from thale_models.recipes import RECIPES, Recipe, get_recipe
from thale_models.run_artifacts import CardFields
from thale_models.train import Trainer, TrainingOptions, ema_with_warmup, train
from thale_models.validation import ValidationResult

SMOKE = RECIPES["smoke"]
KILLED_AT_STEP_45 = """
import os, signal
from thale_models import cli
from thale_models.train import Trainer
train_step = Trainer.train_step
def kill_at_step_45(self, batch):
    if self.step == 45:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, batch)
Trainer.train_step = kill_at_step_45
cli.main()
"""
SEED = 3


@pytest.fixture(autouse=True)
def _use_one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", name="folder")
def plate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    write_plate_folder(folder)
    return folder


def train_briefly(
    folder: Path, out: Path, steps: int = 8, seed: int = SEED, recipe: Recipe = SMOKE, **overrides: Path | str
) -> float:
    options = TrainingOptions(steps, seed, workers=0, device="cpu")
    return train(replace(recipe, validation_interval_steps=4), folder, out, replace(options, **overrides), CardFields())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "min_score"), [("smoke", "dice_root", 0.6), ("smoke-landmarks", "f1_root_base", 0.6)]
)
def test_train_writes_trained_weights_with_their_card(
    folder: Path, tmp_path: Path, name: str, metric: str, min_score: float
) -> None:
    recipe = RECIPES[name]
    card_fields = CardFields(name="my-model", version="2.1.0", data="drawn", licence="CC0-1.0", limits="toys")
    train(recipe, folder, tmp_path, TrainingOptions(recipe.steps, SEED, "cpu", workers=0), card_fields)
    card = ModelCard.model_validate_json((tmp_path / "card.json").read_bytes())
    assert card.metrics[metric] > min_score
    weights = tmp_path / "weights.safetensors"
    assert card.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (card.name, card.version, card.task, card.classes) == ("my-model", "2.1.0", recipe.task, recipe.classes)
    assert (card.data, card.licence, card.limits, card.seed) == ("drawn", "CC0-1.0", "toys", SEED)
    assert card.references == {}  # references come from whole plates: evaluate --write-to-cards
    net = build_net(card.net, len(card.classes), card.net_options)
    net.load_state_dict(load_file(weights))
    assert sum(parameter.numel() for parameter in net.parameters()) == card.parameters
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,loss,learning_rate,score,")
    assert [row.split(",")[0] for row in log[1:]] == ["20", "40", "60", "80"]


@pytest.mark.slow
def test_train_is_reproducible_by_seed(folder: Path, tmp_path: Path) -> None:
    for out, seed in (("first", 1), ("second", 1), ("other", 2)):
        train_briefly(folder, tmp_path / out, seed=seed)
    first, second, other = (load_file(tmp_path / out / "weights.safetensors") for out in ("first", "second", "other"))
    assert all(torch.allclose(first[name], second[name]) for name in first)
    assert any(not torch.allclose(first[name], other[name]) for name in first)


@pytest.mark.slow
def test_train_resumes_after_a_kill(folder: Path, tmp_path: Path) -> None:
    killed, uninterrupted = tmp_path / "killed", tmp_path / "uninterrupted"
    arguments = ["train", "--recipe", "smoke", "--data", str(folder), "--out", str(killed), "--seed", str(SEED)]
    process = subprocess.run(
        [sys.executable, "-c", KILLED_AT_STEP_45, *arguments, "--device", "cpu"],
        env={**cli.MALLOC_SETTINGS, **os.environ, "OMP_NUM_THREADS": "1"},  # the command does not restart
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    assert 20 <= torch.load(killed / "checkpoint.pt")["step"] <= 45
    for out in (killed, uninterrupted):
        train(SMOKE, folder, out, TrainingOptions(SMOKE.steps, SEED, "cpu", workers=0), CardFields())
    states = [torch.load(out / "checkpoint.pt") for out in (killed, uninterrupted)]
    assert states[0]["step"] == states[1]["step"] == SMOKE.steps
    for name, value in states[1]["ema"].items():
        torch.testing.assert_close(states[0]["ema"][name], value, rtol=1e-3, atol=1e-4)
    logs = [(out / "log.csv").read_text().splitlines() for out in (killed, uninterrupted)]
    assert len(logs[0]) == len(logs[1])


def flatten(state: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a nested checkpoint by path."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else None
    if items is None:
        return {prefix: state}
    return {path: leaf for key, item in items for path, leaf in flatten(item, f"{prefix}/{key}").items()}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [SMOKE, RECIPES["smoke-landmarks"]], ids=lambda recipe: recipe.name)
def test_train_resumes_to_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    train_briefly(folder, tmp_path / "uninterrupted", recipe=recipe)
    train_step = Trainer.train_step

    def interrupt_at_step_6(trainer: Trainer, batch: Batch) -> float:
        if trainer.step == 6:
            raise KeyboardInterrupt
        return train_step(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", interrupt_at_step_6)
        with pytest.raises(KeyboardInterrupt):
            train_briefly(folder, tmp_path / "interrupted", recipe=recipe)
    assert torch.load(tmp_path / "interrupted" / "checkpoint.pt")["step"] == 4
    train_briefly(folder, tmp_path / "interrupted", recipe=recipe)
    resumed, expected = (
        flatten(torch.load(tmp_path / name / "checkpoint.pt")) for name in ("interrupted", "uninterrupted")
    )
    assert resumed.keys() == expected.keys()
    for path, value in expected.items():
        assert torch.equal(resumed[path], value) if isinstance(value, torch.Tensor) else resumed[path] == value, path
    for name in ("weights.safetensors", "card.json"):
        assert (tmp_path / "interrupted" / name).read_bytes() == (tmp_path / "uninterrupted" / name).read_bytes()
    logs = [(tmp_path / out / "log.csv").read_text() for out in ("interrupted", "uninterrupted")]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_ema_decay_rises_to_its_maximum() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average = AveragedModel(net, multi_avg_fn=ema_with_warmup(0.4), use_buffers=True)
    average.n_averaged.fill_(1)
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    for step, decay in enumerate((1 / 10, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 0.4, 0.4), start=1):
        for value in net.state_dict().values():
            value.copy_(torch.randn_like(value) if value.is_floating_point() else torch.tensor(step))
        average.update_parameters(net)
        for name, value in net.state_dict().items():
            expected[name] = expected[name].lerp(value, 1 - decay) if value.is_floating_point() else value.clone()
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.slow
def test_learning_rate_is_a_warmup_times_a_half_cosine(folder: Path, tmp_path: Path) -> None:
    recipe = replace(SMOKE, validation_interval_steps=1)
    train(recipe, folder, tmp_path, TrainingOptions(8, SEED, "cpu", workers=0), CardFields())
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()]
    rates = [float(row[rows[0].index("learning_rate")]) for row in rows[1:]]
    expected = [
        recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup_steps) * 0.5 * (1 + math.cos(math.pi * step / 8))
        for step in range(1, 9)
    ]
    assert rates == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.slow
def test_train_keeps_a_finished_run_and_extends_it(folder: Path, tmp_path: Path) -> None:
    best = train_briefly(folder, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert train_briefly(folder, tmp_path) == best
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    train_briefly(folder, tmp_path, steps=12)
    assert torch.load(tmp_path / "checkpoint.pt")["step"] == 12


@pytest.mark.slow
def test_train_rejects_a_run_of_another_recipe_seed_or_data(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_briefly(folder, out)
    with pytest.raises(TrainingError, match="recipe 'smoke', this one has 'smoke-landmarks'"):
        train_briefly(folder, out, recipe=RECIPES["smoke-landmarks"])
    with pytest.raises(TrainingError, match="seed 3, this one has 4"):
        train_briefly(folder, out, seed=4)
    more = tmp_path / "more"
    write_manifest(more, [*write_plate_folder(more)][:-1])
    with pytest.raises(TrainingError, match="manifest"):
        train_briefly(more, out)


@pytest.mark.slow
def test_train_continues_an_empty_log(folder: Path, tmp_path: Path) -> None:
    train_briefly(folder, tmp_path / "whole")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.csv").touch()  # left by a kill, or a full disk, at the first row
    train_briefly(folder, tmp_path / "run")
    assert (tmp_path / "run" / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()


def test_train_reports_a_damaged_checkpoint(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(TrainingError, match="delete it to start over"):
        train_briefly(folder, tmp_path)


@pytest.mark.slow
def test_train_accepts_initial_weights_of_the_same_network_only(folder: Path, tmp_path: Path) -> None:
    train_briefly(folder, tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    train_briefly(folder, tmp_path / "second", init=weights)
    for wrong in (weights, tmp_path / "nowhere"):
        with pytest.raises(TrainingError, match="cannot be used as initial weights"):
            train_briefly(folder, tmp_path / "third", recipe=RECIPES["smoke-landmarks"], init=wrong)


def test_unknown_names_list_the_available_ones(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="plate-seg, plate-landmarks"):
        get_recipe("plates")
    with pytest.raises(ParameterError, match="auto, cpu and cuda"):
        train_briefly(folder, tmp_path, device="gpu")


def test_train_command_lists_all_data_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_plate_folder(tmp_path)
    rows[0]["mm_per_px"] = "-1"
    rows[1]["image"] = "gone.png"
    write_manifest(tmp_path, rows)
    for name, value in cli.MALLOC_SETTINGS.items():
        monkeypatch.setenv(name, value)
    arguments = ["train", "--recipe", "smoke", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["thale-models", *arguments])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    stderr = capsys.readouterr().err
    assert "2 problems" in stderr
    assert "mm_per_px is '-1'" in stderr
    assert "'gone.png' does not exist" in stderr


@pytest.mark.slow
@pytest.mark.parametrize(("keep", "step"), [("best", 4), ("last", 8)])
def test_train_keeps_the_weights_that_the_recipe_names(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: Literal["best", "last"], step: int
) -> None:
    scores = iter((0.7, 0.6))
    monkeypatch.setattr(training, "validate", lambda *_: ValidationResult(next(scores), {}))
    best = train_briefly(folder, tmp_path, recipe=replace(SMOKE, keep=keep))
    assert best == 0.7
    card = ModelCard.model_validate_json((tmp_path / "card.json").read_bytes())
    assert card.metrics["step"] == step
