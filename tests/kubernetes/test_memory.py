"""Tests of the memory of pods: the bounds of their processes add up to less than the limit of the pod."""

import re
from pathlib import Path

import pytest

from deploy.models import MEMORY_LIMIT
from thale.facade.app import COMPARISON_MEMORY_BYTES, HEADER_MEMORY_BYTES, HEADER_WORKERS
from thale.facade.http.protocol import MAX_UNSENT_BYTES
from thale.facade.limits.response_store import MAX_TOTAL_BYTES
from thale.facade.settings import FacadeSettings
from thale_models.handlers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "model-server" / "config.properties").read_text()
MIB_PER_UNIT = {"m": 1, "g": 1024}

JAVA_OTHER_MIB = 160
"""Estimate of threads, garbage collector, class data and gRPC. Java's peak of 1475 MiB, measured with four clients that
send 63 MB and receive 104 MB, is within the sum of the bounds and this estimate."""
WORKER_MIB = 450
"""A worker with a loaded model, which has imported torch to convert it: 432 MiB measured."""
REGISTRATION_MIB = 600
"""`thale release register` with the golden plates: 428 MiB measured with plate-landmarks 1.0.0."""
PROBE_MIB = 64
"""Estimate of the readiness probe, a Python process that imports no array library."""

SERVER_MIB = 350
"""The facade's server process and its fork server, without bodies: an estimate."""


def java_option_mib(pattern: str) -> int:
    found = re.search(rf"^vmargs=.*{pattern}(\d+)([mg])\b", SETTINGS, re.MULTILINE)
    assert found is not None, pattern
    return int(found[1]) * MIB_PER_UNIT[found[2]]


def model_server_mib() -> int:
    """Return the maximum memory of a model server with one worker."""
    bounds = ("-Xmx", "-XX:MaxDirectMemorySize=", "-XX:MaxMetaspaceSize=", "-XX:ReservedCodeCacheSize=")
    java_mib = sum(java_option_mib(re.escape(bound)) for bound in bounds) + JAVA_OTHER_MIB
    return java_mib + WORKER_MIB + WorkerSettings().memory_growth_mib


def default_bytes(setting: str) -> int:
    value: int = FacadeSettings.model_fields[setting].default
    return value


def facade_mib() -> float:
    """Return the maximum memory of a facade with its default settings (ADR 0086)."""
    workers = default_bytes("postprocess_workers") * default_bytes("postprocess_memory_bytes")
    readers = HEADER_WORKERS * (HEADER_MEMORY_BYTES + default_bytes("max_body_bytes"))
    bodies = default_bytes("max_buffered_bytes") + default_bytes("shadow_queue_bytes") + MAX_TOTAL_BYTES
    responses = 2 * MAX_UNSENT_BYTES
    return (workers + readers + bodies + responses + COMPARISON_MEMORY_BYTES) / 2**20 + SERVER_MIB


def test_facade_memory_holds_its_processes() -> None:
    text = (ROOT / "kubernetes" / "base" / "facade.yaml").read_text()
    found = re.search(r"limits: \{.*memory: (\d+)Gi", text)
    assert found is not None
    assert facade_mib() <= int(found[1]) * 1024
    for path in (ROOT / "kubernetes").rglob("*.yaml"):
        assert not re.search(r"name: THALE_(POSTPROCESS_|MAX_BODY|MAX_BUFFERED|SHADOW_QUEUE)", path.read_text()), path


@pytest.mark.parametrize("manifest", ["model-server.yaml", "plate-seg.yaml", "plate-landmarks.yaml"])
def test_predictor_memory_holds_its_processes(manifest: str) -> None:
    text = (ROOT / "kubernetes" / "base" / manifest).read_text()
    found = re.search(r"limits: \{.*memory: (\d+)Gi", text)
    assert found is not None
    assert model_server_mib() + PROBE_MIB <= int(found[1]) * 1024


def test_registration_memory_holds_its_processes() -> None:
    """The Job runs a model server as well, without a probe."""
    limit_mib = int(MEMORY_LIMIT.removesuffix("Gi")) * 1024
    assert model_server_mib() + REGISTRATION_MIB <= limit_mib


def test_worker_limit_is_not_overridden_in_the_cluster() -> None:
    manifests = (ROOT / "kubernetes" / "base").glob("*.yaml")
    assert not any("THALE_WORKER_MEMORY_GROWTH_MIB" in manifest.read_text() for manifest in manifests)
