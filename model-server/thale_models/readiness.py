"""Readiness check of the model server, by the workers in TorchServe's management API.

    python -m thale_models.readiness

The exit status is 0 if each model has a ready worker. TorchServe's own `/ping` stays healthy while a worker cannot
start (docs/adr/0049-predictor-probe-checks-the-worker.md).
"""

import json
import sys
import urllib.request
from typing import Any

MANAGEMENT_URL = "http://127.0.0.1:8081"
_TIMEOUT_S = 4.0


def unready_reason(management_url: str) -> str | None:
    """Return the reason why the model server is not ready, or None if it is ready."""
    try:
        names = [model["modelName"] for model in _get_json(f"{management_url}/models")["models"]]
        workers = {name: _get_json(f"{management_url}/models/{name}/all") for name in names}
    except OSError as error:
        return f"TorchServe does not respond: {error}"
    if not names:
        return "TorchServe serves no model"
    for name, versions in workers.items():
        if not any(worker["status"] == "READY" for version in versions for worker in version["workers"]):
            return f"{name} has no ready worker"
    return None


def _get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 (loopback)
        return json.load(response)


if __name__ == "__main__":
    sys.exit(unready_reason(MANAGEMENT_URL))
