"""Responses of the health routes and of the index, for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel


class Index(BaseModel):
    """Name, version and links of the server."""

    name: str
    """Name of the server: thale."""
    version: str
    """Version of thale."""
    contract: str
    """Path of the OpenAPI document."""
    ready: str
    """Path of the readiness check."""


class LivenessResponse(BaseModel):
    """Liveness of the process."""

    status: Literal["live", "stuck"]
    """`stuck` with status 503: only a restart helps."""


class ReadinessResponse(BaseModel):
    """Readiness of the server."""

    status: Literal["ready", "not ready"]
    """`not ready` with status 503."""
    missing: list[str]
    """Reasons, in detail for callers with the scope `read`. Empty if the server is ready."""
