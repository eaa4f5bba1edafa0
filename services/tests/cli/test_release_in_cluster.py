"""Tests of `thale release` in a cluster: a model store on a volume, progress, unused predictors, and interrupts."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import yaml
from kubernetes.config import kube_config

from tests.support.fake_kserve_controller import canary_percents
from tests.support.fake_kubernetes_objects import Key
from tests.support.in_memory_version_store import MODEL, InMemoryVersionStore
from tests.support.kserve_harness import NAMESPACE, KServeHarness, run_kserve
from tests.support.local_platform import TIMEOUT_S, wait_for
from thale.cli import main
from thale.kserve import client, inference_service
from thale.kserve.checkpoint import ConfigMapCheckpointStore
from thale.kserve.lease import KubernetesLease
from thale.release.controller import cluster
from thale.release.controller.cluster import watch_releases
from thale.release.controller.controller import ReleaseEnvironment, RolloutController
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.copies.copier import ReleaseCopier
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.judge.policy import read_policy
from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE
from thale.release.registry.signing import generate_key_pair, sign_archive
from thale.release.registry.stores import FolderStore
from thale.release.targets import TargetTimeouts
from thale.release.targets.kserve import KServeTarget
from thale.schemas import Release
from thale.slo import read_slo


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.integration
def test_lost_cluster_is_restored_from_its_copies(volume_cluster: VolumeCluster, run: Run) -> None:
    """The controller copies a promotion. A new cluster starts with the first release, and returns to 1.1.0."""
    harness, copies = volume_cluster.harness, volume_cluster.folder / "volume" / "releases"
    key = Key(inference_service.PLURAL, NAMESPACE, MODEL)
    first = harness.api.objects.get(key)
    store = ("--store", str(volume_cluster.store), "--store-uri", "pvc://store/models")
    assert run(*store, "canary", MODEL, "1.1.0", "--why", "better")[0] == 0
    assert run(*store, "promote", MODEL, "--why", "better")[0] == 0
    copier = ReleaseCopier(ReleaseCopies(FolderStore(copies)))
    with run_controller_of(harness, copier):
        wait_for("the copy", lambda: any("1.1.0" in path.read_text() for path in copies.glob(f"{MODEL}/*")))
    harness.api.objects.delete(key)
    body = {field: first[field] for field in ("apiVersion", "kind", "spec")}
    annotations = {"metadata": {"annotations": first["metadata"]["annotations"]}}
    harness.api.objects.create(key, {**body, **annotations}, ("kubectl", "Apply"))
    with run_controller_of(harness, copier):  # of the new cluster, which must not replace the copy
        wait_for("its copy", lambda: any(path.name.startswith("0000") for path in copies.glob(f"{MODEL}/*")), 20)
    restore = (*store, "restore", "--copies", str(copies), "--why", "lost cluster")
    status, out, err = run(*restore)
    assert status == 0, err
    assert re.search(rf"{MODEL}: restore 1\.1\.0.*lost cluster \(copy of ", out)
    release = inference_service.release_from_resource(harness.api.objects.get(key))
    assert (release.stable, [event.what for event in release.history]) == ("1.1.0", ["canary", "promote", "restore"])
    assert "1.1.0 is current" in run(*restore)[1]


def test_restore_reports_a_model_without_a_copy(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("restore", "--copies", str(tmp_path / "none"), "--why", "lost cluster")
    assert (status, out.strip()) == (0, f"{MODEL}: no copy in {tmp_path / 'none'}")


def test_restore_refuses_another_archive(volume_cluster: VolumeCluster, run: Run) -> None:
    copies = volume_cluster.folder / "releases"
    other = make_release_of(volume_cluster, "1.1.0")
    damaged = other.versions["1.1.0"].model_copy(update={"digest": f"sha256:{0:064}"})
    ReleaseCopies(FolderStore(copies)).save(
        other.model_copy(update={"versions": {"1.1.0": damaged}}), datetime.now(UTC)
    )
    store = ("--store", str(volume_cluster.store), "--store-uri", "pvc://store/models")
    status, _, err = run(*store, "restore", "--copies", str(copies), "--why", "lost cluster")
    assert status == 1
    assert "restore the model store first" in err
    assert volume_cluster.percents == {}


def make_release_of(volume_cluster: VolumeCluster, version: str) -> Release:
    manifest = volume_cluster.harness.store.find(MODEL, version)
    return Release(task="segmentation", stable=version, versions={version: manifest})


@contextmanager
def run_controller_of(harness: KServeHarness, copier: ReleaseCopier) -> Iterator[None]:
    """Run a controller that copies releases, until the context ends."""
    api = client.with_retries(harness.api.client().configuration)
    target = harness.make_target()
    environment = ReleaseEnvironment(
        target,
        MetricsScraper([]),
        KubernetesLease(api, NAMESPACE, "watch", "controller"),
        ConfigMapCheckpointStore(api, NAMESPACE, "watch"),
        lambda: watch_releases(api, NAMESPACE, target),
        copier,
    )
    stop = threading.Event()
    thread = threading.Thread(
        target=RolloutController(environment, read_slo(), read_policy(), "controller").run, args=(stop,)
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
