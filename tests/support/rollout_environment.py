"""Environment of rollout tests: a real TorchServe, a real facade process, simulated users and a controller.

The models are stubs, so that two cores serve twenty requests per second. Tests inject the faults of bad versions.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.request import urlopen

import aiohttp

from tests.support import stub_landmarker, stub_segmenter, tiny_plates
from tests.support.tiny_models import write_tiny_model
from tests.support.torchserve_process import TorchServeProcess, free_ports, run_torchserve
from thale.errors import UnknownVersionError
from thale.release.controller.checkpoint import FileCheckpointStore
from thale.release.controller.controller import Intervals, ReleaseEnvironment, RolloutController
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import MetricsScraper
from thale.release.judge.policy import JudgePolicy
from thale.release.lifecycle import transitions
from thale.release.registry.signatures import compute_digest
from thale.release.targets import VersionedRelease
from thale.release.targets.local import LocalTarget
from thale.release.targets.torchserve_client import TorchServeClient
from thale.release.targets.update import author_now, update_release
from thale.schemas import ModelCard, Release, ReleaseState, Task, VersionManifest
from thale.slo import read_slo

MODEL = "plate-seg"
STABLE, CANARY = "1.0.0", "1.1.0"
PLATE_COUNT = 12
REQUESTS_PER_EXPERIMENT = 5
"""Requests of one experiment, which one version serves."""
_START_LIMIT_S = 240.0


@dataclass(frozen=True)
class ArchiveVersionStore:
    """Version store of existing archives, without validation."""

    archives: Mapping[tuple[str, str], tuple[Path, VersionManifest]]

    def find(self, model: str, version: str) -> VersionManifest:
        if (model, version) not in self.archives:
            raise UnknownVersionError(model, version, [name for _, name in self.archives])
        return self.archives[model, version][1]

    def archive(self, manifest: VersionManifest) -> Path:
        return self.archives[manifest.card.name, manifest.card.version][0]


@dataclass
class SimulatedUsers:
    """Users who send plates at a constant rate with limited concurrency, and record the responses."""

    url: str
    rate_hz: float
    max_in_flight: int = 12
    headers: Mapping[str, str] = field(default_factory=dict)
    series: str = "series"
    """Start of the names of their experiments. The name decides which version measures an experiment."""
    statuses: list[int] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def run(self) -> Iterator["SimulatedUsers"]:
        """Send requests until the context ends, then wait for all responses."""
        thread = threading.Thread(target=lambda: asyncio.run(self._send_until_stopped()), name="users")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    async def _send_until_stopped(self) -> None:
        plates = sample_plates()
        slots = asyncio.Semaphore(self.max_in_flight)
        async with aiohttp.ClientSession(headers=self.headers) as session, asyncio.TaskGroup() as tasks:
            started, number = time.monotonic(), 0
            while not self._stop.is_set():
                await asyncio.sleep(max(0.0, started + number / self.rate_hz - time.monotonic()))
                await slots.acquire()
                request = self._send(session, plates[number % len(plates)], number // REQUESTS_PER_EXPERIMENT)
                tasks.create_task(request).add_done_callback(lambda _: slots.release())
                number += 1

    async def _send(self, session: aiohttp.ClientSession, plate: bytes, experiment: int) -> None:
        query = {"mm_per_px": str(tiny_plates.MM_PER_PX), "experiment": f"{self.series} {experiment}"}
        try:
            async with session.post(f"{self.url}/v1/phenotype", params=query, data=plate) as response:
                body = await response.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            self.statuses.append(0)
            self.errors.append(repr(error))
            return
        self.statuses.append(response.status)
        if response.status == 200:
            self.versions += [model["version"] for model in body["provenance"]["models"] if model["name"] == MODEL]
        else:
            self.errors.append(str(body))


@dataclass(frozen=True)
class RolloutEnvironment:
    """The running environment."""

    folder: Path
    url: str
    torchserve: TorchServeProcess
    target: LocalTarget
    metrics_url: str

    def release(self) -> Release:
        return self.target.read(MODEL).release

    def start_canary(self, *, steps: tuple[float, ...], shadow: bool = True, model: str = MODEL) -> VersionedRelease:
        """Start a rollout of the canary, even if it was rolled back before."""
        manifest = self.target.find(model, CANARY)
        author = author_now("a test", "rollout test")
        return update_release(
            self.target,
            model,
            lambda release: transitions.start_canary(
                release, manifest, author, steps=steps, shadow=shadow, allow_rolled_back=True
            ),
        )

    def roll_back_to(self, version: VersionManifest) -> VersionedRelease:
        """Return to an earlier stable version."""
        author = author_now("a test", "reset for the next test")
        return update_release(self.target, MODEL, lambda release: transitions.roll_back(release, author, version))

    def set_fault(self, fault: str, version: str = CANARY) -> None:
        """Inject a fault of `stub_segmenter` into a version. `good` ends it."""
        stub_segmenter.fault_file(self.folder, version).write_text(fault)

    def kill_canary_workers(self) -> int:
        """Kill the worker processes of the canary, and return their number."""
        response, body = self.torchserve.call_management("GET", f"/models/{MODEL}/{CANARY}")
        workers = json.loads(body)[0]["workers"] if response.status == 200 else []
        pids = [int(worker["pid"]) for worker in workers if int(worker["pid"]) > 0]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    @contextmanager
    def run_controller(self, policy: JudgePolicy, poll_s: float = 0.25) -> Iterator[None]:
        """Run a controller in a thread until the context ends."""
        lease = FileLease(self.folder / "controller.lock")
        checkpoint_store = FileCheckpointStore(self.folder / "controller-checkpoint.json")
        environment = ReleaseEnvironment(self.target, MetricsScraper([self.metrics_url]), lease, checkpoint_store)
        controller = RolloutController(environment, read_slo(), policy, "the controller", Intervals(poll_s=poll_s))
        stop = threading.Event()
        thread = threading.Thread(target=controller.run, args=(stop,), name="controller")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def sample_plates() -> list[bytes]:
    """Return tiny plates as PNG files."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_plates.write_plate_folder(Path(folder), ("test",) * PLATE_COUNT)
        return [path.read_bytes() for path in sorted(Path(folder).glob("plate*[0-9].png"))]


