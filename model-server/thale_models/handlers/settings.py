"""Settings of a worker, from the environment that it inherits from TorchServe."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale.telemetry.otel_settings import OtelSettings
from thale_models.engine import EngineName
from thale_models.torch_options import DeviceName, Precision, TorchOptions


class WorkerSettings(BaseSettings):
    """Settings of a worker process, the same for every model of a server."""

    model_config = SettingsConfigDict(env_prefix="THALE_WORKER_", frozen=True)

    engine: EngineName = "openvino"
    """Inference engine."""
    device: DeviceName = "cpu"
    """`cuda` requires the engine torch, an image built with DEVICE=cu130, and a GPU (docs/gpu.md)."""
    precision: Precision = "auto"
    """Arithmetic of the network. `auto` is float32 for torch on a CPU, bfloat16 or float16 on a GPU. For OpenVINO it is
    that of the model card, and `float32` excludes bfloat16."""
    batch_size: int = Field(8, ge=1, le=64)
    """Maximum number of tiles in one inference on a GPU. A row of a whole plate has 5 with the default models."""
    threads: int = 0
    """CPU threads of one inference; 0 uses every core available to the process, within the CPU limit of its
    container. `thale up` chooses them."""
    cache: Path | None = None
    """Folder of OpenVINO graphs of archives without one, kept between starts. None converts such a network at each
    start."""
    memory_growth_mib: int = Field(2048, ge=0)
    """Memory in MiB that requests may use in addition to that of the loaded model. 0 sets no limit. The largest
    accepted image needs about 1400 MiB. The memory limit of the pod contains this value."""
    otel: OtelSettings = Field(default_factory=OtelSettings)
    """Export of traces."""

    @property
    def torch_options(self) -> TorchOptions:
        """Device and arithmetic of the engine torch."""
        return TorchOptions(self.device, self.precision, self.batch_size)
