"""Route /v1/series: the same plants on phenotypes that were measured before."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from thale.facade.admission.cost import Cost
from thale.facade.api import content_negotiation
from thale.facade.api.authentication import PREDICT
from thale.facade.api.content_encoding import reject_compressed_body
from thale.facade.api.dependencies import PipelineDependency, cancel_on_disconnect, request_deadline
from thale.facade.api.json_body import check_json_type
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.api.upload import admit_upload, stream_body
from thale.facade.postprocess.types import CSV, SERIES_TYPES, SeriesRows
from thale.facade.request.stage_timing import stage
from thale.series.schemas import SeriesResult

router = APIRouter(route_class=LimitedRoute)

MAX_SERIES_BYTES = 32 * 2**20
"""Maximum size of the body: about 100 phenotypes. Its objects need up to 20 times as much memory in the worker."""

_SECONDS_PER_MEBIBYTE = 0.15
"""Time to parse a mebibyte of phenotypes and to follow their plants, for admission control."""


class SeriesQuery(BaseModel):
    """Query parameters of a series."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: SeriesRows = Field(
        "values",
        description="text/csv: one row per plant, photograph and trait (values), or one row per growth rate (growth).",
    )


@router.post(
    "/v1/series",
    dependencies=[PREDICT],
    operation_id="followSeries",
    tags=["measure"],
    summary="Follow the same plants through time",
    responses={
        200: {
            "model": SeriesResult,
            "content": {CSV: {"schema": {"type": "string"}}},
            "description": "The tracks of each plate, in the format of the Accept header.",
        },
        **PROBLEM_RESPONSES,
    },
    response_class=Response,
)
async def series(request: Request, query: Annotated[SeriesQuery, Query()], pipeline: PipelineDependency) -> Response:
    """Return the tracks, growth rates and flags of plants on phenotypes that were measured before.

    The time and the plate of each photograph come from the request, or else from EXIF or from its file name.
    """
    media_type = content_negotiation.best_media_type(", ".join(request.headers.getlist("accept")), SERIES_TYPES)
    reject_compressed_body(request)
    check_json_type(request, "`photographs`")
    max_bytes = min(MAX_SERIES_BYTES, pipeline.settings.max_body_bytes)
    with admit_upload(request, pipeline.admission, max_bytes):
        body = bytearray()
        with stage("body"):
            async for chunk in stream_body(request, pipeline.settings, max_bytes):
                body += chunk
        cost = Cost(_SECONDS_PER_MEBIBYTE * (1 + len(body) / 2**20))
        deadline = request_deadline(pipeline.settings, None)
        operation = pipeline.follow_series(bytes(body), cost, deadline, media_type, query.rows)
        rendered = await cancel_on_disconnect(request, operation)
    return Response(rendered, media_type=media_type, headers={"Vary": "Accept"})
