"""Settings of a worker, from the environment that it inherits from TorchServe."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale.telemetry.otel_settings import OtelSettings
from thale_models.engine import EngineName


class WorkerSettings(BaseSettings):
    """Settings of a worker process, the same for every model of a server."""

    model_config = SettingsConfigDict(env_prefix="THALE_WORKER_", frozen=True)

    engine: EngineName = "openvino"
    threads: int = 0
    """CPU threads of one inference; 0 uses every core available to the process."""
    cache: Path | None = None
    """Folder of OpenVINO graphs, kept between starts. None converts the network at each start."""
    otel: OtelSettings = Field(default_factory=OtelSettings)
    """Export of traces."""
