"""What runs here: told by every process, so that a change of behaviour can be laid beside a change of version."""

import platform

from prometheus_client import Gauge
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale._version import __version__


class BuildInfo(BaseSettings):
    """What an image says of itself."""

    model_config = SettingsConfigDict(env_prefix="THALE_", env_ignore_empty=True, frozen=True, extra="ignore")

    commit: str = "unknown"
    """The commit that it was built from."""


def set_build_info(gauge: Gauge, build: BuildInfo) -> None:
    """Tell what runs here on a process's gauge `thale_build_info`."""
    gauge.labels(__version__, platform.python_version(), build.commit).set(1)
