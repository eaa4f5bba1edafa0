"""Wiring: what is built at start, what is closed at the end, and which parts answer what."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from thale._version import __version__
from thale.errors import ThaleError
from thale.facade.api import health_routes, problems, v1, v2
from thale.facade.api.middleware import RequestContextMiddleware
from thale.facade.health import Health
from thale.facade.pipeline import Pipeline
from thale.facade.postprocess.worker_pool import WorkerPool
from thale.facade.settings import Settings
from thale.facade.status.self_monitor import SelfMonitor
from thale.facade.status.status_page import StatusPage
from thale.facade.upstream.model_client import ModelClient
from thale.facade.upstream.release_source import FileReleaseSource, ReleaseSource
from thale.telemetry import metrics, metrics_server, tracing
from thale.telemetry.build_info import BuildInfo, set_build_info

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Return the facade as an ASGI app. Nothing runs and nothing listens before its lifespan begins."""
    app = FastAPI(
        title="thale",
        summary="Plant images in, organs, landmarks and traits in millimetres out.",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,  # their pages load scripts from the network, which a bench machine need not have
        redoc_url=None,
        # Its own spans would tell the whole query, an image's name included: see RequestContextMiddleware for ours.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.include_router(v1.router)
    app.include_router(health_routes.router)
    app.include_router(v2.router)
    app.add_exception_handler(ThaleError, problems.handle_thale_error)
    app.add_exception_handler(HTTPException, problems.handle_http_error)
    app.add_exception_handler(RequestValidationError, problems.handle_validation_error)
    app.add_middleware(RequestContextMiddleware)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with AsyncExitStack() as stack:
        stack.callback(tracing.configure_tracing("thale-facade", settings.otel))
        pool = WorkerPool(settings.postprocess_workers)
        stack.callback(pool.close)
        models = await stack.enter_async_context(ModelClient.connect(settings.model_url, settings.management_url))
        release_source = stack.enter_context(_release_source(settings))
        app.state.pipeline = pipeline = Pipeline(settings, models, pool, release_source)
        await stack.enter_async_context(pipeline.mirror.running())
        app.state.health = health = Health(models, release_source)
        await stack.enter_async_context(_serve_metrics(settings, SelfMonitor(health, release_source)))
        await pool.warm_up()
        yield


@asynccontextmanager
async def _serve_metrics(settings: Settings, monitor: SelfMonitor) -> AsyncIterator[None]:
    """Serve the metrics and the page of figures for as long as the context lasts."""
    set_build_info(metrics.BUILD_INFO, BuildInfo())
    _initialise_counters()
    if settings.cost_per_hour is not None:
        metrics.COST_PER_HOUR.labels(settings.currency).set(settings.cost_per_hour)
    page = StatusPage(monitor, settings)
    with metrics_server.serve(
        settings.metrics_host, settings.metrics_port, metrics.METRICS.registry, {"/": page.render}
    ):
        async with monitor.running():
            yield


def _initialise_counters() -> None:
    """Tell each failure that a question can meet as 0: a counter that first appears with 30 has not grown by 30."""
    failures = {
        spec.status for spec in problems.PROBLEM_SPECS.values() if spec.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    }
    for route in (*v1.router.routes, *v2.router.routes):
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            for status in failures:
                metrics.REQUESTS.labels(route.path, str(status.value))


@contextmanager
def _release_source(settings: Settings) -> Iterator[ReleaseSource]:
    """Give what is released, from wherever the settings say."""
    if settings.release_state_path is not None:
        yield FileReleaseSource(settings.release_state_path)
        return
    from thale.kserve.client import (
        load_api_client,  # the Kubernetes client is for clusters alone: the extra `kubernetes`
    )
    from thale.kserve.informer import InferenceServiceInformer

    with InferenceServiceInformer.running(
        load_api_client(), str(settings.namespace), settings.predictor_url
    ) as releases:
        yield releases
