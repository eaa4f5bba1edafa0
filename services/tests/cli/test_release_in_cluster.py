"""Tests of `thale release` in a cluster: a model store on a volume, progress, unused predictors, and interrupts."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml
from kubernetes.config import kube_config

from tests.support.fake_kserve_controller import canary_percents
from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.kserve_harness import NAMESPACE, KServeHarness, run_kserve
from tests.support.local_platform import TIMEOUT_S, wait_for
from thale.cli import main
from thale.release.controller import cluster
from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE
from thale.release.registry.signing import generate_key_pair, sign_archive
from thale.release.registry.stores import FolderStore
from thale.release.targets import TargetTimeouts
from thale.release.targets.kserve import KServeTarget


@dataclass(frozen=True)
class VolumeCluster:
    """A fake cluster whose volume `store` has a model store in its folder `models`."""

    harness: KServeHarness
    folder: Path
    environment: dict[str, str]

    @property
    def store(self) -> Path:
        return self.folder / "volume" / "models"

    @property
    def percents(self) -> dict[str, int]:
        return canary_percents(self.harness.api, NAMESPACE, MODEL)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def volume_cluster(tmp_path: Path) -> Iterator[VolumeCluster]:
    versions = InMemoryVersionStore(tmp_path / "archives")
    for version in ("1.0.0", "1.1.0"):
        archive = versions.archive(versions.register(version))
        FolderStore(tmp_path / "volume" / "models").put(archive)
    with run_kserve(versions) as harness:
        harness.controller.kubelet.volumes = {"store": tmp_path / "volume"}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(make_kubeconfig(harness.api.url))
        variables = {"KUBECONFIG": str(kubeconfig), "THALE_HOME": str(tmp_path), "THALE_USER": "anna"}
        yield VolumeCluster(harness, tmp_path, variables)


def make_kubeconfig(url: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}],
            "current-context": "test",
        }
    )


@pytest.fixture
def run(
    volume_cluster: VolumeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Return a function that runs the command line in this process, without golden plates."""
    previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    timeouts = TargetTimeouts(load_s=60, poll_s=0.02, drain_s=0.1)
    target = partial(KServeTarget, warm_up=lambda *_: None, timeouts=timeouts)
    monkeypatch.setattr(cluster, "KServeTarget", target)
    monkeypatch.setenv("COLUMNS", "150")
    # The client reads KUBECONFIG at its import.
    kubeconfig = volume_cluster.environment["KUBECONFIG"]
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig)
    for name, value in volume_cluster.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["thale", "release", "--context", "test", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        return int(exit_info.value.code or 0), out, err

    yield run
    for number, handler in previous_handlers.items():
        signal.signal(number, handler)


def canary_arguments(volume_cluster: VolumeCluster, uri: str | None = "pvc://store/models") -> list[str]:
    store = ["--store", str(volume_cluster.store), *(["--store-uri", uri] if uri else [])]
    return [*store, "canary", MODEL, "1.1.0", "--why", "better"]


def test_canary_is_loaded_from_a_volume(volume_cluster: VolumeCluster, run: Run) -> None:
    status, out, err = run(*canary_arguments(volume_cluster))
    assert (status, "canary 1.1.0, 5 %" in out) == (0, True), err
    assert volume_cluster.percents == {"v1-1-0": 5}
    assert re.search(r"tiny-seg 1\.1\.0 after \d+ s: 0 of 1 pods ready; .*: Starting", err)


@pytest.mark.parametrize("uri", [None, "file:///store/models", "/store/models"])
def test_folder_without_address_in_the_cluster_is_refused(
    volume_cluster: VolumeCluster, run: Run, uri: str | None
) -> None:
    status, _, err = run(*canary_arguments(volume_cluster, uri))
    assert (status, "pvc://" in err, "--store-uri" in err) == (1, True, True)
    assert volume_cluster.percents == {}


def test_wrong_path_on_the_volume_fails_with_the_reason(volume_cluster: VolumeCluster, run: Run) -> None:
    status, _, err = run(*canary_arguments(volume_cluster, "pvc://store/elsewhere"))
    assert (status, "the model store /mnt/models/model-store cannot be read" in err) == (1, True)
    assert volume_cluster.percents == {}


def test_unused_predictor_is_shown_and_dropped(volume_cluster: VolumeCluster, run: Run) -> None:
    volume_cluster.harness.controller.behaviours["v1-1-0"] = "unschedulable"
    with start_process(volume_cluster) as process:
        wait_for("its predictor", lambda: volume_cluster.percents == {"v1-1-0": 0})
        process.kill()
    status, out, _ = run("status")
    assert (status, "1.1.0   unused" in out, f"thale release drop {MODEL} 1.1.0" in out) == (0, True, True), out
    status, _, err = run("drop", MODEL, "1.0.0")
    assert (status, "is released" in err) == (2, True), err
    assert run("drop", MODEL, "1.1.0")[:2] == (0, f"{MODEL} 1.1.0 is unloaded\n")
    assert volume_cluster.percents == {}
    assert "unused" not in run("status")[1]
    status, _, err = run("drop", MODEL, "1.1.0")
    assert (status, "no unused version is loaded" in err) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_canary_leaves_no_predictor(volume_cluster: VolumeCluster, number: signal.Signals) -> None:
    volume_cluster.harness.controller.behaviours["v1-1-0"] = "unschedulable"
    with start_process(volume_cluster) as process:
        assert process.stderr is not None
        assert "Unschedulable" in next(line for line in process.stderr if "pods ready" in line)
        process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, "is being removed" in err) == (130, True), err
    assert volume_cluster.percents == {}


def start_process(volume_cluster: VolumeCluster) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "thale", "release", "--context", "test", *canary_arguments(volume_cluster)]
    environment = {**os.environ, **volume_cluster.environment}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def test_unsigned_version_is_refused(
    volume_cluster: VolumeCluster, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    generate_key_pair(keys, b"")
    (private_key,), (public_key,) = keys.glob("*.key"), keys.glob("*.pub")
    monkeypatch.setenv(PUBLIC_KEYS_VARIABLE, str(public_key))
    status, _, err = run(*canary_arguments(volume_cluster))
    assert (status, f"{MODEL} 1.1.0 must be signed by one of the keys" in err) == (1, True), err
    assert volume_cluster.percents == {}
    store = FolderStore(volume_cluster.store)
    archive = store.archive(store.find(MODEL, "1.1.0"))
    store.put(archive, sign_archive(archive, private_key, None, tmp_path / "signature"))
    assert run(*canary_arguments(volume_cluster))[0] == 0
