"""Training loop: read the data, step, validate, save the best weights, and resume after a kill.

A run is a folder. It holds the best weights so far with their card, a log, and a checkpoint. After a kill, the same
command resumes from the checkpoint with the same result.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from thale.errors import ParameterError, TrainingError
from thale.host.files import write_atomically
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
"""Initial probability of a landmark at a pixel. A higher one would spend the first steps on false peaks."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a run, apart from its recipe and its data."""

    steps: int
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    """Processes that load crops. 0 loads them in the training process."""
    init: Path | None = None
    """Initial weights, of the same network."""


def train(
    recipe: Recipe, data: Path, out: Path, options: TrainingOptions, card_fields: run_artifacts.CardFields
) -> float:
    """Train a recipe on a folder of labelled images, or resume the run in the folder.

    Returns:
        The best score on the val split: mean Dice of the organs, or mean F1 of the landmarks.

    Raises:
        DatasetError: If the data have problems. It lists all of them.
        ParameterError: If the name of the device is unknown.
        TrainingError: If the run in `out` cannot be resumed, the initial weights do not fit, the device is unavailable,
            or the loss is not finite.
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
            if result.score > trainer.best_score or recipe.keep == "last":
                save_weights(out, trainer, card_fields, result)
            trainer.best_score = max(trainer.best_score, result.score)
        if is_due or time.monotonic() - saved_at_s > _CHECKPOINT_INTERVAL_S:
            run_artifacts.write_checkpoint(out, trainer.state_dict())
            saved_at_s = time.monotonic()
    return trainer.best_score


class Trainer:
    """The network, its moving average, the optimiser and the learning-rate schedule, at a step."""

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
        self.ema = AveragedModel(self.net, multi_avg_fn=ema_with_warmup(recipe.ema_decay), use_buffers=True).eval()
        self.ema.n_averaged.fill_(1)  # the initial weights count; at 0, the first update would replace them
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.class_weights = torch.tensor(recipe.class_weights, device=device)
        self.use_bf16 = supports_bf16(device)
        self.schedule = LambdaLR(self.optimiser, self._learning_rate_factor)
        self.step = 0
        self.best_score = -math.inf

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def _learning_rate_factor(self, step: int) -> float:
        """Return the learning rate of a step, relative to the recipe's: a linear warm-up times a half cosine to 0."""
        warmup = min(1.0, (step + 1) / self.recipe.warmup_steps)
        return warmup * 0.5 * (1 + math.cos(math.pi * step / self.options.steps))

    def train_step(self, batch: Batch) -> float:
        """Train on one batch and return its loss."""
        self.net.train()
        images = batch.images_N3HW.to(self.device, memory_format=torch.channels_last)
        targets = batch.targets.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.use_bf16):
            logits = self.net(images)
        if self.recipe.task == "segmentation":
            loss = segmentation_loss(logits, targets, self.class_weights)
        else:
            loss = heatmap_loss(logits, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.max_gradient_norm)
        self.optimiser.step()
        self.schedule.step()
        self.ema.update_parameters(self.net)
        self.step += 1
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {self.step}: training diverged; try another --seed")
        return value

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a resume. Batches and learning rates are functions of the seed and the step."""
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
        """Restore the state of a checkpoint. None restores nothing.

        The schedule is rebuilt at the step, because its length may have changed
        (docs/adr/0031-train-in-legs-with-warm-restarts.md).

        Raises:
            TrainingError: If the checkpoint belongs to another recipe, seed or manifest.
        """
        if state is None:
            return
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise TrainingError(
                    f"the existing run has {name} {state.get(name)!r}, this one has {value!r}: choose another --out"
                )
        self.step, self.best_score = state["step"], state["best"]
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule = LambdaLR(self.optimiser, self._learning_rate_factor, last_epoch=self.step - 1)
        torch.set_rng_state(state["torch_rng"])
        logger.info("training resumed", extra={"step": self.step})

    def _identity(self) -> dict[str, str | int]:
        return {"recipe": self.recipe.name, "seed": self.options.seed, "manifest": self.dataset.digest}


EmaUpdate = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]


def ema_with_warmup(max_decay: float) -> EmaUpdate:
    """Return the update function of an `AveragedModel`: a moving average whose decay rises to `max_decay`.

    `get_ema_multi_avg_fn` alone has a constant decay, and would average the integer counters of batch normalisation.
    """

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        if averages[0].is_floating_point():
            decay = min(max_decay, int(count) / (int(count) + 9))
            get_ema_multi_avg_fn(decay)(list(averages), list(values), count)  # type: ignore[no-untyped-call]
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    return update


def load_batches(batches: TrainingBatches, start_step: int, options: TrainingOptions) -> DataLoader[Batch]:
    """Return the batches from a step on, prefetched by worker processes."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start_step, options.steps),
        num_workers=options.workers,
        prefetch_factor=_PREFETCHED_BATCHES if options.workers else None,
        generator=torch.Generator().manual_seed(options.seed),
    )


def save_weights(out: Path, trainer: Trainer, card_fields: run_artifacts.CardFields, result: ValidationResult) -> None:
    """Write the averaged weights and their card. They can be archived while training continues."""
    weights = run_artifacts.weights_bytes(trainer.ema.module)
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
    """Load initial weights.

    Raises:
        TrainingError: If they cannot be read or belong to another network.
    """
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainingError(f"{path} cannot be used as initial weights: {error}") from error


def select_device(name: str) -> torch.device:
    """Return the device with a name; `auto` is a GPU if one is available, else the CPU.

    Raises:
        ParameterError: If the name is unknown.
        TrainingError: If the device is unavailable.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ParameterError(f"unknown device {name!r}; available: auto, cpu and cuda")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("no CUDA device is available: pass --device cpu")
    return torch.device(name)


def supports_bf16(device: torch.device) -> bool:
    """Return True if bfloat16 is faster than float32. A CPU without the instructions is much slower with it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
