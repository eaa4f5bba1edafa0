"""Wiring: what is built at start, what is closed at the end, and which parts answer what."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from thale import __version__, telemetry
from thale.errors import ThaleError
from thale.facade import oip, routes, status_codes
from thale.facade.figures_page import FiguresPage
from thale.facade.health import Health
from thale.facade.middleware import RequestScope
from thale.facade.model_client import ModelClient
from thale.facade.pipeline import Pipeline
from thale.facade.pool import Pool
from thale.facade.records import RecordFile, Records
from thale.facade.settings import Settings
from thale.facade.vitals import Vitals
from thale.telemetry import port, tracing
from thale.telemetry.build import Build, tell_build

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
    app.include_router(routes.router)
    app.include_router(oip.router)
    app.add_exception_handler(ThaleError, status_codes.thale_error)
    app.add_exception_handler(HTTPException, status_codes.http_error)
    app.add_exception_handler(RequestValidationError, status_codes.validation_error)
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
    tell_build(telemetry.BUILD_INFO, Build())
    _begin_counting()
    if settings.price_per_hour is not None:
        telemetry.PRICE_PER_HOUR.labels(settings.currency).set(settings.price_per_hour)
    page = FiguresPage(vitals, settings)
    with port.served(settings.metrics_host, settings.metrics_port, telemetry.METRICS.registry, {"/": page.render}):
        async with vitals.watched():
            yield


def _begin_counting() -> None:
    """Tell each failure that a question can meet as 0: a counter that first appears with 30 has not grown by 30."""
    failures = {
        row.status for row in status_codes.STATUS_CODES.values() if row.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    }
    for route in (*routes.router.routes, *oip.router.routes):
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            for status in failures:
                telemetry.REQUESTS.labels(route.path, str(status.value))


@contextmanager
def _releases(settings: Settings) -> Iterator[Records]:
    """Give what is released, from wherever the settings say."""
    if settings.record_path is not None:
        yield RecordFile(settings.record_path)
        return
    from thale.cluster import connect  # the Kubernetes client is for clusters alone: the extra `kubernetes`
    from thale.facade.inference_services import InferenceServices

    with InferenceServices.following(connect(), str(settings.namespace), settings.predictor_url) as releases:
        yield releases
