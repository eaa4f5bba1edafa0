"""`thale watch` as a process, with a running facade: interruption, restart and a damaged file."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import sample_images
from tests.support.running_facade import Facade
from thale.client import Client

pytestmark = pytest.mark.integration
_DEADLINE_S = 60.0


def start(folder: Path, experiment: str, facade: Facade, log: Path) -> subprocess.Popen[bytes]:
    options = ["--experiment", experiment, "--server", facade.url, "--interval-s", "0.2", "--mm-per-px", "0.25"]
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "thale", "watch", str(folder), *options],
            stderr=file,
            env=os.environ | {"COLUMNS": "500"},
        )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_watch_measures_once_across_restarts(facade: Facade, tmp_path: Path) -> None:
    (folder := tmp_path / "camera").mkdir()
    body = json.dumps({"name": f"watched {uuid.uuid4().hex}"}).encode()
    experiment = str(facade.post("/v1/experiments", body, Content_Type="application/json").json["id"])
    (folder / "plate_1.png").write_bytes(sample_images.png())
    (folder / "damaged.png").write_bytes(sample_images.png()[:200])
    for run, expected in enumerate(("1 measured, 0 on the server already, 1 failed", "0 measured, 1 on the server")):
        log = tmp_path / f"{run}.log"
        process = start(folder, experiment, facade, log)
        try:
            wait_until(lambda log=log, expected=expected: expected in log.read_text(), process, log)  # type: ignore[misc]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()
            process.wait()
        text = log.read_text()
        assert text.count("damaged.png") == 1, text
        assert "Traceback" not in text
    with Client(facade.url) as client:
        images = list(client.experiments.images(experiment))
    assert [(image.name, image.measurement_id is not None) for image in images] == [("plate_1.png", True)]
