"""The facade's ASGI app and its composition root: builds and closes all long-lived objects."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from thale._version import __version__
from thale.errors import ThaleError
from thale.facade.admission.controller import AdmissionController
from thale.facade.api import (
    brapi,
    cors,
    health_routes,
    problems,
    v1,
    v1_experiment_images,
    v1_experiments,
    v1_jobs,
    v1_measurements,
    v1_rollouts,
    v1_series,
    v1_sign_in,
    v1_traits,
    v2,
    web_page,
)
from thale.facade.api.head_requests import HeadRequestMiddleware
from thale.facade.api.middleware import RequestContextMiddleware
from thale.facade.api.openapi_document import load_document
from thale.facade.authentication_sources import open_authenticator
from thale.facade.experiments.job_worker import JobWorker
from thale.facade.experiments.retention import delete_expired_experiments
from thale.facade.experiments.service import ExperimentService
from thale.facade.experiments.store_client import StoreClient, store_address
from thale.facade.experiments.table_file import TableWriter
from thale.facade.experiments.webhook import deliver_events
from thale.facade.inference.fallback import FallbackClient
from thale.facade.inference.shadow import ShadowMirror
from thale.facade.inference.shadow_samples import ShadowSampleStore
from thale.facade.limits.running_limiter import running_limiter
from thale.facade.pipeline import Pipeline
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import FacadeSettings
from thale.facade.status.health import Health
from thale.facade.status.model_server_metrics import create_metrics_page
from thale.facade.status.request_path_probe import RequestPathProbe
from thale.facade.status.self_monitor import SelfMonitor
from thale.facade.status.status_page import StatusPage
from thale.facade.upstream.breaker_registry import BreakerRegistry
from thale.facade.upstream.controller_report import ControllerReportFile
from thale.facade.upstream.model_client import ModelClient
from thale.facade.upstream.release_source import FileReleaseSource, ReleaseSource
from thale.models.model_server_address import FACADE_METRICS_PATH
from thale.telemetry import metrics, metrics_server, tracing
from thale.telemetry.build_info import BuildInfo, set_build_info

logger = logging.getLogger(__name__)

_COMPARISON_NICENESS = 5
"""A comparison gets a third of the CPU time of a post-processing task on the same core."""
COMPARISON_MEMORY_BYTES = 512 * 2**20
HEADER_WORKERS = 2
HEADER_MEMORY_BYTES = 320 * 2**20
"""Two copies of a body of 64 MiB while it is received, one while it is parsed, and the tags of a TIFF."""


_EXPERIMENT_ROUTERS = (
    v1_experiments.router,
    v1_experiment_images.router,
    v1_measurements.router,
    v1_jobs.router,
    brapi.router,
)


def create_app(settings: FacadeSettings) -> FastAPI:
    """Return the facade as an ASGI app. No process, connection or port is opened before its lifespan starts."""
    app = FastAPI(
        title="thale",
        summary="Plant images in, organs, landmarks and traits in millimetres out.",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,  # the page loads scripts from the internet, which may be unreachable from a lab machine
        redoc_url=None,
        # A redirect names the scheme of this process: behind a TLS gateway, the client would send its image in clear.
        redirect_slashes=False,
        # FastAPI's spans contain the whole query, including an image's name. RequestContextMiddleware records spans.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.openapi = load_document  # type: ignore[method-assign]
    app.state.settings = settings
    app.include_router(v1.router)
    app.include_router(v1_series.router)
    app.include_router(v1_traits.router)
    app.include_router(v1_rollouts.router)
    app.include_router(v1_sign_in.router)
    for experiments in _EXPERIMENT_ROUTERS:
        app.include_router(experiments)
    app.include_router(health_routes.router)
    app.include_router(v2.router)
    app.include_router(web_page.router)
    app.add_exception_handler(ThaleError, problems.handle_thale_error)
    app.add_exception_handler(HTTPException, problems.handle_http_error)
    app.add_exception_handler(RequestValidationError, problems.handle_validation_error)
    app.add_middleware(HeadRequestMiddleware)
    app.add_middleware(RequestContextMiddleware)
    cors.add_cors(app, settings.cors_origins)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: FacadeSettings = app.state.settings
    async with AsyncExitStack() as stack:
        stack.callback(tracing.configure_tracing("thale-facade", settings.otel))
        pool = WorkerPool(settings.postprocess_workers, settings.postprocess_memory_bytes)
        stack.callback(pool.close)
        running = await stack.enter_async_context(running_limiter(settings))
        app.state.controller_reports = ControllerReportFile(settings.controller_checkpoint_path)
        app.state.caller_limiter, app.state.response_store = running.limiter, running.responses
        header_pool = WorkerPool(HEADER_WORKERS, HEADER_MEMORY_BYTES)
        stack.callback(header_pool.close)
        models = await stack.enter_async_context(
            ModelClient.connect(settings.model_url, settings.management_url, scale_to_zero=settings.scale_to_zero)
        )
        release_source = stack.enter_context(_release_source(settings))
        breakers = BreakerRegistry(settings)
        admission = AdmissionController(settings)
        mirror = await stack.enter_async_context(_shadow_mirror(settings, models, admission))
        fallback_client = FallbackClient(models, pool, breakers, settings)
        app.state.pipeline = Pipeline(
            settings, release_source, breakers, admission, fallback_client, mirror, header_pool, pool
        )
        probe = RequestPathProbe(models, header_pool, pool, fallback_client.last_response_at)
        authenticator = await stack.enter_async_context(open_authenticator(settings))
        app.state.authenticator = authenticator
        app.state.health = health = Health(
            models, release_source, probe, authenticator, scale_to_zero=settings.scale_to_zero
        )
        await stack.enter_async_context(_experiments(app, app.state.pipeline))
        await stack.enter_async_context(_serve_metrics(settings, SelfMonitor(health, release_source)))
        await asyncio.gather(pool.warm_up(), header_pool.warm_up())
        await stack.enter_async_context(probe.running())
        yield


@asynccontextmanager
async def _experiments(app: FastAPI, pipeline: Pipeline) -> AsyncIterator[None]:
    """Run the store of experiments and the worker of jobs, if they are configured. The store opens on first use."""
    app.state.experiments = app.state.table_writer = app.state.job_worker = None
    address = store_address(pipeline.settings)
    if address is None:
        yield
        return
    with closing(StoreClient(address)) as store, closing(TableWriter(address)) as tables:
        service = ExperimentService(pipeline, store)
        worker = JobWorker(service, pipeline.admission, pipeline.settings)
        app.state.experiments, app.state.table_writer, app.state.job_worker = service, tables, worker
        webhook = deliver_events(store, pipeline.settings.webhook_url, pipeline.settings.webhook_secrets_path)
        async with webhook, worker.running(), delete_expired_experiments(store):
            yield


@asynccontextmanager
async def _shadow_mirror(
    settings: FacadeSettings, models: ModelClient, admission: AdmissionController
) -> AsyncIterator[ShadowMirror]:
    """Run the shadow mirror for the duration of the context."""
    pool = WorkerPool(1, COMPARISON_MEMORY_BYTES, _COMPARISON_NICENESS)  # its process starts with the first comparison
    sample_store = None
    if settings.shadow_samples_path is not None:
        sample_store = ShadowSampleStore(settings.shadow_samples_path, settings.shadow_samples_per_version)
    mirror = ShadowMirror(models, pool, sample_store, settings, admission.has_spare_capacity)
    try:
        async with mirror.running():
            yield mirror
    finally:
        pool.close()


@asynccontextmanager
async def _serve_metrics(settings: FacadeSettings, monitor: SelfMonitor) -> AsyncIterator[None]:
    """Serve the metrics and the status page for the duration of the context."""
    set_build_info(metrics.BUILD_INFO, BuildInfo())
    _initialise_counters()
    if settings.cost_per_hour is not None:
        metrics.COST_PER_HOUR.labels(settings.currency).set(settings.cost_per_hour)
    pages = {"/": StatusPage(monitor, settings).render}
    if settings.model_metrics_url is not None:
        pages[FACADE_METRICS_PATH] = create_metrics_page(settings.model_metrics_url)
    with metrics_server.serve(settings.metrics_host, settings.metrics_port, metrics.METRICS.registry, pages):
        async with monitor.running():
            yield


def _initialise_counters() -> None:
    """Initialise the counter of each 5xx status to 0, so that rate() sees the first increment."""
    failures = {
        spec.status for spec in problems.PROBLEM_SPECS.values() if spec.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    }
    routers = (v1.router, v1_series.router, v1_traits.router, *_EXPERIMENT_ROUTERS, v2.router)
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            for status in failures:
                metrics.REQUESTS.labels(route.path, str(status.value))


@contextmanager
def _release_source(settings: FacadeSettings) -> Iterator[ReleaseSource]:
    """Follow the release state file or the InferenceServices of a namespace, by the settings."""
    if settings.release_state_path is not None:
        yield FileReleaseSource(settings.release_state_path)
        return
    # Imported here because the Kubernetes client is an optional dependency: the extra `kubernetes`.
    from thale.kserve.client import load_api_client
    from thale.kserve.informer import InferenceServiceInformer

    with InferenceServiceInformer.running(
        load_api_client(), str(settings.namespace), settings.predictor_url
    ) as releases:
        yield releases
