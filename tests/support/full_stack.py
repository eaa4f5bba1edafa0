"""The real stack under load, watched by a real Prometheus: what dashboards and rules must find something in.

TorchServe, a facade process and the release watcher are those of the rollouts' tests, whose models paint instead of
thinking. People send plates of three classes of size, some send nonsense, and a rollout is going on. What only a
cluster tells comes from `foreign_exporter`.
"""

import io
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from PIL import Image

from tests.support import fake_cluster_exporter, tiny_plates
from tests.support.prometheus_process import Prometheus, Target, running_prometheus
from tests.support.rollout_environment import Stage, Users, draw_plates, eventually, running_stage
from thale.files import write_atomically
from thale.release.controller import metrics_server
from thale.schemas import ReleaseRecord
from thale.slo import read_slo

_SETTINGS = {
    "THALE_PRICE_PER_HOUR": "0.38",
    "THALE_CURRENCY": "EUR",
    "THALE_CANARY_PATIENCE_S": "30",  # a crowded machine is no fault of the canary's
    "THALE_SHADOW_DUTY": "0.9",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",  # nobody listens; sampled requests are exemplars all the same
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
_STEPS = [step / 20 for step in range(21)]
_REFERENCES = {
    "plate-seg": {
        "plants": tuple(1.0 + round(1.4 * step) for step in _STEPS),
        "root_area_mm2": tuple(9.0 + 8.0 * step for step in _STEPS),
        "shoot_area_mm2": tuple(20.0 + 16.0 * step for step in _STEPS),
        "root_confidence": tuple(0.9 + 0.1 * step for step in _STEPS),
    },
    "plate-landmarks": {"score": tuple(0.8 + 0.2 * step for step in _STEPS)},
}
_AT_ONCE = 1  # a slow machine is asked less, not more than it can do: crowded facades drop copies
_LARGE_SCALES = (14, 30)  # of 96 px plates: 1.8 and 8.3 megapixels
_NONSENSE = (b"GIF89a, or so it says", b"", b"\x89PNG\r\n\x1a\n and no more")


@dataclass(frozen=True)
class RealStack:
    """All of it, while it runs."""

    stage: Stage
    prometheus: Prometheus

    def live_through_rollouts(self) -> None:
        """Try new landmarks, then a segmentation that turns bad and is taken back; try it once more when it is good.

        Landmarks come first: where two shadows wait for copies, those of the segmentation fill the queue.
        """
        self._try("plate-landmarks", 50.0, 100.0)
        self._wait_for('rate(thale_shadow_landmark_px_count{version="1.1.0"}[5m]) > 0')
        self._try("plate-seg", 50.0, 100.0)
        self._wait_for('rate(thale_shadow_dice_count{version="1.1.0"}[5m]) > 0')
        self.stage.be("throws")
        eventually(lambda: self.stage.release().canary is None)
        self.stage.be("good")
        self._try("plate-seg", 5.0, 25.0, 50.0, 100.0)

    def _try(self, model: str, *steps: float) -> None:
        self.stage.start_trial(steps=steps, model=model)
        self._wait_for(f'thale_release_step_seconds{{model="{model}",version="1.1.0"}} >= 0')

    def _wait_for(self, expr: str, within_s: float = 120.0) -> None:
        until = time.monotonic() + within_s
        while not self.prometheus.query(expr):
            assert time.monotonic() < until, f"it never was: {expr}"
            time.sleep(0.2)


@contextmanager
def running_stack(home: Path, rate_hz: float = 3.0) -> Iterator[RealStack]:
    """Run everything, with people asking all the time, until the context ends."""
    home.mkdir(exist_ok=True)
    with ExitStack() as stack:
        stage = stack.enter_context(running_stage(home, _SETTINGS))
        _refer_to_the_past(home / "record.json")
        stack.enter_context(stage.watched(read_slo()))
        watcher_port = stack.enter_context(metrics_server.served("127.0.0.1", 0, lambda: True))
        cluster_port = stack.enter_context(fake_cluster_exporter.exported())
        targets = [
            Target("thale-facade", stage.metrics_url.removeprefix("http://").removesuffix("/metrics")),
            Target("thale-watcher", f"127.0.0.1:{watcher_port}"),
            Target("thale-models", f"127.0.0.1:{stage.torchserve.metrics_port}"),
            Target("cluster", f"127.0.0.1:{cluster_port}"),
        ]
        prometheus = stack.enter_context(running_prometheus(home / "prometheus", targets))
        stage.torchserve.manage("GET", "/models/nothing")  # TorchServe counts answers of a kind from the first one on
        stack.enter_context(Users(stage.url, rate_hz, at_once=_AT_ONCE).asking())
        stack.enter_context(_others_asking(stage.url))
        yield RealStack(stage, prometheus)


def _refer_to_the_past(path: Path) -> None:
    """Let the cards of the stable versions know how their plates used to be, as the cards of trained models do."""
    record = ReleaseRecord.model_validate_json(path.read_bytes())
    models = {}
    for name, release in record.models.items():
        [(version, released)] = release.versions.items()
        known = {"references": _REFERENCES[name], "metrics": {"plates_plates": 40.0}}
        after = released.model_copy(update={"card": released.card.model_copy(update=known)})
        models[name] = release.model_copy(update={"versions": {version: after}})
    write_atomically(path, ReleaseRecord(models=models).model_dump_json().encode())


@contextmanager
def _others_asking(url: str) -> Iterator[None]:
    """Send large plates, nonsense, and questions for single models, one of each at a time."""
    ending = threading.Event()
    plate = draw_plates()[0]
    large = [(_enlarged(plate, times), f"mm_per_px={tiny_plates.MM_PER_PX / times}") for times in _LARGE_SCALES]
    errands = [
        itertools.cycle([(f"{url}/v1/phenotype?{scale}", body) for body, scale in large]),
        itertools.cycle([(f"{url}/v1/phenotype", body) for body in _NONSENSE] + [(f"{url}/v1/nothing", None)]),
        itertools.cycle([(f"{url}/v1/segment", plate), (f"{url}/v1/models", None), (f"{url}/v1/phenotype", plate)]),
    ]
    with ThreadPoolExecutor(len(errands)) as pool:
        waits_s = (5.0, 3.0, 2.0)
        running = [
            pool.submit(_ask_on, errand, ending, wait_s) for errand, wait_s in zip(errands, waits_s, strict=True)
        ]
        try:
            yield
        finally:
            ending.set()
    for one in running:
        one.result()


def _ask_on(errands: Iterator[tuple[str, bytes | None]], ending: threading.Event, wait_s: float) -> None:
    for url, body in errands:
        if ending.wait(wait_s):
            return
        try:
            with urlopen(Request(url, data=body), timeout=60) as answer:
                answer.read()
        except (HTTPError, URLError, HTTPException, TimeoutError):
            continue  # what thale says to nonsense is counted, and that is all that matters here


def _enlarged(plate: bytes, times: int) -> bytes:
    with Image.open(io.BytesIO(plate)) as image:
        large = image.resize((image.width * times, image.height * times))
    written = io.BytesIO()
    large.save(written, "JPEG", quality=90)
    return written.getvalue()
