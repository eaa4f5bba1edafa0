"""What the watcher in a cluster is told from outside, all of it in THALE_* environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The watcher's settings. Built once in `__main__` and passed on."""

    model_config = SettingsConfigDict(env_prefix="THALE_", frozen=True, extra="ignore")

    namespace: str | None = None
    """Where the InferenceServices are. Default: the pod's own."""
    facades: str | None = None
    """Address of the facades' metrics; a headless service stands for all of them."""
    user: str | None = None
    """Signs the changes. Default: the pod's service account."""
    slo_path: Path | None = None
    """File of the objectives. Default: the one in the package."""
    judge_policy_path: Path | None = None
    """File of the judge policy. Default: the one in the package."""

    key_vault: str | None = None
    """Name or address of the Key Vault whose secrets' expiry is told. Default: none is."""
    secrets_file: Path | None = None
    """A file of secrets in the vault's place."""
    secrets_s: float = Field(3600.0, gt=0)
    """How often the secrets' expiry is read."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(9091, ge=0, le=65535)
    """0 takes any free port; the log says which."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    poll_s: float = Field(0.5, gt=0)
    checkpoint_interval_s: float = Field(5.0, gt=0)
    """How often the notes are written at most: each time is a write to the Kubernetes API."""
    stuck_s: float = Field(3600.0, gt=0)
    """A step that is undecided for longer is reported."""
