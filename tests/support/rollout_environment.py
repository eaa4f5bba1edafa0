"""A platform to roll out on: a real TorchServe, a real facade process, users who never stop asking, and a watcher.

Its models paint instead of thinking, so that two cores answer twenty requests a second, and do in a test's mood what
bad versions do in life.
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
from tests.support.tiny_models import tiny_model
from tests.support.torchserve_process import TorchServe, free_ports, running_torchserve
from thale.errors import UnknownVersionError
from thale.release.controller.checkpoint import FileNotes
from thale.release.controller.controller import Pace, Place, Watcher
from thale.release.controller.leader_election import FileLease
from thale.release.controller.metrics_scraper import Facades
from thale.release.lifecycle import transitions
from thale.release.targets import Held
from thale.release.targets.local import LocalActuator
from thale.release.targets.torchserve_client import TorchServe as Management
from thale.release.targets.update import change, sign
from thale.schemas import Card, Release, ReleasedVersion, ReleaseRecord, Task
from thale.slo import Slo

MODEL = "plate-seg"
STABLE, CANARY = "1.0.0", "1.1.0"
PLATES = 12
SERIES = 5
"""Requests that are one experiment, and so are answered by one version."""
_START_LIMIT_S = 240.0


@dataclass(frozen=True)
class Shelf:
    """The archives that there are: a store without checks."""

    archives: Mapping[tuple[str, str], tuple[Path, ReleasedVersion]]

    def find(self, model: str, version: str) -> ReleasedVersion:
        if (model, version) not in self.archives:
            raise UnknownVersionError(model, version, [name for _, name in self.archives])
        return self.archives[model, version][1]

    def archive(self, released: ReleasedVersion) -> Path:
        return self.archives[released.card.name, released.card.version][0]


@dataclass
class Users:
    """People who send plates at a steady rate, a few at a time at most, and remember how they were served."""

    url: str
    rate_hz: float
    at_once: int = 12
    statuses: list[int] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self) -> Iterator["Users"]:
        """Ask for as long as the context lasts; every answer is waited for at the end."""
        thread = threading.Thread(target=lambda: asyncio.run(self._ask_on()), name="users")
        thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            thread.join()

    async def _ask_on(self) -> None:
        plates = draw_plates()
        places = asyncio.Semaphore(self.at_once)
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as waiting:
            started, number = time.monotonic(), 0
            while not self._ending.is_set():
                await asyncio.sleep(max(0.0, started + number / self.rate_hz - time.monotonic()))
                await places.acquire()
                question = self._ask(session, plates[number % len(plates)], number // SERIES)
                waiting.create_task(question).add_done_callback(lambda _: places.release())
                number += 1

    async def _ask(self, session: aiohttp.ClientSession, plate: bytes, experiment: int) -> None:
        query = {"mm_per_px": str(tiny_plates.MM_PER_PX), "experiment": f"series {experiment}"}
        try:
            async with session.post(f"{self.url}/v1/phenotype", params=query, data=plate) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            self.statuses.append(0)
            self.troubles.append(repr(error))
            return
        self.statuses.append(answer.status)
        if answer.status == 200:
            self.versions += [model["version"] for model in body["provenance"]["models"] if model["name"] == MODEL]
        else:
            self.troubles.append(str(body))


@dataclass(frozen=True)
class Stage:
    """The platform, while it runs."""

    home: Path
    url: str
    torchserve: TorchServe
    actuator: LocalActuator
    metrics_url: str

    def release(self) -> Release:
        return self.actuator.read(MODEL).release

    def start_trial(self, *, steps: tuple[float, ...], shadow: bool = True, model: str = MODEL) -> Held:
        """Put a model's canary on trial, again if need be."""
        found = self.actuator.find(model, CANARY)
        signature = sign("a test", "to see what becomes of it")
        return change(
            self.actuator,
            model,
            lambda now: transitions.canary(now, found, signature, steps=steps, shadow=shadow, again=True),
        )

    def roll_back_to(self, version: ReleasedVersion) -> Held:
        """Return to the version before the stable one."""
        signature = sign("a test", "for the next test")
        return change(self.actuator, MODEL, lambda now: transitions.roll_back(now, signature, version))

    def be(self, mood: str, version: str = CANARY) -> None:
        """Set a version's mood."""
        stub_segmenter.mood_file(self.home, version).write_text(mood)

    def kill_canary_workers(self) -> int:
        """Kill the processes that answer for the canary, and return how many there were."""
        response, body = self.torchserve.manage("GET", f"/models/{MODEL}/{CANARY}")
        workers = json.loads(body)[0]["workers"] if response.status == 200 else []
        living = [int(worker["pid"]) for worker in workers if int(worker["pid"]) > 0]
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(living)

    @contextmanager
    def watched(self, slo: Slo, poll_s: float = 0.25) -> Iterator[None]:
        """Let a watcher do its work for as long as the context lasts."""
        lease, notes = FileLease(self.home / "watch.lock"), FileNotes(self.home / "watch.json")
        place = Place(self.actuator, Facades([self.metrics_url]), lease, notes)
        watcher, ending = Watcher(place, slo, "the watcher", Pace(poll_s=poll_s)), threading.Event()
        thread = threading.Thread(target=watcher.run, args=(ending,), name="watcher")
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def draw_plates() -> list[bytes]:
    """Return tiny plates as PNG files."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_plates.draw_folder(Path(folder), ("test",) * PLATES)
        return [path.read_bytes() for path in sorted(Path(folder).glob("plate*[0-9].png"))]


@contextmanager
def running_stage(home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Stage]:
    """Run the platform until the context ends; the facade has these settings beside its own."""
    with ExitStack() as stack:
        shelf = _fill(home)
        loaded = [shelf.archives[MODEL, STABLE], shelf.archives["plate-landmarks", STABLE]]
        for path, _ in shelf.archives.values():
            (home / "store" / path.name).hardlink_to(path)
        torchserve = stack.enter_context(running_torchserve(home, [path.name for path, _ in loaded]))
        record = home / "record.json"
        models = {
            version.card.name: Release(task=version.card.task, stable=STABLE, versions={STABLE: version})
            for _, version in loaded
        }
        record.write_text(ReleaseRecord(models=models).model_dump_json())
        addresses = [f"http://127.0.0.1:{port}" for port in (torchserve.inference_port, torchserve.management_port)]
        actuator = LocalActuator(record, shelf, home / "store", Management.at(*addresses))
        stack.callback(actuator.close)
        url, metrics_url = stack.enter_context(_running_facade(home, record, addresses, settings))
        yield Stage(home, url, torchserve, actuator, metrics_url)


def _fill(home: Path) -> Shelf:
    """Pack two versions of the segmentation, and two of the landmarks."""
    (home / "store").mkdir()
    kept = {}
    tasks: list[tuple[str, str, Task, str]] = [
        (MODEL, STABLE, "segmentation", stub_segmenter.__file__),
        (MODEL, CANARY, "segmentation", stub_segmenter.__file__),
        ("plate-landmarks", STABLE, "landmarks", stub_landmarker.__file__),
        ("plate-landmarks", CANARY, "landmarks", stub_landmarker.__file__),
    ]
    for seed, (name, version, task, handler) in enumerate(tasks):
        model = tiny_model(home / "weights" / f"{name}-{version}", task, seed, name=name, version=version)
        kept[name, version] = _pack(home / "archives", model.card, model.weights, handler)
    return Shelf(kept)


def _pack(folder: Path, card: Card, weights: Path, handler: str) -> tuple[Path, ReleasedVersion]:
    """Pack an archive as the plain torch-model-archiver does, with a handler of its own."""
    folder.mkdir(exist_ok=True)
    (weights.parent / "card.json").write_text(card.model_dump_json())
    packing = "from model_archiver.model_packaging import generate_model_archive as main; main()"
    words = [
        *("--model-name", card.name, "--version", card.version, "--handler", handler),
        *("--extra-files", f"{weights.parent / 'card.json'},{weights}", "--export-path", str(folder)),
    ]
    subprocess.run([sys.executable, "-c", packing, *words], check=True)
    archive = (folder / f"{card.name}.mar").rename(folder / f"{card.name}-{card.version}.mar")
    return archive, ReleasedVersion(digest=f"sha256:the archive of {card.name} {card.version}", card=card)


@contextmanager
def _running_facade(
    home: Path, record: Path, addresses: list[str], more: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    port, metrics_port = free_ports(2)
    model_url, management_url = addresses
    settings = {
        "THALE_RECORD_PATH": str(record),
        "THALE_PORT": str(port),
        "THALE_METRICS_PORT": str(metrics_port),
        "THALE_MODEL_URL": model_url,
        "THALE_MANAGEMENT_URL": management_url,
        "THALE_CANARY_PATIENCE_S": "1",
        **more,
    }
    with (home / "facade.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "thale.facade"], env=os.environ | settings, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(f"{url}/health/ready"))
        yield url, f"http://127.0.0.1:{metrics_port}/metrics"
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def eventually(condition: Callable[[], object], within_s: float = _START_LIMIT_S) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, f"it did not happen within {within_s} s"
        time.sleep(0.02)
