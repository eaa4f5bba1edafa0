"""Ray Serve: one deployment with SERVING_WORKERS replicas."""

import asyncio
import os
import time

import ray
from benchmarks.serving_peers.segmentation import Segmenter
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

WORKERS = int(os.environ["SERVING_WORKERS"])


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=4, ray_actor_options={"num_cpus": 0})
class RaySegmentation:
    """A photograph in, a class map out."""

    def __init__(self) -> None:
        self._segmenter = Segmenter()

    async def __call__(self, request: Request) -> Response:
        """Return the class map."""
        body = await request.body()
        query = dict(request.query_params)
        result = await asyncio.to_thread(self._segmenter.respond, body, query)
        return Response(result, media_type="image/png")


if __name__ == "__main__":
    names = ("SERVING_MODEL", "SERVING_THREADS", "SERVING_ENGINE", "SERVING_WORKERS", "PYTHONPATH")
    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {name: os.environ[name] for name in names}},
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["SERVING_PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(RaySegmentation.bind(), route_prefix="/segment")
    while True:
        time.sleep(3600)
