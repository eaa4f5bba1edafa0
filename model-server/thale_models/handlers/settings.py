"""How a worker runs its model, from the environment that TorchServe hands on to it."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale.telemetry.otel_settings import OtelSettings
from thale_models.engine import EngineName


class WorkerSettings(BaseSettings):
    """Settings of one worker process. The same for every model of a server."""

    model_config = SettingsConfigDict(env_prefix="THALE_WORKER_", frozen=True)

    engine: EngineName = "openvino"
    threads: int = 0
    """Processor threads of one inference; 0 takes every core that the process may use."""
    cache: Path | None = None
    """Folder that keeps OpenVINO's graphs between starts; none converts the net at each start."""
    otel: OtelSettings = Field(default_factory=OtelSettings)
    """Where traces go."""
