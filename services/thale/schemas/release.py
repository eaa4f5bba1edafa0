"""Schemas of a release: its versions, history and state, and the verdict of the judge."""

from typing import Literal

from pydantic import Field, model_validator

from thale.schemas.fields import FrozenModel, NullableFloat, Task
from thale.schemas.model_card import ModelCard


class VersionManifest(FrozenModel):
    """One model version in a registry or on a model server."""

    digest: str
    """Digest of the archive, which identifies the version."""
    card: ModelCard
    url: str = ""
    """Address of the version's own model server. Empty if one server holds all versions."""


class ReleaseEvent(FrozenModel):
    """One change in the history of a release: what, who, why, when, and the resulting state."""

    at: str
    """Time of the change (ISO 8601)."""
    who: str
    """Author of the change."""
    what: Literal["canary", "step", "promote", "roll back", "abort", "shadow", "restore"]
    """Kind of the change."""
    why: str
    """Reason of the change."""
    version: str
    """The version that was the subject of the change."""
    stable: str
    """The stable version after the change."""
    weight_percent: float
    """Weight of the canary after the change, in percent."""


class Release(FrozenModel):
    """The release of one model: its stable version, canary, shadow and history.

    The canary serves `weight_percent` of the requests. The shadow receives copies of requests, and its responses are
    not returned to clients.
    """

    task: Task
    stable: str
    versions: dict[str, VersionManifest]
    """The loaded versions: stable, canary, shadow, and others that clients can pin."""
    canary: str | None = None
    weight_percent: float = Field(0.0, ge=0, le=100)
    shadow: str | None = None
    steps: tuple[float, ...] = (5.0, 25.0, 50.0, 100.0)
    """The weights of the canary during a rollout, in percent."""
    history: tuple[ReleaseEvent, ...] = ()
    """The latest changes, oldest first."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.versions[self.stable].card.name

    @model_validator(mode="after")
    def _check_roles_loaded(self) -> "Release":
        for role, version in (("stable", self.stable), ("canary", self.canary), ("shadow", self.shadow)):
            if version is not None and version not in self.versions:
                raise ValueError(
                    f"the {role} version {version} is not in versions ({', '.join(self.versions) or 'empty'})"
                )
            if version == self.stable and role != "stable":
                raise ValueError(f"the {role} version {version} is also the stable version")
        if self.weight_percent and self.canary is None:
            raise ValueError(f"weight_percent is {self.weight_percent:g}, but there is no canary")
        if not self.steps or list(self.steps) != sorted({*self.steps}) or self.steps[0] <= 0 or self.steps[-1] != 100:
            raise ValueError(f"steps must increase from above 0 to 100: {self.steps}")
        return self


class ReleaseState(FrozenModel):
    """The releases of all models: the file or resource that every facade watches."""

    models: dict[str, Release]

    @model_validator(mode="after")
    def _check_cards_match_keys(self) -> "ReleaseState":
        for name, model in self.models.items():
            for version, released in model.versions.items():
                card = released.card
                if (card.name, card.version, card.task) != (name, version, model.task):
                    raise ValueError(
                        f"{name} {version} ({model.task}) has the card of {card.name} {card.version} ({card.task})"
                    )
        return self


class CheckResult(FrozenModel):
    """One check of the judge, and its evidence since the rollout started."""

    check: str
    """Stable name of the check: failures, latency_slo, no_plants …"""
    summary: str
    """The result as text, with the numbers."""
    regression_evidence: NullableFloat
    """Evidence of regression. At 1 or more the canary is rolled back; 0 or less is no evidence."""
    noninferiority_evidence: NullableFloat
    """Evidence of non-inferiority within the margin. 1 or more is sufficient; NaN if the check requires none."""


class Verdict(FrozenModel):
    """Decision of the judge about a canary. `promote` means the next step, and after the last step the stable role."""

    model: str
    """Name of the model."""
    canary: str
    """The judged version."""
    stable: str
    """The version with which the judge compared it."""
    weight_percent: float
    """Weight of the canary when it was judged, in percent."""
    decision: Literal["promote", "hold", "roll back", "inconclusive"]
    """`inconclusive`: too few observations. `hold`: enough of them, but a suspected regression or no evidence yet."""
    reasons: tuple[str, ...]
    """Reasons as text with the numbers, the most important first."""
    check_results: tuple[CheckResult, ...] = ()
    """Results of all checks."""
