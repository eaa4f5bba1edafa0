"""An image that ends each worker of the batch engine that measures it, as a fault in native code would."""

from pathlib import Path

import pytest

DEADLY = b"deadly"
"""Last bytes of such an image."""

_PRELOAD = f"""
import os, signal
from thale_models.batch.model_host import ModelHost
def measure_or_die(host, data, parameters, measure=ModelHost.measure):
    if data.endswith({DEADLY!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(host, data, parameters)
if ModelHost.measure.__name__ == "measure":  # Dask executes a preload more than once
    ModelHost.measure = measure_or_die
"""


def make_images_deadly(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the workers of all engines that are started from now on load the fault."""
    preload = folder / "deadly.py"
    preload.write_text(_PRELOAD)
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", str(preload))
