"""LitServe: one endpoint with SERVING_WORKERS processes."""

import base64
import os
from typing import Any

import litserve
from benchmarks.serving_peers.segmentation import Segmenter
from fastapi import Response


class SegmentationApi(litserve.LitAPI):
    """A photograph in, a class map out."""

    def setup(self, device: str) -> None:
        """Load the model in a worker process."""
        self.segmenter = Segmenter()

    def decode_request(self, request: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        """Return photograph and options. LitServe parses every body that is no form as JSON."""
        return base64.b64decode(request["photograph"]), request

    def predict(self, x: tuple[bytes, dict[str, str]]) -> bytes:
        """Return the class map."""
        return self.segmenter.respond(*x)

    def encode_response(self, output: Any) -> Response:
        """Return the class map as it is."""
        return Response(output, media_type="image/png")


if __name__ == "__main__":
    api = SegmentationApi(api_path="/segment", enable_async=False)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=int(os.environ["SERVING_WORKERS"]), timeout=120
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["SERVING_PORT"]),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
