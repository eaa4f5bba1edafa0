"""Training, top to bottom: read the data, step, validate, keep the best, be killed at any time and go on.

A run is a folder. It holds the best weights so far with their card, a log, and a checkpoint from which the same command
goes on after a kill with the same result.
"""

import copy
import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from thale.errors import ParameterError, TrainingError
from thale.files import write_atomically
from thale.models.model_card import WEIGHTS
from thale_models import run_artifacts
from thale_models.crop_sampler import Batch, TrainingBatches
from thale_models.dataset import Dataset, read_dataset
from thale_models.losses import heatmap_loss, segmentation_loss
from thale_models.nets import build_net
from thale_models.recipes import Recipe
from thale_models.validation import ValidationResult, validate, validation_crops

logger = logging.getLogger(__name__)

DATASET_STAMP = "checked.txt"
_CHECKPOINT_INTERVAL_S = 60.0
_PREFETCHED_BATCHES = 6
_INITIAL_LANDMARK_PROBABILITY = 0.01
"""Probability of a landmark at a pixel that a new net answers; without it the first steps drown in false peaks."""


@dataclass(frozen=True)
class TrainingOptions:
    """What a run is told besides its recipe and its data."""

    steps: int
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    """Processes that make crops. 0 makes them between the steps."""
    init: Path | None = None
    """Weights to start from, of the same net."""


def train(
    recipe: Recipe, data: Path, out: Path, options: TrainingOptions, card_fields: run_artifacts.CardFields
) -> float:
    """Train a recipe on a folder of labelled images, or go on where a killed run stopped.

    Returns:
        The best score on the val split: mean Dice of the organs, or mean F1 of the landmarks.

    Raises:
        DatasetError: If anything is wrong with the data; it names all of it.
        ParameterError: If no device has the name given.
        TrainingError: If `out` holds a run that this one cannot go on from, the weights to start from do not fit, the
            device is not there, or the loss is no longer a number.
    """
    device = select_device(options.device)
    out.mkdir(parents=True, exist_ok=True)
    dataset = read_dataset(
        data, recipe.task, recipe.classes, required_splits=("train", "val"), stamp=out / DATASET_STAMP
    )
    trainer = Trainer(recipe, dataset, options, device)
    trainer.resume(run_artifacts.read_checkpoint(out))
    run_artifacts.truncate_log(out, trainer.step)
    val_batches = validation_crops(dataset, recipe)
    batches = load_batches(TrainingBatches(dataset, recipe, options.seed), trainer.step, options)
    progress_interval_s = 1.0 if sys.stderr.isatty() else 30.0
    progress = tqdm(
        batches, "training", total=options.steps, initial=trainer.step, unit="step", mininterval=progress_interval_s
    )
    saved_at_s, losses = time.monotonic(), []
    for batch in progress:
        losses.append(trainer.train_step(batch))
        progress.set_postfix(loss=f"{losses[-1]:.3f}", best=f"{trainer.best_score:.3f}", refresh=False)
        is_done = trainer.step == options.steps
        is_due = is_done or trainer.step % recipe.validation_interval_steps == 0
        if is_due:
            result = validate(trainer.ema, val_batches, recipe, device)
            row = {"step": trainer.step, "loss": sum(losses) / len(losses), "learning_rate": trainer.learning_rate}
            run_artifacts.append_log(out, {**row, "score": result.score, **result.metrics})
            losses = []
            if result.score > trainer.best_score:
                trainer.best_score = result.score
                save_best_weights(out, trainer, card_fields, result)
        if is_due or time.monotonic() - saved_at_s > _CHECKPOINT_INTERVAL_S:
            run_artifacts.write_checkpoint(out, trainer.state_dict())
            saved_at_s = time.monotonic()
    return trainer.best_score


