"""Inputs of the serving benchmark: the photographs, the traced network, and the archive of TorchServe."""

import io
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from benchmarks.serving_peers.environments import Peer
from benchmarks.serving_peers.segmentation import CARD, STRIDE, TRACED_NETWORK
from PIL import Image

from thale.models.model_card import parse_model_card
from thale_models.synthesis import draw_plate
from thale_models.torch_engine import load_net, trace_model

WEIGHTS = Path(__file__).parents[2] / "model-server" / "weights" / "plate-seg" / "1.0.0"
_LOG_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders><Console name="console"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
  <Loggers><Root level="error"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class BenchmarkImage:
    """A drawn plate: the part of `crop_px` x `crop_px` around its middle, or all of it."""

    crop_px: int | None

    @property
    def mm_per_px(self) -> float:
        """The scale of the plate."""
        return _draw()[1]

    def data(self) -> bytes:
        """Return the JPEG."""
        return _encode(self.crop_px)


PHOTOGRAPHS = {"512 px": BenchmarkImage(512), "12 MP": BenchmarkImage(None)}


@lru_cache(maxsize=1)
def _draw() -> tuple[Image.Image, float]:
    plate = draw_plate(6, plants=5, width=4200, height=3000)
    return Image.fromarray(plate.image_HW3), plate.mm_per_px


@lru_cache(maxsize=4)
def _encode(crop_px: int | None) -> bytes:
    image = _draw()[0]
    if crop_px is not None:
        left, top = (image.width - crop_px) // 2, (image.height - crop_px) // 2
        image = image.crop((left, top, left + crop_px, top + crop_px))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def prepare_models(folder: Path) -> None:
    """Write the model card, the weights and the traced network into the folder `model`."""
    target = folder / "model"
    shutil.copytree(WEIGHTS, target)
    card = parse_model_card((target / CARD).read_bytes())
    model, stride = load_net(card, target / "weights.safetensors")
    traced, _ = trace_model(model, stride)
    torch.jit.save(traced, target / TRACED_NETWORK)
    (target / STRIDE).write_text(str(stride))


def prepare_peer(peer: Peer, python: Path, folder: Path, port: int, workers: int) -> Path:
    """Create the folder of a peer with its settings, and for TorchServe its archive."""
    own_folder = folder / peer.name.lower().replace(" ", "-")
    own_folder.mkdir(exist_ok=True)
    if peer.settings:
        ports = {f"port{offset}": port + offset for offset in range(1, 5)}
        (own_folder / "config.properties").write_text(peer.settings.format(port=port, workers=workers, **ports))
        (own_folder / "log4j2.xml").write_text(_LOG_SETTINGS)
        handler = Path(__file__).with_name("torchserve_handler.py")
        archiver = str(python.with_name("torch-model-archiver"))
        command = [archiver, "--model-name", "segmentation", "--version", "1.0", "--handler", str(handler), "--force"]
        subprocess.run([*command, "--export-path", str(own_folder)], check=True)  # noqa: S603 (the command is ours)
    return own_folder
