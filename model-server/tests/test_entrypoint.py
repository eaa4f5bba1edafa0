import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.torchserve_process import MODEL_SERVER, START_TIMEOUT_S, free_ports
from thale.errors import LocalPlatformError
from thale.local.runtime import find_runtime
from thale_models import readiness
from thale_models.entrypoint import WORKER_PROGRAM, build_java_command

LOGGING = MODEL_SERVER / "log4j2.xml"
SETTINGS = MODEL_SERVER / "config.properties"


def runtime_arguments(store: Path, *extra: str) -> list[str]:
    """Return the arguments of the cluster's runtime, with this checkout's files."""
    files = (f"--model-store={store}", f"--ts-config={SETTINGS}", f"--log-config={LOGGING}")
    return ["--start", "--foreground", "--models=all", *files, *extra]


def test_the_clusters_arguments_become_javas(tmp_path: Path) -> None:
    java_command = build_java_command(find_runtime(), runtime_arguments(tmp_path))
    assert java_command[0] == str(find_runtime().java)
    assert java_command[-4:] == ["-s", str(tmp_path), "-m", "all"]
    assert java_command[java_command.index("--python") + 1] == WORKER_PROGRAM
    assert java_command[java_command.index("-f") + 1] == str(SETTINGS)


def test_javas_own_options_come_from_the_settings_that_are_named(tmp_path: Path) -> None:
    settings = tmp_path / "other.properties"
    settings.write_text("vmargs=-Xmx300m -XX:+UseSerialGC\n")
    elsewhere = replace(find_runtime(), settings=tmp_path / "not read")
    assert build_java_command(elsewhere, runtime_arguments(tmp_path, f"--ts-config={settings}"))[1:3] == [
        "-Xmx300m",
        "-XX:+UseSerialGC",
    ]


@pytest.mark.parametrize("option", ["--model-store", "--ts-config", "--log-config"])
def test_what_is_not_there_is_named(tmp_path: Path, option: str) -> None:
    with pytest.raises(LocalPlatformError, match=f"{option}: .*/nowhere is not there"):
        build_java_command(find_runtime(), runtime_arguments(tmp_path, f"{option}={tmp_path / 'nowhere'}"))


def test_arguments_that_would_change_nothing_here_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        build_java_command(find_runtime(), runtime_arguments(tmp_path, "--stop"))


@contextmanager
def running_server(home: Path, ports: list[int]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the server as the image does, on an empty store, with its output in `home / "log"`."""
    names = ("TS_INFERENCE_ADDRESS", "TS_MANAGEMENT_ADDRESS", "TS_METRICS_ADDRESS")
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=False)}
    grpc = {"TS_GRPC_INFERENCE_PORT": str(ports[3]), "TS_GRPC_MANAGEMENT_PORT": str(ports[4])}
    (home / "store").mkdir()
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "thale_models.entrypoint", *runtime_arguments(home / "store")],
            env={**os.environ, **addresses, **grpc},
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "does not answer" in (readiness.unready_reason(addresses["TS_MANAGEMENT_ADDRESS"]) or ""):
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.2)
        yield server
    finally:
        server.kill()
        server.wait()


def test_the_process_is_torchserve_itself_logs_json_and_ends_at_a_sigterm(tmp_path: Path) -> None:
    ports = free_ports(5)
    with running_server(tmp_path, ports) as server:
        assert b"org.pytorch.serve.ModelServer" in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert readiness.unready_reason(f"http://127.0.0.1:{ports[1]}") == "TorchServe serves no model"
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert lines
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("store", "log")] == []
