"""Is the model server ready? `python -m thale_models.readiness` ends with status 0 if each model has a worker that is.

TorchServe's own `/ping` is healthy while a worker cannot start, so management, on this machine, is asked for workers.
"""

import json
import sys
import urllib.request
from typing import Any

MANAGEMENT_URL = "http://127.0.0.1:8081"
_TIMEOUT_S = 4.0


def unready_reason(management_url: str) -> str | None:
    """Return what is still missing, None where nothing is."""
    try:
        names = [model["modelName"] for model in _get_json(f"{management_url}/models")["models"]]
        workers = {name: _get_json(f"{management_url}/models/{name}/all") for name in names}
    except OSError as error:
        return f"TorchServe does not answer: {error}"
    if not names:
        return "TorchServe serves no model"
    for name, versions in workers.items():
        if not any(worker["status"] == "READY" for version in versions for worker in version["workers"]):
            return f"{name} has no worker that is ready"
    return None


def _get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 (an address of this machine)
        return json.load(response)


if __name__ == "__main__":
    sys.exit(unready_reason(MANAGEMENT_URL))
