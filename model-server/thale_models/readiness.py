"""Is the model server ready? `python -m thale_models.readiness` ends with status 0 if each model has a worker that is.

TorchServe's own `/ping` is healthy while a worker cannot start, so management, on this machine, is asked for workers.
"""

import json
import sys
import urllib.request
from typing import Any

MANAGEMENT = "http://127.0.0.1:8081"
_PATIENCE_S = 4.0


def waits_for(management: str) -> str | None:
    """Return what is still missing, None where nothing is."""
    try:
        names = [model["modelName"] for model in _ask(f"{management}/models")["models"]]
        workers = {name: _ask(f"{management}/models/{name}/all") for name in names}
    except OSError as error:
        return f"TorchServe does not answer: {error}"
    if not names:
        return "TorchServe serves no model"
    for name, versions in workers.items():
        if not any(worker["status"] == "READY" for version in versions for worker in version["workers"]):
            return f"{name} has no worker that is ready"
    return None


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 (an address of this machine)
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(waits_for(MANAGEMENT))
