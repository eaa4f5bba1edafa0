"""A rollout through a running facade: traffic split, fallback, circuit breaker and shadow traffic.

All tests share one facade and one TorchServe. They rewrite the release state while both run.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support import fault_injection_handler, sample_images
from tests.support.running_facade import Facade, Reply, running_facade
from tests.support.tiny_models import write_tiny_model
from tests.support.torchserve_process import TorchServeProcess
from thale.facade.settings import FacadeSettings
from thale.host.files import write_atomically
from thale.schemas import ModelCard, Phenotype, ReleaseState, VersionManifest
from thale_models.archive import write_archive

pytestmark = pytest.mark.integration

PLATE = sample_images.png()
GOOD, FAULTY = "1.1.0", "1.2.0"


@dataclass
class RolloutStack:
    """A running facade with a writable release state and a model version with injected faults."""

    facade: Facade
    settings: FacadeSettings
    torchserve: TorchServeProcess
    base_state: ReleaseState
    versions: dict[str, VersionManifest]

    def set_mode(self, mode: str) -> None:
        write_atomically(fault_injection_handler.mode_file(self.torchserve.store.parent), mode.encode())

    def release(self, **fields: object) -> None:
        """Change the release of plate-seg, and wait until the facade has loaded it."""
        release = self.base_state.models["plate-seg"]
        loaded_versions = {**release.versions, **self.versions}
        plate_seg = release.model_copy(update={"versions": loaded_versions, **fields})
        release_state = ReleaseState(models={**self.base_state.models, "plate-seg": plate_seg})
        write_atomically(self.settings.release_state_path, release_state.model_dump_json().encode())
        pipeline = self.facade.app.state.pipeline
        wait_until(lambda: self.facade.get("/v2/models").status == 200 and pipeline.release_state() == release_state)

    def canary(self, version: str, percent: float = 100.0, **fields: object) -> None:
        self.release(canary=version, weight_percent=percent, **fields)

    def serving_version(self, query: str = "") -> str:
        """Request a phenotype, and return the version that segmented it."""
        reply = self.facade.phenotype(PLATE, query)
        assert reply.status == 200, reply.body
        [version] = [
            model.version
            for model in Phenotype.model_validate_json(reply.body).provenance.models
            if model.name == "plate-seg"
        ]
        return version

    def segmenting_version(self, query: str = "") -> str:
        """Request a segmentation, and return the version that served it."""
        reply = self.facade.post("/v1/segment", PLATE, query)
        assert reply.status == 200, reply.body
        return str(reply.json["model"]["version"])


def wait_until(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"condition not met within {timeout_s:g} s"
        time.sleep(0.02)


def metric_value(name: str, version: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"model": "plate-seg", "version": version, **labels}) or 0.0


@pytest.fixture(scope="module")
def versions(torchserve: TorchServeProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModelCard]]:
    """Load two more versions of plate-seg into TorchServe: a good one, and one with injected faults."""
    good, faulty = (
        write_tiny_model(tmp_path_factory.mktemp("weights"), seed=seed, name="plate-seg", version=version)
        for seed, version in ((1, GOOD), (2, FAULTY))
    )
    write_archive(good.weights, good.card, torchserve.store)
    card = faulty.weights.with_name("card.json")
    card.write_text(faulty.card.model_dump_json())
    subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from model_archiver.model_packaging import generate_model_archive as main; main()",
            ),
            *(
                "--model-name",
                f"plate-seg-{FAULTY}",
                "--version",
                FAULTY,
                "--handler",
                fault_injection_handler.__file__,
            ),
            *("--extra-files", f"{card},{faulty.weights}", "--export-path", str(torchserve.store)),
        ],
        check=True,
    )
    fault_injection_handler.mode_file(torchserve.store.parent).write_text("good")
    cards = {GOOD: good.card, FAULTY: faulty.card}
    for version in cards:
        response, body = torchserve.call_management("POST", f"/models?url=plate-seg-{version}.mar&model_name=plate-seg")
        assert response.status == 200, body
        torchserve.call_management("PUT", f"/models/plate-seg/{version}?min_worker=1")
    wait_until(lambda: all(torchserve.worker_states("plate-seg", version) == ["READY"] for version in cards), 240)
    yield cards
    for version in cards:
        torchserve.call_management("DELETE", f"/models/plate-seg/{version}")


@pytest.fixture(scope="module")
def shared_rollout(
    torchserve: TorchServeProcess,
    settings: FacadeSettings,
    versions: dict[str, ModelCard],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RolloutStack]:
    folder = tmp_path_factory.mktemp("rollout")
    overrides = {
        "release_state_path": folder / "release-state.json",
        "shadow_samples_path": folder / "shadow-samples",
        "shadow_samples_per_version": 2,
        "canary_breaker_open_s": 6.0,
        "canary_timeout_s": 30.0,
        "shadow_duty_cycle": 1.0,
    }
    rollout_settings = settings.model_copy(update=overrides)
    rollout_settings.release_state_path.write_bytes(settings.release_state_path.read_bytes())
    base = ReleaseState.model_validate_json(settings.release_state_path.read_bytes())
    loaded_versions = {
        version: VersionManifest(digest=f"sha256:archive of {version}", card=card) for version, card in versions.items()
    }
    with running_facade(rollout_settings) as facade:
        yield RolloutStack(facade, rollout_settings, torchserve, base, loaded_versions)


@pytest.fixture
def rollout(shared_rollout: RolloutStack) -> Iterator[RolloutStack]:
    """Reset the release to no canary before and after a test, so that every test starts with a new breaker."""
    shared_rollout.set_mode("good")
    shared_rollout.release()
    yield shared_rollout
    shared_rollout.set_mode("good")
    shared_rollout.release()


def test_facade_follows_a_changed_release_state(rollout: RolloutStack) -> None:
    assert rollout.serving_version() == "1.0.0"
    rollout.canary(GOOD)
    assert rollout.serving_version() == GOOD
    rollout.canary(GOOD, percent=25)
    listed_versions = {
        version["version"]: version for version in rollout.facade.get("/v1/models/plate-seg").json["versions"]
    }
    assert {name: version["traffic_percent"] for name, version in listed_versions.items()} == {
        "1.0.0": 75,
        GOOD: 25,
        FAULTY: 0,
    }
    assert [name for name, version in listed_versions.items() if version["canary"]] == [GOOD]
    rollout.release()
    assert rollout.serving_version() == "1.0.0"


def test_experiment_stays_on_one_version(rollout: RolloutStack) -> None:
    rollout.canary(GOOD, percent=50)
    for experiment in ("drought", "salt", "shade", "control"):
        assert len({rollout.segmenting_version(f"experiment={experiment}") for _ in range(2)}) == 1


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("error", "error"),
        ("exception", "error"),
        ("invalid_bytes", "invalid_response"),
        ("wrong_classes", "invalid_response"),
        ("rejection", "invalid_response"),
    ],
)
def test_stable_serves_requests_that_the_canary_fails(rollout: RolloutStack, mode: str, outcome: str) -> None:
    rollout.canary(FAULTY)
    rollout.set_mode(mode)
    requests = metric_value("thale_model_requests_total", FAULTY, outcome=outcome)
    fallbacks = metric_value("thale_model_fallbacks_total", FAULTY, reason=outcome)
    stable = metric_value("thale_model_requests_total", "1.0.0", outcome="ok")
    plates = metric_value("thale_output_plates_total", "1.0.0")
    assert rollout.serving_version() == "1.0.0"
    assert metric_value("thale_model_requests_total", FAULTY, outcome=outcome) == requests + 1
    assert metric_value("thale_model_fallbacks_total", FAULTY, reason=outcome) == fallbacks + 1
    assert metric_value("thale_model_requests_total", "1.0.0", outcome="ok") == stable + 1
    assert metric_value("thale_output_plates_total", "1.0.0") == plates + 1


def test_slow_canary_leaves_time_for_stable(rollout: RolloutStack) -> None:
    rollout.canary(FAULTY)
    rollout.set_mode("hang")
    timeouts = metric_value("thale_model_fallbacks_total", FAULTY, reason="timeout")
    assert rollout.serving_version("timeout_s=12") == "1.0.0"
    assert metric_value("thale_model_fallbacks_total", FAULTY, reason="timeout") == timeouts + 1


def test_stable_serves_when_the_canary_is_unavailable(rollout: RolloutStack) -> None:
    unreachable = rollout.versions[GOOD].model_copy(update={"url": "http://127.0.0.1:9"})
    rollout.canary(GOOD, versions={**rollout.base_state.models["plate-seg"].versions, GOOD: unreachable})
    fallbacks = metric_value("thale_model_fallbacks_total", GOOD, reason="unavailable")
    assert rollout.serving_version() == "1.0.0"
    assert metric_value("thale_model_fallbacks_total", GOOD, reason="unavailable") == fallbacks + 1


def test_bad_image_is_rejected_when_stable_rejects_it_too(rollout: RolloutStack) -> None:
    rollout.canary(GOOD)
    rejected = metric_value("thale_model_requests_total", GOOD, outcome="rejected")
    reply = rollout.facade.post("/v1/segment", sample_images.jpeg()[:-2000])
    assert (reply.status, reply.problem) == (422, "damaged-image")
    assert metric_value("thale_model_requests_total", GOOD, outcome="rejected") == rejected + 1


def test_pinned_version_has_no_fallback(rollout: RolloutStack) -> None:
    rollout.canary(GOOD)
    rollout.set_mode("error")
    assert rollout.facade.phenotype(PLATE, f"model=plate-seg@{FAULTY}").problem == "model-failed"
    rollout.set_mode("invalid_bytes")
    assert rollout.facade.phenotype(PLATE, f"model=plate-seg@{FAULTY}").problem == "invalid-model-response"
    assert rollout.serving_version("model=plate-seg@1.0.0") == "1.0.0"
    assert rollout.serving_version("model=plate-seg") == GOOD


def test_single_model_route_falls_back(rollout: RolloutStack) -> None:
    rollout.canary(FAULTY)
    for mode in ("error", "invalid_bytes"):
        rollout.set_mode(mode)
        assert rollout.segmenting_version() == "1.0.0"


def test_batch_is_served_by_one_version(rollout: RolloutStack) -> None:
    rollout.canary(FAULTY)
    image = {"name": "image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 0}}
    body = b"".join(len(plate).to_bytes(4, "little") + plate for plate in (PLATE, PLATE))
    image["parameters"] = {"binary_data_size": len(body)}
    head = json.dumps({"inputs": [image], "outputs": [{"name": "meta"}]}).encode()
    for mode, version in (("good", FAULTY), ("invalid_bytes", "1.0.0")):
        rollout.set_mode(mode)
        reply = rollout.facade.post(
            "/v2/models/plate-seg/infer", head + body, Inference_Header_Content_Length=str(len(head))
        )
        assert reply.status == 200, reply.body
        assert reply.json["model_version"] == version
        image_versions = [json.loads(meta)["model"]["version"] for meta in reply.json["outputs"][0]["data"]]
        assert image_versions == [version, version]


def test_failing_canary_is_skipped_until_it_recovers(rollout: RolloutStack) -> None:
    rollout.canary(FAULTY)
    rollout.set_mode("error")
    requests = metric_value("thale_model_requests_total", FAULTY, outcome="error")
    fallbacks = metric_value("thale_model_fallbacks_total", FAULTY, reason="open")
    while metric_value("thale_model_breaker_open", FAULTY) == 0:
        assert rollout.segmenting_version() == "1.0.0"
    assert (
        metric_value("thale_model_requests_total", FAULTY, outcome="error")
        == requests + rollout.settings.canary_breaker_failures
    )
    wait_until(
        lambda: (
            rollout.segmenting_version() == "1.0.0"
            and metric_value("thale_model_fallbacks_total", FAULTY, reason="open") > fallbacks
        )
    )
    rollout.set_mode("good")
    wait_until(lambda: rollout.segmenting_version() == FAULTY)
    assert metric_value("thale_model_breaker_open", FAULTY) == 0


def test_breaker_is_reset_after_the_rollout(rollout: RolloutStack) -> None:
    rollout.canary(FAULTY)
    rollout.set_mode("error")
    while metric_value("thale_model_breaker_open", FAULTY) == 0:
        assert rollout.segmenting_version() == "1.0.0"
    rollout.release()
    assert metric_value("thale_model_breaker_open", FAULTY) == 0


def test_shadow_is_compared_after_the_response(rollout: RolloutStack) -> None:
    rollout.release(shadow=FAULTY)
    rollout.set_mode("hang")
    before = metric_value("thale_shadow_requests_total", FAULTY, outcome="ok")
    requests = metric_value("thale_model_requests_total", FAULTY, outcome="ok")
    assert rollout.serving_version("mm_per_px=0.25") == "1.0.0"  # before the shadow responds
    assert metric_value("thale_shadow_requests_total", FAULTY, outcome="ok") == before
    rollout.set_mode("good")
    wait_until(lambda: metric_value("thale_shadow_requests_total", FAULTY, outcome="ok") == before + 1)
    assert metric_value("thale_model_requests_total", FAULTY, outcome="ok") == requests
    [pair] = (rollout.settings.shadow_samples_path / "plate-seg" / FAULTY).iterdir()
    assert (pair / "image").read_bytes() == PLATE
    assert json.loads((pair / "sample.json").read_text())["shadow"]["version"] == FAULTY


@pytest.mark.parametrize(
    ("mode", "outcome"), [("error", "error"), ("invalid_bytes", "invalid_response"), ("rejection", "invalid_response")]
)
def test_failing_shadow_is_counted_and_hidden_from_clients(rollout: RolloutStack, mode: str, outcome: str) -> None:
    rollout.release(shadow=FAULTY)
    rollout.set_mode(mode)
    before = metric_value("thale_shadow_requests_total", FAULTY, outcome=outcome)
    assert rollout.serving_version() == "1.0.0"
    wait_until(lambda: metric_value("thale_shadow_requests_total", FAULTY, outcome=outcome) == before + 1)


def test_shadow_requests_are_dropped_above_half_of_the_limit(rollout: RolloutStack) -> None:
    rollout.release(shadow=FAULTY)
    rollout.set_mode("hang")
    replies: list[Reply] = []

    def hold_slot() -> None:
        replies.append(rollout.facade.phenotype(PLATE, f"model=plate-seg@{FAULTY}"))

    threads = [threading.Thread(target=hold_slot) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = metric_value("thale_shadow_requests_total", FAULTY, outcome="dropped")
    wait_until(
        lambda: (
            rollout.serving_version() == "1.0.0"
            and metric_value("thale_shadow_requests_total", FAULTY, outcome="dropped") > before
        )
    )
    rollout.set_mode("good")
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200, 200, 200]


def test_unavailable_stable_returns_503_and_is_probed_again(rollout: RolloutStack, tmp_path: Path) -> None:
    state_path = tmp_path / "release-state.json"
    unreachable = {"model_url": "http://127.0.0.1:9", "release_state_path": state_path, "stable_breaker_open_s": 0.5}
    state_path.write_text(rollout.base_state.model_dump_json())
    with running_facade(rollout.settings.model_copy(update=unreachable)) as facade:
        while metric_value("thale_model_breaker_open", "1.0.0") == 0:
            assert facade.post("/v1/segment", PLATE).problem == "model-unavailable"
        retries = metric_value("thale_model_retries_total", "1.0.0")
        reply = facade.post("/v1/segment", PLATE)
        assert (reply.problem, reply.headers["retry-after"]) == ("model-unavailable", "2")
        assert metric_value("thale_model_retries_total", "1.0.0") == retries
        release = rollout.base_state.models["plate-seg"]
        manifest = release.versions["1.0.0"].model_copy(update={"url": rollout.settings.model_url})
        release_update = release.model_copy(update={"versions": {"1.0.0": manifest}})
        write_atomically(state_path, ReleaseState(models={"plate-seg": release_update}).model_dump_json().encode())
        wait_until(lambda: facade.post("/v1/segment", PLATE).status == 200)
        assert metric_value("thale_model_breaker_open", "1.0.0") == 0
