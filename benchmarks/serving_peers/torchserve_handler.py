"""Handler of a stock TorchServe: the body of a request in, its class map out."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.serving_peers.segmentation import Segmenter

_STATE: dict[str, Segmenter] = {}


def handle(data: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
    """Load the model in the first call, which has no data. Return a class map for each item of a batch.

    TorchServe does not pass the query of a request to its handler, so the options are headers.
    """
    if "segmenter" not in _STATE:
        _STATE["segmenter"] = Segmenter()
    if data is None:
        return None
    context.set_response_content_type(0, "image/png")
    query = {name: context.get_request_header(0, f"X-{name}") for name in ("mm_per_px", "region")}
    return [_STATE["segmenter"].respond(bytes(item["body"]), query) for item in data]