@contextmanager
def run_rollout_environment(
    folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RolloutEnvironment]:
    """Run the environment until the context ends, with additional settings of the facade."""
    with ExitStack() as stack:
        version_store = _pack_versions(folder)
        loaded = [version_store.archives[MODEL, STABLE], version_store.archives["plate-landmarks", STABLE]]
        for path, _ in version_store.archives.values():
            (folder / "store" / path.name).hardlink_to(path)
        torchserve = stack.enter_context(run_torchserve(folder, [path.name for path, _ in loaded]))
        state_path = folder / "release-state.json"
        models = {
            version.card.name: Release(task=version.card.task, stable=STABLE, versions={STABLE: version})
            for _, version in loaded
        }
        state_path.write_text(ReleaseState(models=models).model_dump_json())
        addresses = [f"http://127.0.0.1:{port}" for port in (torchserve.inference_port, torchserve.management_port)]
        target = LocalTarget(state_path, version_store, folder / "store", TorchServeClient.from_urls(*addresses))
        stack.callback(target.close)
        url, metrics_url = stack.enter_context(_run_facade(folder, state_path, addresses, settings))
        yield RolloutEnvironment(folder, url, torchserve, target, metrics_url)


def _pack_versions(folder: Path) -> ArchiveVersionStore:
    """Pack two versions of the segmentation model and two of the landmark model."""
    (folder / "store").mkdir()
    archives = {}
    tasks: list[tuple[str, str, Task, str]] = [
        (MODEL, STABLE, "segmentation", stub_segmenter.__file__),
        (MODEL, CANARY, "segmentation", stub_segmenter.__file__),
        ("plate-landmarks", STABLE, "landmarks", stub_landmarker.__file__),
        ("plate-landmarks", CANARY, "landmarks", stub_landmarker.__file__),
    ]
    for seed, (name, version, task, handler) in enumerate(tasks):
        model = write_tiny_model(folder / "weights" / f"{name}-{version}", task, seed, name=name, version=version)
        archives[name, version] = _pack_archive(folder / "archives", model.card, model.weights, handler)
    return ArchiveVersionStore(archives)


def _pack_archive(folder: Path, card: ModelCard, weights: Path, handler: str) -> tuple[Path, VersionManifest]:
    """Pack an archive with torch-model-archiver and a custom handler."""
    folder.mkdir(exist_ok=True)
    (weights.parent / "card.json").write_text(card.model_dump_json())
    program = "from model_archiver.model_packaging import generate_model_archive as main; main()"
    arguments = [
        *("--model-name", card.name, "--version", card.version, "--handler", handler),
        *("--extra-files", f"{weights.parent / 'card.json'},{weights}", "--export-path", str(folder)),
    ]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    archive = (folder / f"{card.name}.mar").rename(folder / f"{card.name}-{card.version}.mar")
    return archive, VersionManifest(digest=compute_digest(archive), card=card)


@contextmanager
def _run_facade(
    folder: Path, state_path: Path, addresses: list[str], extra_settings: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    port, metrics_port = free_ports(2)
    model_url, management_url = addresses
    settings = {
        "THALE_RELEASE_STATE_PATH": str(state_path),
        "THALE_PORT": str(port),
        "THALE_METRICS_PORT": str(metrics_port),
        "THALE_MODEL_URL": model_url,
        "THALE_MANAGEMENT_URL": management_url,
        "THALE_CANARY_TIMEOUT_S": "1",
        **extra_settings,
    }
    with (folder / "facade.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=os.environ | settings, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _is_ready(f"{url}/health/ready"))
        yield url, f"http://127.0.0.1:{metrics_port}/metrics"
    finally:
        process.terminate()
        process.wait(60)


def _is_ready(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def wait_until(condition: Callable[[], object], within_s: float = _START_LIMIT_S) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {within_s} s"
        time.sleep(0.02)
