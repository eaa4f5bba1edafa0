"""Request path of the facade: image header, routes, inference by both models, post-processing.

Both APIs use it. They differ only in how they parse a request and send a response.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from thale._version import __version__
from thale.errors import RateLimitedError, ThaleError
from thale.facade.admission.controller import AdmissionController, AdmittedImage
from thale.facade.admission.cost import Cost, estimate_cost
from thale.facade.deadline import Deadline
from thale.facade.inference import output_metrics
from thale.facade.inference.concurrency import run_concurrently
from thale.facade.inference.fallback import FallbackClient
from thale.facade.inference.plate_requests import predict_plates
from thale.facade.inference.shadow import ShadowMirror, ShadowRequest, build_shadow_requests
from thale.facade.postprocess import tasks
from thale.facade.postprocess.types import PNG, PhenotypeTask, RenderedResponse, SeriesRows
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.request.options import RequestOptions, Upload
from thale.facade.request.stage_timing import stage
from thale.facade.settings import FacadeSettings
from thale.facade.upstream import routing
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.model_client import PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.release_source import ReleaseSource
from thale.facade.upstream.routing import Route
from thale.imaging.image_io import read_header
from thale.schemas import ImageMetadata, ReleaseState, Task
from thale.telemetry import tracing

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class PipelineResult:
    """A response, and the shadow requests to enqueue after it is sent."""

    response: RenderedResponse
    shadow_requests: Sequence[ShadowRequest] = ()


@dataclass
class Pipeline:
    """Processes an upload into a response."""

    settings: FacadeSettings
    release_source: ReleaseSource
    breakers: BreakerRegistry
    admission: AdmissionController
    fallback_client: FallbackClient
    mirror: ShadowMirror
    header_pool: WorkerPool
    worker_pool: WorkerPool
    _synced_state: ReleaseState | None = field(default=None, init=False)

    async def phenotype(self, image: Upload, options: RequestOptions) -> PipelineResult:
        """Measure the plants of an image.

        Raises:
            ThaleError: If the image, an option, a model or the deadline prevents a result.
        """
        started = time.monotonic()
        metadata = await self.read_metadata(image, options)
        request = _build_predict_request(image, metadata, options, include_ridges=True)
        routes = [self.select_route(task, options) for task in ("segmentation", "landmarks")]
        phenotype_task = PhenotypeTask(
            metadata=metadata,
            config_digest=options.config_digest(),
            package_version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            expected_plants=options.expected_plants,
            media_type=options.media_type,
            wide=options.wide,
            image=image.data if options.media_type == PNG else b"",
            page=options.page,
            rotate=options.rotate,
            strict=options.strict,
            error_models_path=self.settings.error_models_path,
            started=started,
        )
        cost = await asyncio.to_thread(estimate_cost, image.data, metadata, options)
        async with self.admission.slot(cost, options.deadline) as admitted:
            with stage("models"):
                responses, requests = await predict_plates(
                    self.fallback_client, routes, request, options.deadline, admitted.report_plates
                )
            with stage("postprocess"):
                rendered, responses = await self.fallback_client.postprocess(
                    tasks.render_phenotype, responses, requests, options.deadline, phenotype_task
                )
        options.stats.versions = {response.route.name: response.route.version for response in responses}
        if rendered.statistics is None:
            return PipelineResult(rendered)
        output_metrics.record_output(rendered.statistics, *(response.route for response in responses[:2]))
        return PipelineResult(rendered, build_shadow_requests(rendered, responses, requests, phenotype_task))

    async def segment(self, image: Upload, options: RequestOptions) -> PipelineResult:
        """Segment the organs of an image: areas, probability maps or a class map, by the media type."""
        route = self._select_only_route("segmentation", options)
        return PipelineResult(await self.infer(route, [image], options, tasks.render_segmentation, options.media_type))

    async def landmarks(self, image: Upload, options: RequestOptions) -> PipelineResult:
        """Detect the landmarks of an image."""
        route = self._select_only_route("landmarks", options)
        return PipelineResult(await self.infer(route, [image], options, tasks.render_landmarks))

    async def infer(
        self,
        route: Route,
        images: Sequence[Upload],
        options: RequestOptions,
        render: Callable[..., _Result],
        *arguments: object,
    ) -> _Result:
        """Run one model on images, and post-process the predictions. One version serves the whole batch.

        Args:
            route: The model version.
            images: One image, or the images of a batch.
            options: Options of the request.
            render: Worker task; receives the model responses and `arguments`.
            arguments: Further arguments of `render`.

        Returns:
            The result of `render`.

        Raises:
            ThaleError: If an image, an option, the model or the deadline prevents a result. In a batch, the message
                names the image.
        """

        async def predict_one(request: PredictRequest, admitted: AdmittedImage) -> ModelResponse:
            async with self.admission.hold_slots(admitted, options.deadline):
                with stage("models"):
                    return await self.fallback_client.predict(route, request, options.deadline)

        headers = await _run_for_each(self._read_request(image, options) for image in images)
        requests = [request for request, _ in headers]
        with self.admission.admit([cost for _, cost in headers]) as admitted_images:
            responses = await _run_for_each(
                predict_one(request, admitted) for request, admitted in zip(requests, admitted_images, strict=True)
            )
        if len({response.route.version for response in responses}) > 1:
            responses = await run_concurrently(
                self.fallback_client.use_stable(response, request, options.deadline)
                for response, request in zip(responses, requests, strict=True)
            )
        with stage("postprocess"):
            result, responses = await self.fallback_client.postprocess(
                render, responses, requests, options.deadline, *arguments
            )
        options.stats.versions = {response.route.name: response.route.version for response in responses}
        return result

    def select_route(self, task: Task, options: RequestOptions, model: str | None = None) -> Route:
        """Return the route of a task for this request.

        Args:
            task: The task.
            options: Options of the request.
            model: Name of the model; by default, the configured model of the task.

        Raises:
            ThaleError: If no released version matches.
        """
        defaults = {"segmentation": self.settings.segmentation_model, "landmarks": self.settings.landmarks_model}
        with tracing.span("thale.route", {"thale.task": task}) as span:
            route = routing.select_route(
                self.release_state(),
                task,
                model or defaults[task],
                experiment=options.experiment,
                request_id=options.request_id,
                pins=options.pins,
            )
            span.set_attributes(route.span_attributes())
        return route

    def _select_only_route(self, task: Task, options: RequestOptions) -> Route:
        """Return the route of the only task of a request. A pin of a model for another task is an error."""
        for pin in options.pins:
            routing.pinned_route(self.release_state(), pin, task)
        return self.select_route(task, options)

    async def follow_series(
        self, body: bytes, cost: Cost, deadline: Deadline, media_type: str, rows: SeriesRows
    ) -> bytes:
        """Follow the plants of phenotypes that were measured before. Needs no model.

        Raises:
            ThaleError: If the body is invalid, the queue is full, or the deadline passes.
        """
        async with self.admission.slot(cost, deadline):
            with stage("postprocess"):
                return await self.worker_pool.run(deadline, tasks.follow_series, body, media_type, rows)

    async def correct_traits(
        self, body: bytes, cost: Cost, deadline: Deadline, media_type: str, *, wide: bool
    ) -> bytes:
        """Compute the traits of a phenotype whose roots a person has corrected. Needs no model.

        Raises:
            ThaleError: If the body is invalid, the queue is full, or the deadline passes.
        """
        async with self.admission.slot(cost, deadline):
            with stage("postprocess"):
                return await self.worker_pool.run(deadline, tasks.correct_traits, body, media_type, wide)

    def release_state(self) -> ReleaseState:
        """Return the current release state."""
        state = self.release_source.current()
        if state is not self._synced_state:
            self.breakers.sync(state)
            self._synced_state = state
        return state

    async def _read_request(self, image: Upload, options: RequestOptions) -> tuple[PredictRequest, Cost]:
        """Return the request of one model for an image, and its cost."""
        metadata = await self.read_metadata(image, options)
        cost = await asyncio.to_thread(estimate_cost, image.data, metadata, options)
        return _build_predict_request(image, metadata, options, include_ridges=False), cost

    async def read_metadata(self, image: Upload, options: RequestOptions) -> ImageMetadata:
        """Parse the image header and hash the image, up to 64 MiB, in a process that is killed after the deadline.

        The image is then charged against the daily budget of the caller.
        """
        with tracing.span("thale.header", {"thale.image.bytes": len(image.data)}) as span:
            name = options.name or image.name
            metadata = await self.header_pool.run(options.deadline, read_header, image.data, name, options.page)
            span.set_attribute("thale.image.format", metadata.format)
            span.set_attribute("thale.image.megapixels", metadata.width * metadata.height / 1e6)
        options.stats.add_image(metadata)
        await options.stats.charge_image(metadata)
        return metadata


async def _run_for_each(coroutines: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Run a coroutine for each image of a request. In a batch, an error's message names the image."""
    batch = list(coroutines)

    async def run_one(index: int, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return await coroutine
        except RateLimitedError:
            raise
        except ThaleError as error:
            if len(batch) == 1:
                raise
            raise type(error).from_message(f"image {index} of the batch: {error}") from error

    return await run_concurrently(run_one(index, coroutine) for index, coroutine in enumerate(batch))


def _build_predict_request(
    image: Upload, metadata: ImageMetadata, options: RequestOptions, *, include_ridges: bool
) -> PredictRequest:
    width, height = metadata.width, metadata.height
    if options.rotate in (90, 270):
        width, height = height, width
    return PredictRequest(
        image.data,
        width,
        height,
        mm_per_px=options.mm_per_px,
        plate_width_mm=options.plate_width_mm,
        page=options.page,
        rotate=options.rotate or None,
        region=options.region,
        include_ridges=include_ridges,
    )
