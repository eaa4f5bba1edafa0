"""Route /v1/traits: traits of roots that a person has corrected, on a phenotype that was measured before."""

from typing import Annotated, Literal

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
from thale.facade.postprocess.types import TRAITS_TYPES
from thale.facade.request.stage_timing import stage
from thale.schemas import Phenotype

router = APIRouter(route_class=LimitedRoute)

MAX_TRAITS_BYTES = 16 * 2**20
"""Maximum size of the body: a phenotype has up to about 2 MiB, and its corrected roots less."""

_SECONDS_PER_MEBIBYTE = 0.15
"""Time to parse a mebibyte of phenotypes and to measure their plants, for admission control."""


class TraitsQuery(BaseModel):
    """Query parameters of a correction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Literal["wide", "long"] = Field(
        "wide", description="text/csv: one row per plant (wide), or per plant and trait (long)."
    )


@router.post(
    "/v1/traits",
    dependencies=[PREDICT],
    operation_id="computeTraits",
    tags=["measure"],
    summary="Compute the traits of corrected roots",
    responses={
        200: {
            "model": Phenotype,
            "content": {
                kind: {"schema": {"type": "object" if kind.endswith("+json") else "string"}}
                for kind in TRAITS_TYPES[1:]
            },
            "description": "The corrected phenotype, in the format of the Accept header.",
        },
        **PROBLEM_RESPONSES,
    },
    response_class=Response,
)
async def traits(request: Request, query: Annotated[TraitsQuery, Query()], pipeline: PipelineDependency) -> Response:
    """Return a phenotype that was measured before with the traits of its roots as a person has corrected them.

    The functions are those of /v1/phenotype. Scale, plate, shoots and organs stay as measured. Plants that are neither
    changed nor checked keep their traits. A trait of a changed plant has the flag `corrected` and no interval.
    """
    media_type = content_negotiation.best_media_type(", ".join(request.headers.getlist("accept")), TRAITS_TYPES)
    reject_compressed_body(request)
    check_json_type(request, "`phenotype` and `plants`")
    max_bytes = min(MAX_TRAITS_BYTES, pipeline.settings.max_body_bytes)
    with admit_upload(request, pipeline.admission, max_bytes):
        body = bytearray()
        with stage("body"):
            async for chunk in stream_body(request, pipeline.settings, max_bytes):
                body += chunk
        cost = Cost(_SECONDS_PER_MEBIBYTE * (0.1 + len(body) / 2**20))
        deadline = request_deadline(pipeline.settings, None)
        operation = pipeline.correct_traits(bytes(body), cost, deadline, media_type, wide=query.table == "wide")
        rendered = await cancel_on_disconnect(request, operation)
    return Response(rendered, media_type=media_type, headers={"Vary": "Accept"})
