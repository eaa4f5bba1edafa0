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
from thale.facade.api.middleware import RequestScope
from thale.facade.health import Health
from thale.facade.pipeline import Pipeline
from thale.facade.postprocess.worker_pool import Pool
from thale.facade.settings import Settings
from thale.facade.status.self_monitor import Vitals
from thale.facade.status.status_page import FiguresPage
from thale.facade.upstream.model_client import ModelClient
from thale.facade.upstream.release_source import RecordFile, Records
from thale.telemetry import metrics, metrics_server, tracing
from thale.telemetry.build_info import Build, tell_build

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
        # Its own spans would tell the whole query, an image's name included: see RequestScope for ours.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.include_router(v1.router)
    app.include_router(health_routes.router)
    app.include_router(v2.router)
    app.add_exception_handler(ThaleError, problems.thale_error)
    app.add_exception_handler(HTTPException, problems.http_error)
    app.add_exception_handler(RequestValidationError, problems.validation_error)
    app.add_middleware(RequestScope)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with AsyncExitStack() as stack:
        stack.callback(tracing.send("thale-facade", settings.otel))
        pool = Pool(settings.measuring_processes)
        stack.callback(pool.close)
        models = await stack.enter_async_context(ModelClient.connect(settings.model_url, settings.management_url))
        records = stack.enter_context(_releases(settings))
        app.state.pipeline = pipeline = Pipeline(settings, models, pool, records)
        await stack.enter_async_context(pipeline.mirror.running())
        app.state.health = health = Health(models, records)
        await stack.enter_async_context(_told(settings, Vitals(health, records)))
        await pool.warm_up()
        yield


@asynccontextmanager
async def _told(settings: Settings, vitals: Vitals) -> AsyncIterator[None]:
    """Serve the metrics and the page of figures for as long as the context lasts."""
    tell_build(metrics.BUILD_INFO, Build())
    _begin_counting()
    if settings.price_per_hour is not None:
        metrics.PRICE_PER_HOUR.labels(settings.currency).set(settings.price_per_hour)
    page = FiguresPage(vitals, settings)
    with metrics_server.served(settings.metrics_host, settings.metrics_port, metrics.METRICS.registry, {"/": page.render}):
        async with vitals.watched():
            yield


def _begin_counting() -> None:
    """Tell each failure that a question can meet as 0: a counter that first appears with 30 has not grown by 30."""
    failures = {
        row.status for row in problems.STATUS_CODES.values() if row.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    }
    for route in (*v1.router.routes, *v2.router.routes):
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            for status in failures:
                metrics.REQUESTS.labels(route.path, str(status.value))


@contextmanager
def _releases(settings: Settings) -> Iterator[Records]:
    """Give what is released, from wherever the settings say."""
    if settings.record_path is not None:
        yield RecordFile(settings.record_path)
        return
    from thale.kserve.client import connect  # the Kubernetes client is for clusters alone: the extra `kubernetes`
    from thale.kserve.informer import InferenceServices

    with InferenceServices.following(connect(), str(settings.namespace), settings.predictor_url) as releases:
        yield releases
