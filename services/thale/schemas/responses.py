"""Schemas of responses that are not results: the list of models, and problems."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from thale.schemas.fields import FrozenModel, Task
from thale.schemas.model_card import ModelCard


class ModelVersion(FrozenModel):
    """One served version of a model, as listed by /v1/models."""

    version: str
    """Version of the model."""
    state: Literal["ready", "loading", "unavailable"]
    """`ready` if a worker serves it, `loading`, or `unavailable`."""
    default: bool
    """True for the stable version."""
    canary: bool = False
    """True if the version is the canary of a rollout."""
    traffic_percent: float
    """Share of the requests that it serves."""
    digest: str
    """Digest of the archive, which identifies the version."""
    card: ModelCard
    """Model card of the version."""


class ModelInfo(FrozenModel):
    """One model with its versions."""

    name: str
    """Name of the model."""
    task: Task
    """Task of the model."""
    versions: tuple[ModelVersion, ...]
    """Released versions in ascending order."""


class Problem(BaseModel):
    """An error response by RFC 9457. `type` is stable, so that clients can branch on it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    type: str
    """Stable type: /problems/CODE, or about:blank."""
    title: str
    """Short description of the type."""
    status: int
    """HTTP status."""
    detail: str
    """What failed, why, and the remedy."""
    instance: str | None = None
    """Path of the request. None in a description of the type."""
    request_id: str | None = None
    """Identifier of the request, also in the logs of the server."""
