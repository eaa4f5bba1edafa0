"""Schemas of responses that are not results: the list of models, and problems."""

from typing import Literal

from pydantic import BaseModel

from thale.schemas.fields import FrozenModel, Task
from thale.schemas.model_card import ModelCard


class ModelVersion(FrozenModel):
    """One served version of a model, as listed by /v1/models."""

    version: str
    state: Literal["ready", "loading", "unavailable"]
    default: bool
    canary: bool = False
    """True if the version is the canary of a rollout."""
    traffic_percent: float
    digest: str
    card: ModelCard


class ModelInfo(FrozenModel):
    """One model with its versions."""

    name: str
    task: Task
    versions: tuple[ModelVersion, ...]


class Problem(BaseModel):
    """An error response by RFC 9457. `type` is stable, so that clients can branch on it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
