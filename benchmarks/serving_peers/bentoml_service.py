"""BentoML: one service with SERVING_WORKERS workers."""

import os

import bentoml
from benchmarks.serving_peers.segmentation import Segmenter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@bentoml.service(
    workers=int(os.environ["SERVING_WORKERS"]),
    traffic={"timeout": 120, "concurrency": 64},
    logging={"access": {"enabled": False}},
)
class BentoSegmentation:
    """A photograph in, a class map out."""

    def __init__(self) -> None:
        self.segmenter = Segmenter()

    @bentoml.api(route="/loaded")
    def loaded(self) -> str:
        """Return a constant: a service needs at least one typed route."""
        return "yes"


class BodyApp:
    """The route /segment, with the body as bytes: BentoML's typed routes would write each photograph to a file."""

    def __init__(self) -> None:
        from starlette.applications import Starlette

        self.app = Starlette(routes=[Route("/segment", self.segment, methods=["POST"])])
        self._segmenter: Segmenter | None = None

    async def segment(self, request: Request) -> Response:
        """Return the class map."""
        from starlette.concurrency import run_in_threadpool

        body = await request.body()
        if self._segmenter is None:
            self._segmenter = Segmenter()
        return Response(
            await run_in_threadpool(self._segmenter.respond, body, dict(request.query_params)), media_type="image/png"
        )


BentoSegmentation = bentoml.asgi_app(BodyApp().app, path="/")(BentoSegmentation)
