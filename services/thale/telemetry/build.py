"""What runs here: told by every process, so that a change of behaviour can be laid beside a change of version."""

import platform

from prometheus_client import Gauge
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from thale import __version__


class Build(BaseSettings):
    """What an image says of itself."""

    model_config = SettingsConfigDict(env_prefix="THALE_", frozen=True, extra="ignore")

    commit: str = Field("unknown", pattern=r"^[0-9A-Za-z._-]{1,64}$")
    """The commit that it was built from."""


def tell_build(gauge: Gauge, build: Build) -> None:
    """Tell what runs here on a process's gauge `thale_build_info`."""
    gauge.labels(__version__, platform.python_version(), build.commit).set(1)
