"""Build information of a process, so that a change of behaviour can be correlated with a change of version."""

import platform

from prometheus_client import Gauge
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale._version import __version__


class BuildInfo(BaseSettings):
    """Build information that an image sets in its environment."""

    model_config = SettingsConfigDict(env_prefix="THALE_", env_ignore_empty=True, frozen=True, extra="ignore")

    commit: str = "unknown"
    """The commit from which the image was built."""


def set_build_info(gauge: Gauge, build: BuildInfo) -> None:
    """Set the gauge `thale_build_info` of a process."""
    gauge.labels(__version__, platform.python_version(), build.commit).set(1)