class Trainer:
    """The net, its moving average and the optimiser, at a step."""

    def __init__(self, recipe: Recipe, dataset: Dataset, options: TrainingOptions, device: torch.device) -> None:
        torch.manual_seed(options.seed)
        net = build_net(recipe.net, recipe.output_channels, recipe.net_options)
        if recipe.task == "landmarks":
            nn.init.constant_(
                cast(Tensor, net.leave.bias),
                math.log(_INITIAL_LANDMARK_PROBABILITY / (1 - _INITIAL_LANDMARK_PROBABILITY)),
            )
        if options.init is not None:
            load_weights(net, options.init)
        self.recipe, self.dataset, self.options, self.device = recipe, dataset, options, device
        self.net = net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.net).eval()
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.class_weights = torch.tensor(recipe.class_weights, device=device)
        self.use_bf16 = supports_bf16(device)
        self.step = 0
        self.best_score = -math.inf

    @property
    def learning_rate(self) -> float:
        """The rate of this step: a linear warm-up, then half a cosine down to nothing."""
        warm_up = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        return self.recipe.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * self.step / self.options.steps))

    def train_step(self, batch: Batch) -> float:
        """Learn from one batch and return its loss."""
        self.net.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        pictures = batch.pictures_N3HW.to(self.device, memory_format=torch.channels_last)
        targets = batch.targets.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.use_bf16):
            logits = self.net(pictures)
        if self.recipe.task == "segmentation":
            loss = segmentation_loss(logits, targets, self.class_weights)
        else:
            loss = heatmap_loss(logits, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.max_gradient_norm)
        self.optimiser.step()
        self.step += 1
        update_ema(self.ema, self.net, min(self.recipe.ema_decay, self.step / (self.step + 9)))
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {self.step}: the run went astray; try another --seed")
        return value

    def state_dict(self) -> dict[str, Any]:
        """Return everything that going on needs; the crops need no more than the seed and the step."""
        return {
            **self._identity(),
            "step": self.step,
            "best": self.best_score,
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "torch_rng": torch.get_rng_state(),
        }

    def resume(self, state: dict[str, Any] | None) -> None:
        """Go on from a checkpoint, if there is one.

        Raises:
            TrainingError: If the checkpoint is of another recipe, seed or data.
        """
        if state is None:
            return
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise TrainingError(
                    f"the run there has {name} {state.get(name)!r}, this one has {value!r}: choose another --out"
                )
        self.step, self.best_score = state["step"], state["best"]
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_rng"])
        logger.info("resumed", extra={"step": self.step})

    def _identity(self) -> dict[str, str | int]:
        return {"recipe": self.recipe.name, "seed": self.options.seed, "manifest": self.dataset.digest}


@torch.no_grad()
def update_ema(ema: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the averaged weights and batch statistics towards the net's."""
    net_state = net.state_dict()
    for name, value in ema.state_dict().items():
        if value.is_floating_point():
            value.lerp_(net_state[name], 1 - decay)
        else:
            value.copy_(net_state[name])


def load_batches(batches: TrainingBatches, start_step: int, options: TrainingOptions) -> DataLoader[Batch]:
    """Return the batches from a step on, made ahead of time by a process of its own."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start_step, options.steps),
        num_workers=options.workers,
        prefetch_factor=_PREFETCHED_BATCHES if options.workers else None,
        generator=torch.Generator().manual_seed(options.seed),
    )


def save_best_weights(
    out: Path, trainer: Trainer, card_fields: run_artifacts.CardFields, result: ValidationResult
) -> None:
    """Write the averaged weights and their card, ready to be archived while training goes on."""
    weights = run_artifacts.weights_bytes(trainer.ema)
    write_atomically(out / WEIGHTS, weights)
    parameters = sum(parameter.numel() for parameter in trainer.net.parameters())
    run_artifacts.write_card(
        out,
        card_fields,
        trainer.recipe,
        trainer.dataset,
        trainer.options.seed,
        weights,
        parameters,
        result,
        trainer.step,
    )


def load_weights(net: nn.Module, path: Path) -> None:
    """Load the weights to start from.

    Raises:
        TrainingError: If they cannot be read or are those of another net.
    """
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainingError(f"{path} cannot be started from: {error}") from error


def select_device(name: str) -> torch.device:
    """Return the device that a name means; auto is a GPU where there is one.

    Raises:
        ParameterError: If no device has that name.
        TrainingError: If the device is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ParameterError(f"no device is called {name!r}: the devices are auto, cpu and cuda")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("no CUDA device can be used here: say --device cpu")
    return torch.device(name)


def supports_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there; on a processor without the instructions it is far slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
