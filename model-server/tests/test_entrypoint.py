"""Tests of the image's entrypoint: the Java command, and the process that it becomes."""

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
    """Return the arguments of the serving runtime in a cluster, with the files of this repository."""
    files = (f"--model-store={store}", f"--ts-config={SETTINGS}", f"--log-config={LOGGING}")
    return ["--start", "--foreground", "--models=all", *files, *extra]


def test_build_java_command_maps_the_arguments(tmp_path: Path) -> None:
    java_command = build_java_command(find_runtime(), runtime_arguments(tmp_path))
    assert java_command[0] == str(find_runtime().java)
    assert java_command[-4:] == ["-s", str(tmp_path), "-m", "all"]
    assert java_command[java_command.index("--python") + 1] == WORKER_PROGRAM
    assert java_command[java_command.index("-f") + 1] == str(SETTINGS)


def test_build_java_command_reads_vmargs_from_ts_config(tmp_path: Path) -> None:
    settings = tmp_path / "other.properties"
    settings.write_text("vmargs=-Xmx300m -XX:+UseSerialGC\n")
    other_runtime = replace(find_runtime(), settings=tmp_path / "unused")
    assert build_java_command(other_runtime, runtime_arguments(tmp_path, f"--ts-config={settings}"))[1:3] == [
        "-Xmx300m",
        "-XX:+UseSerialGC",
    ]


@pytest.mark.parametrize("option", ["--model-store", "--ts-config", "--log-config"])
def test_build_java_command_names_a_missing_path(tmp_path: Path, option: str) -> None:
    with pytest.raises(LocalPlatformError, match=f"{option}: .*/nowhere does not exist"):
        build_java_command(find_runtime(), runtime_arguments(tmp_path, f"{option}={tmp_path / 'nowhere'}"))


def test_build_java_command_rejects_unsupported_arguments(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        build_java_command(find_runtime(), runtime_arguments(tmp_path, "--stop"))


@contextmanager
def run_server(home: Path, ports: list[int]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the server like the image, with an empty store and its output in `home / "log"`."""
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
        while "does not respond" in (readiness.unready_reason(addresses["TS_MANAGEMENT_ADDRESS"]) or ""):
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.2)
        yield server
    finally:
        server.kill()
        server.wait()


@pytest.mark.integration
def test_entrypoint_becomes_torchserve_and_ends_at_sigterm(tmp_path: Path) -> None:
    ports = free_ports(5)
    with run_server(tmp_path, ports) as server:
        assert b"org.pytorch.serve.ModelServer" in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert readiness.unready_reason(f"http://127.0.0.1:{ports[1]}") == "TorchServe serves no model"
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert lines
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("store", "log")] == []
