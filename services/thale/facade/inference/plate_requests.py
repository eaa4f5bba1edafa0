"""Model requests for all plates of an image: one pair for each plate (ADR 0116)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from thale.facade.deadline import Deadline
from thale.facade.inference.concurrency import run_concurrently
from thale.facade.upstream.model_client import PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.routing import Route

MAX_PLATES = 12
"""Maximum number of plates of an image that are measured; the plate search returns no more."""


class PredictClient(Protocol):
    """The part of `FallbackClient` that this module uses."""

    async def predict(self, route: Route, request: PredictRequest, deadline: Deadline) -> ModelResponse:
        """Return the response of a model version."""


async def predict_plates(
    client: PredictClient,
    routes: Sequence[Route],
    request: PredictRequest,
    deadline: Deadline,
    report_plates: Callable[[int], None] = lambda _: None,
) -> tuple[list[ModelResponse], list[PredictRequest]]:
    """Return the responses of both models for every plate of an image, and the request of each response.

    The landmark response for the first plate lists the plates. The versions that processed it also process the others.

    Args:
        client: Sends the requests.
        routes: The routes of the segmentation model and of the landmark model.
        request: The request for the first plate.
        deadline: Deadline of the whole request.
        report_plates: Receives the number of plates before the others are processed.

    Raises:
        ThaleError: If a request fails.
    """
    responses = await run_concurrently(client.predict(route, request, deadline) for route in routes)
    requests = [request] * len(responses)
    served_routes = [response.route for response in responses]
    plates = min(responses[-1].count_plates(), MAX_PLATES)
    report_plates(plates)
    for number in range(2, plates + 1):
        plate_request = replace(request, plate_number=number)
        responses += await run_concurrently(client.predict(route, plate_request, deadline) for route in served_routes)
        requests += [plate_request] * len(served_routes)
    return responses, requests
