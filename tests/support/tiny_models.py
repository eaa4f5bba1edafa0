"""Tiny models with a few thousand random weights, for tests that do not need quality."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from thale.schemas import ModelCard, Normalisation, Task
from thale_models import nets

CLASSES: dict[Task, tuple[str, ...]] = {
    "segmentation": ("background", "root", "shoot", "seed"),
    "landmarks": ("root_base", "primary_tip"),
}
NET_OPTIONS = {"base": 8, "depth": 2}


@dataclass(frozen=True)
class TinyModel:
    card: ModelCard
    weights: Path


def write_tiny_model(folder: Path, task: Task = "segmentation", seed: int = 0, **fields: object) -> TinyModel:
    """Write random weights to a folder and return them with a card. Keyword arguments replace fields of the card."""
    torch.manual_seed(seed)
    net = nets.build_net("block-unet", len(CLASSES[task]), NET_OPTIONS)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var *= 0.3
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    save_file(net.state_dict(), weights)
    card = ModelCard(
        name="tiny-seg" if task == "segmentation" else "tiny-landmarks",
        version="1.0.0",
        task=task,
        classes=CLASSES[task],
        mm_per_px=0.25,
        normalisation=Normalisation(background_mm=4.0, contrast=32.0, clip=6.0),
        net="block-unet",
        net_options=NET_OPTIONS,
        tile_px=64,
        overlap_px=16,
        data="none: the weights are random",
        licence="Apache-2.0",
        recipe="none",
        seed=seed,
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    return TinyModel(card.model_copy(update=fields), weights)
