"""The request path on one screen: header, versions, both models at once, plants and traits, the format asked for.

Protocols differ in how an image comes in and how an answer goes out; what happens between is here, once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from thale._version import __version__
from thale.errors import ThaleError
from thale.facade.admission import AdmissionController
from thale.facade.inference import output_metrics
from thale.facade.inference.fallback import FallbackClient, gather_or_cancel
from thale.facade.inference.shadow import ShadowMirror, ShadowRequest
from thale.facade.postprocess import tasks
from thale.facade.postprocess.types import PNG, PhenotypeTask, RenderedResponse
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.request_options import RequestOptions, Upload
from thale.facade.settings import Settings
from thale.facade.stage_timing import stage
from thale.facade.upstream import routing
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.model_client import ModelClient, PredictRequest
from thale.facade.upstream.model_response import ModelResponse
from thale.facade.upstream.release_source import ReleaseSource
from thale.facade.upstream.routing import Route
from thale.imaging.image_io import read_header
from thale.schemas import ImageMetadata, ReleaseState, Task
from thale.telemetry import tracing

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class PipelineResult:
    """What goes to the user, and what shadows are asked once it has gone."""

    response: RenderedResponse
    shadow_requests: Sequence[ShadowRequest] = ()


@dataclass
class Pipeline:
    """From an image to an answer."""

    settings: Settings
    models: ModelClient
    pool: WorkerPool
    release_source: ReleaseSource
    mirror: ShadowMirror = field(init=False)
    admission: AdmissionController = field(init=False)
    _breakers: BreakerRegistry = field(init=False)
    _fallback_client: FallbackClient = field(init=False)
    _synced_state: ReleaseState | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._breakers = BreakerRegistry(self.settings)
        self._fallback_client = FallbackClient(self.models, self.pool, self._breakers, self.settings)
        self.admission = AdmissionController(self.settings)
        self.mirror = ShadowMirror(self.models, self.settings, self.admission.has_spare_capacity)

    async def phenotype(self, image: Upload, options: RequestOptions) -> PipelineResult:
        """Measure the plants of an image. Raises a ThaleError for everything that can be wrong."""
        started = time.monotonic()
        metadata = await self._read_metadata(image, options)
        request = _build_predict_request(image, metadata, options)
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
            started=started,
        )
        async with self.admission.slot(options.deadline):
            with stage("models"):
                responses = await gather_or_cancel(
                    self._fallback_client.predict(route, request, options.deadline) for route in routes
                )
            with stage("postprocess"):
                rendered, responses = await self._fallback_client.postprocess(
                    tasks.render_phenotype, responses, [request] * len(responses), options.deadline, phenotype_task
                )
        options.stats.versions = {response.route.name: response.route.version for response in responses}
        segmentation_response, landmarks_response = responses
        if rendered.statistics is None:
            return PipelineResult(rendered)
        output_metrics.record_output(rendered.statistics, segmentation_response.route, landmarks_response.route)
        pairs = ((segmentation_response, landmarks_response), (landmarks_response, segmentation_response))
        shadow_requests = [
            ShadowRequest(
                shadow,
                request,
                stable,
                other_task,
                replace(phenotype_task, image=b""),
                rendered.statistics,
                tracing.current_span_context(),
            )
            for stable, other_task in pairs
            if (shadow := stable.route.shadow) is not None
        ]
        return PipelineResult(rendered, shadow_requests)

    async def segment(self, image: Upload, options: RequestOptions) -> PipelineResult:
        """Return the organs of an image: as the model's probability maps, or in numbers, or as a picture."""
        route = self._select_only_route("segmentation", options)
        return PipelineResult(await self.infer(route, [image], options, tasks.render_segmentation, options.media_type))

    async def landmarks(self, image: Upload, options: RequestOptions) -> PipelineResult:
        """Return the landmarks of an image."""
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
        """Ask one model about images, and return what a measuring process makes of the answers: all of one version.

        A fault of one image among several says which one it is.
        """

        async def predict_one(index: int, image: Upload) -> tuple[PredictRequest, ModelResponse]:
            try:
                request = _build_predict_request(image, await self._read_metadata(image, options), options)
                async with self.admission.slot(options.deadline):
                    with stage("models"):
                        return request, await self._fallback_client.predict(route, request, options.deadline)
            except ThaleError as error:
                if len(images) == 1:
                    raise
                raise type(error).from_message(f"image {index} of the batch: {error}") from error

        exchanges = await gather_or_cancel(predict_one(index, image) for index, image in enumerate(images))
        requests, responses = [request for request, _ in exchanges], [response for _, response in exchanges]
        if len({response.route.version for response in responses}) > 1:
            responses = await gather_or_cancel(
                self._fallback_client.use_stable(response, request, options.deadline)
                for response, request in zip(responses, requests, strict=True)
            )
        with stage("postprocess"):
            result, responses = await self._fallback_client.postprocess(
                render, responses, requests, options.deadline, *arguments
            )
        options.stats.versions = {response.route.name: response.route.version for response in responses}
        return result

    def select_route(self, task: Task, options: RequestOptions, model: str | None = None) -> Route:
        """Return the version that answers a task for this request: of that model, or of the usual one."""
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
        """Return who answers where only one task is asked for, so that a model for another one is a mistake."""
        for pin in options.pins:
            routing.pinned_route(self.release_state(), pin, task)
        return self.select_route(task, options)

    def release_state(self) -> ReleaseState:
        """Return what is released now."""
        state = self.release_source.current()
        if state is not self._synced_state:
            self._breakers.sync(state)
            self._synced_state = state
        return state

    async def _read_metadata(self, image: Upload, options: RequestOptions) -> ImageMetadata:
        """Read the header; no pixel is decoded here. In a thread, because 64 MB take a while to hash."""
        with tracing.span("thale.header", {"thale.image.bytes": len(image.data)}) as span:
            metadata = await asyncio.to_thread(read_header, image.data, options.name or image.name, options.page)
            span.set_attribute("thale.image.format", metadata.format)
            span.set_attribute("thale.image.megapixels", metadata.width * metadata.height / 1e6)
        options.stats.add_image(metadata)
        return metadata


def _build_predict_request(image: Upload, metadata: ImageMetadata, options: RequestOptions) -> PredictRequest:
    return PredictRequest(
        image.data, metadata.width, metadata.height, options.mm_per_px, options.plate_width_mm, options.page
    )
