"""A run from a drawn folder to weights that serve: seeded, killed at any time, gone on with."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_plates import write_manifest, write_plate_folder
from thale.errors import ParameterError, TrainingError
from thale.schemas import ModelCard
from thale_models import cli
from thale_models.nets import build_net
from thale_models.recipes import RECIPES, Recipe, get_recipe
from thale_models.run_artifacts import CardFields
from thale_models.train import TrainingOptions, train

SMOKE = RECIPES["smoke"]
SEED = 3


@pytest.fixture(autouse=True)
def _use_one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", name="folder")
def draw_folder_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plates")
    write_plate_folder(folder)
    return folder


def train_briefly(
    folder: Path, out: Path, steps: int = 8, seed: int = SEED, recipe: Recipe = SMOKE, **overrides: Path | str
) -> float:
    options = TrainingOptions(steps, seed, workers=0, device="cpu")
    return train(replace(recipe, validation_interval_steps=4), folder, out, replace(options, **overrides), CardFields())


@pytest.mark.parametrize(
    ("name", "metric", "min_score"), [("smoke", "dice_root", 0.6), ("smoke-landmarks", "f1_root_base", 0.6)]
)
def test_a_smoke_run_learns_and_leaves_weights_with_a_card_that_describes_them(
    folder: Path, tmp_path: Path, name: str, metric: str, min_score: float
) -> None:
    recipe = RECIPES[name]
    description = CardFields(name="my-model", version="2.1.0", data="drawn", licence="CC0-1.0", limits="toys")
    train(recipe, folder, tmp_path, TrainingOptions(recipe.steps, SEED, "cpu", workers=0), description)
    card = ModelCard.model_validate_json((tmp_path / "card.json").read_bytes())
    assert card.metrics[metric] > min_score
    weights = tmp_path / "weights.safetensors"
    assert card.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (card.name, card.version, card.task, card.classes) == ("my-model", "2.1.0", recipe.task, recipe.classes)
    assert (card.data, card.licence, card.limits, card.seed) == ("drawn", "CC0-1.0", "toys", SEED)
    assert card.references == {}  # they come from whole plates: evaluate --write-to-cards
    net = build_net(card.net, len(card.classes), card.net_options)
    net.load_state_dict(load_file(weights))
    assert sum(parameter.numel() for parameter in net.parameters()) == card.parameters
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,loss,learning_rate,score,")
    assert [row.split(",")[0] for row in log[1:]] == ["20", "40", "60", "80"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    for out, seed in (("one", 1), ("again", 1), ("other", 2)):
        train_briefly(folder, tmp_path / out, seed=seed)
    one, again, other = (load_file(tmp_path / out / "weights.safetensors") for out in ("one", "again", "other"))
    assert all(torch.allclose(one[name], again[name]) for name in one)
    assert any(not torch.allclose(one[name], other[name]) for name in one)


def test_a_run_killed_in_the_middle_goes_on_to_where_an_unbroken_one_arrives(folder: Path, tmp_path: Path) -> None:
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    arguments = ["train", "--recipe", "smoke", "--data", str(folder), "--out", str(killed), "--seed", str(SEED)]
    running = subprocess.Popen(
        [sys.executable, "-m", "thale_models.cli", *arguments, "--device", "cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 200
    while not (killed / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert 0 < torch.load(killed / "checkpoint.pt")["step"] < SMOKE.steps
    for out in (killed, unbroken):
        train(SMOKE, folder, out, TrainingOptions(SMOKE.steps, SEED, "cpu", workers=0), CardFields())
    states = [torch.load(out / "checkpoint.pt") for out in (killed, unbroken)]
    assert states[0]["step"] == states[1]["step"] == SMOKE.steps
    for name, value in states[1]["ema"].items():
        torch.testing.assert_close(states[0]["ema"][name], value, rtol=1e-3, atol=1e-4)
    assert len((killed / "log.csv").read_text().splitlines()) == len((unbroken / "log.csv").read_text().splitlines())


def test_a_finished_run_is_left_as_it_is_and_more_steps_go_on_from_it(folder: Path, tmp_path: Path) -> None:
    best = train_briefly(folder, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert train_briefly(folder, tmp_path) == best
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    train_briefly(folder, tmp_path, steps=12)
    assert torch.load(tmp_path / "checkpoint.pt")["step"] == 12


def test_a_run_does_not_go_on_from_another_recipe_seed_or_data(folder: Path, tmp_path: Path) -> None:
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


def test_a_damaged_checkpoint_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(TrainingError, match="delete it to start over"):
        train_briefly(folder, tmp_path)


def test_a_run_can_start_from_weights_of_the_same_net_alone(folder: Path, tmp_path: Path) -> None:
    train_briefly(folder, tmp_path / "first")
    weights = tmp_path / "first" / "weights.safetensors"
    train_briefly(folder, tmp_path / "second", init=weights)
    for wrong in (weights, tmp_path / "nowhere"):
        with pytest.raises(TrainingError, match="cannot be started from"):
            train_briefly(folder, tmp_path / "third", recipe=RECIPES["smoke-landmarks"], init=wrong)


def test_names_that_are_not_known_are_answered_with_those_that_are(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="plate-seg, plate-landmarks"):
        get_recipe("plates")
    with pytest.raises(ParameterError, match="auto, cpu and cuda"):
        train_briefly(folder, tmp_path, device="gpu")


def test_bad_data_is_one_list_and_status_2_on_the_command_line(
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
