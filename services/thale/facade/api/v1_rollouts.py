"""Route /v1/rollouts: progress and verdicts of all rollouts, read-only."""

import asyncio
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request

from thale.facade.api.authentication import READ
from thale.facade.api.dependencies import PipelineDependency
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.upstream.controller_report import ControllerReportFile
from thale.schemas import ReleaseEvent
from thale.schemas.release_status import ReleaseStatusList

router = APIRouter(route_class=LimitedRoute)


class Rollouts(ReleaseStatusList):
    """Status of the releases of all models as this server sees it, with the sources of the data."""

    read_at: str
    """Time of the response by the clock of the server (ISO 8601). Ages are relative to it."""
    release_source: Literal["file", "cluster"]
    """Source of versions, weights and changes: the release state file, or the InferenceServices of the namespace."""
    controller_source: Literal["checkpoint", "none"]
    """Source of verdicts and counts: the checkpoint of the rollout controller, or `none`, if this server has no access
    to it. They are then null, whether or not a controller is running."""
    history: dict[str, tuple[ReleaseEvent, ...]]
    """The latest changes of each model, oldest first."""


@router.get(
    "/v1/rollouts",
    dependencies=[READ],
    operation_id="listRollouts",
    tags=["models"],
    summary="Show the rollouts",
    responses=PROBLEM_RESPONSES,
)
async def rollouts(request: Request, pipeline: PipelineDependency) -> Rollouts:
    """Return the step, weight, counts and verdict of every rollout, as `thale release status` does.

    Each facade returns the counts of all facades, because they are those of the rollout controller.
    """
    releases = pipeline.release_state().models
    reports: ControllerReportFile = request.app.state.controller_reports
    report = await asyncio.to_thread(reports.read)
    status = ReleaseStatusList.from_releases(releases, report, unused=None)
    return Rollouts(
        **dict(status),
        read_at=datetime.now(UTC).isoformat(timespec="seconds"),
        release_source="file" if pipeline.settings.release_state_path is not None else "cluster",
        controller_source="checkpoint" if reports.is_configured else "none",
        history={name: release.history for name, release in sorted(releases.items())},
    )
