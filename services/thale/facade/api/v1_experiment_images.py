"""Route of the bytes of an image of an experiment."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response

from thale.facade.api import content_negotiation
from thale.facade.api.authentication import READ
from thale.facade.api.entity_tags import matches
from thale.facade.api.experiment_dependencies import ServiceDependency
from thale.facade.api.limited_route import LimitedRoute
from thale.facade.api.problems import PROBLEM_RESPONSES
from thale.facade.api.v1_experiments import ExperimentPath

router = APIRouter(route_class=LimitedRoute)
_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "TIFF": "image/tiff", "HEIC": "image/heic"}
_ANY_MEDIA_TYPE = "application/octet-stream"
"""For clients that ask for it, and for an image that a later version has stored."""
_BYTES = {"schema": {"type": "string", "format": "binary"}}
DigestPath = Annotated[
    str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the bytes, as in the list of images.")
]


@router.get(
    "/v1/experiments/{experiment}/images/{sha256}",
    dependencies=[READ],
    operation_id="getImage",
    tags=["experiments"],
    summary="Return the bytes of an image",
    responses={
        200: {
            "content": {kind: _BYTES for kind in (_ANY_MEDIA_TYPE, *_MEDIA_TYPES.values())},
            "description": "The file as it was added.",
        },
        304: {"description": "The client has these bytes."},
        **PROBLEM_RESPONSES,
    },
    response_class=Response,
)
async def get_image(
    request: Request, experiment: ExperimentPath, sha256: DigestPath, service: ServiceDependency
) -> Response:
    """Return the file as it was added, as an attachment with its name. Its ETag is the SHA-256 of the bytes.

    A request with `If-None-Match` still needs the experiment to contain the image: access to a deleted one ends.
    """
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, no-cache", "Vary": "Accept"}
    headers["X-Content-Type-Options"] = "nosniff"
    if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
        await service.store.call(lambda store: store.images.get(experiment, sha256))
        return Response(status_code=304, headers=headers)
    found = await service.store.call(lambda store: store.images.read_of(experiment, sha256))
    # RFC 6266: the name in UTF-8, without a plain one that clients would read in different ways
    headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
    known = _MEDIA_TYPES.get(found.format, _ANY_MEDIA_TYPE)
    accept = ", ".join(request.headers.getlist("accept"))
    media_type = content_negotiation.best_media_type(accept, (known, _ANY_MEDIA_TYPE))
    return Response(found.data, media_type=media_type, headers=headers)
