"""Options of the torch engine, apart from `torch_engine`: the settings of a worker must not import torch."""

from dataclasses import dataclass
from typing import Literal

DeviceName = Literal["cpu", "cuda"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class TorchOptions:
    """Device and arithmetic of the torch engine."""

    device: DeviceName = "cpu"
    precision: Precision = "auto"
    """Arithmetic of the network. `auto` is float32 on a CPU, and the fastest of a GPU that is safe for any network."""
    batch_size: int = 8
    """Maximum number of tiles in one call on a GPU."""
