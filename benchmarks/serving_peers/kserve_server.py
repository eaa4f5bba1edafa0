"""KServe's Python server: one model in SERVING_WORKERS processes behind one port, with a route for bytes.

The V1 and V2 protocols of KServe carry images as JSON or tensors. A route of the same FastAPI app receives the
bytes, so that every peer has the same input.
"""

import asyncio
import logging
import os

from benchmarks.serving_peers.segmentation import Segmenter
from fastapi import Request, Response
from kserve import Model, ModelServer
from kserve.model_server import app


class KServeSegmentation(Model):
    """A photograph in, a class map out. Each process loads it at its first request."""

    def __init__(self) -> None:
        super().__init__("segmentation")
        self.ready = True
        self._segmenter: Segmenter | None = None
        self._lock = asyncio.Lock()

    async def class_map(self, photograph: bytes, query: dict[str, str]) -> bytes:
        """Return the class map. One network runs one request at a time."""
        async with self._lock:
            self._segmenter = self._segmenter or await asyncio.to_thread(Segmenter)
            return await asyncio.to_thread(self._segmenter.respond, photograph, query)


MODEL = KServeSegmentation()


@app.post("/segment")
async def segment(request: Request) -> Response:
    """Return the class map of the body."""
    return Response(await MODEL.class_map(await request.body(), dict(request.query_params)), media_type="image/png")


if __name__ == "__main__":
    logging.disable(logging.INFO)
    server = ModelServer(
        http_port=int(os.environ["SERVING_PORT"]),
        workers=int(os.environ["SERVING_WORKERS"]),
        enable_grpc=False,
        enable_docs_url=False,
        access_log_format=None,
    )
    server.start([MODEL])
