"""Settings of the rollout controller in a cluster, from THALE_* environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ControllerSettings(BaseSettings):
    """Settings of the controller. Built once in `__main__` and passed on."""

    model_config = SettingsConfigDict(env_prefix="THALE_", frozen=True, extra="ignore")

    namespace: str | None = None
    """Namespace of the InferenceServices. Default: the namespace of the pod."""
    facades: str | None = None
    """URL of the facades' metrics. All addresses of a headless service are scraped."""
    user: str | None = None
    """Author of the changes. Default: the service account of the pod."""
    slo_path: Path | None = None
    """File of the objectives. Default: the one in the package."""
    judge_policy_path: Path | None = None
    """File of the judge policy. Default: the one in the package."""

    key_vault: str | None = None
    """Name or URL of the Key Vault whose secret expiry is exported. Default: no export."""
    secrets_file: Path | None = None
    """File of secrets, instead of a Key Vault."""
    secrets_s: float = Field(3600.0, gt=0)
    """Interval at which the secret expiry is read."""

    release_copies: str | None = None
    """Folder or blob container for a copy of each change of a release. Default: no copies."""

    metrics_host: str = "127.0.0.1"
    """Address of the metrics."""
    metrics_port: int = Field(9091, ge=0, le=65535)
    """0 selects any free port, which is logged."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the log."""

    poll_s: float = Field(0.5, gt=0)
    """Interval at which the metrics of the facades are read during a rollout."""
    checkpoint_interval_s: float = Field(5.0, gt=0)
    """Interval of checkpoints during a rollout. Each checkpoint is a write to the Kubernetes API."""
    stuck_s: float = Field(3600.0, gt=0)
    """Age at which a step without a decision is reported as stuck."""
