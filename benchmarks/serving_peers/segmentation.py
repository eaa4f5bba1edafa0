"""The task of every server of the comparison: a photograph in, its class map as PNG out.

The peers call this module. Decoding, resampling, tiling and blending are thale's own code, so that each peer does
the same work for the same result. The network is the traced network of the model card, run by torch, or by OpenVINO
with `SERVING_ENGINE`.
"""

import io
import json
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from thale.imaging.calibration import calibrate
from thale.imaging.image_io import decode
from thale.schemas import ModelCard, Region
from thale_models.engine import Engine, load_engine
from thale_models.inference import segment

CARD, TRACED_NETWORK, STRIDE = "card.json", "network.pt", "stride.txt"


class TracedEngine:
    """The traced network, run by torch."""

    batch_size = 1
    name = f"torch {torch.__version__}, traced"

    def __init__(self, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.stride = int((folder / STRIDE).read_text())
        self._network = torch.jit.freeze(torch.jit.load(folder / TRACED_NETWORK).eval())

    @torch.inference_mode()
    def __call__(self, batch_N3HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities, N x classes x H x W."""
        return cast(NDArray[np.float32], self._network(torch.from_numpy(batch_N3HW)).numpy())


class Segmenter:
    """A loaded model. The environment has its folder, its threads and its engine."""

    def __init__(self) -> None:
        folder, threads = Path(os.environ["SERVING_MODEL"]), int(os.environ["SERVING_THREADS"])
        self._card = ModelCard.model_validate(json.loads((folder / CARD).read_bytes()))
        self._engine: Engine = (
            load_engine(self._card, folder / "weights.safetensors", threads=threads)
            if os.environ["SERVING_ENGINE"] == "openvino"
            else TracedEngine(folder, threads)
        )

    def class_map(self, photograph: bytes, mm_per_px: float, region: str) -> bytes:
        """Return the class map of a photograph as PNG, at the training scale.

        Args:
            photograph: The bytes of an image file.
            mm_per_px: Its scale.
            region: `image`, or `plate` to search the plate.
        """
        image_HW3 = decode(photograph)
        calibration = calibrate(image_HW3, mm_per_px, region=cast(Region, region))
        prediction = segment(image_HW3, self._card, self._engine, calibration, include_ridges=False)
        buffer = io.BytesIO()
        Image.fromarray(prediction.class_map()).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def respond(self, photograph: bytes, query: Any) -> bytes:
        """Return the class map for a body and query parameters, which every peer takes from its own request type."""
        return self.class_map(photograph, float(query["mm_per_px"]), query.get("region", "plate"))
