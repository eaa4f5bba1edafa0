"""A version on trial in front of real users: its share, what it fails to answer, its breaker, and its shadow.

One facade and one TorchServe for all tests; the release record is rewritten while they run.
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
from tests.support.tiny_models import tiny_model
from tests.support.torchserve_process import TorchServe
from thale.facade.settings import Settings
from thale.files import write_atomically
from thale.schemas import Card, Phenotype, ReleasedVersion, ReleaseRecord
from thale_models.archive import write_archive

PLATE = sample_images.png()
GOOD, MOODY = "1.1.0", "1.2.0"


@dataclass
class Trial:
    """A facade whose release record and whose moody version the test has in hand."""

    facade: Facade
    settings: Settings
    torchserve: TorchServe
    base: ReleaseRecord
    versions: dict[str, ReleasedVersion]

    def mood(self, mood: str) -> None:
        write_atomically(fault_injection_handler.mood_file(self.torchserve.store.parent), mood.encode())

    def release(self, **fields: object) -> None:
        """Change the release of plate-seg, and wait until the facade has seen it."""
        release = self.base.models["plate-seg"]
        held = {**release.versions, **self.versions}
        changed = release.model_copy(update={"versions": held, **fields})
        record = ReleaseRecord(models={**self.base.models, "plate-seg": changed})
        write_atomically(self.settings.record_path, record.model_dump_json().encode())
        pipeline = self.facade.app.state.pipeline
        eventually(lambda: self.facade.get("/v2/models").status == 200 and pipeline.record() == record)

    def canary(self, version: str, percent: float = 100.0, **fields: object) -> None:
        self.release(canary=version, weight_percent=percent, **fields)

    def answered_by(self, query: str = "") -> str:
        """Measure a plate, and return which version segmented it."""
        reply = self.facade.phenotype(PLATE, query)
        assert reply.status == 200, reply.body
        [version] = [
            model.version
            for model in Phenotype.model_validate_json(reply.body).provenance.models
            if model.name == "plate-seg"
        ]
        return version

    def segmented_by(self, query: str = "") -> str:
        """Ask for the organs alone, and return which version answered."""
        reply = self.facade.post("/v1/segment", PLATE, query)
        assert reply.status == 200, reply.body
        return str(reply.json["model"]["version"])


def eventually(condition: Callable[[], bool], patience_s: float = 120) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def counted(name: str, version: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"model": "plate-seg", "version": version, **labels}) or 0.0


@pytest.fixture(scope="module")
def versions(torchserve: TorchServe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Card]]:
    """Two more versions of plate-seg in the running TorchServe: a good one, and one with moods."""
    good, moody = (
        tiny_model(tmp_path_factory.mktemp("weights"), seed=seed, name="plate-seg", version=version)
        for seed, version in ((1, GOOD), (2, MOODY))
    )
    write_archive(good.weights, good.card, torchserve.store)
    card = moody.weights.with_name("card.json")
    card.write_text(moody.card.model_dump_json())
    subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from model_archiver.model_packaging import generate_model_archive as main; main()",
            ),
            *("--model-name", f"plate-seg-{MOODY}", "--version", MOODY, "--handler", fault_injection_handler.__file__),
            *("--extra-files", f"{card},{moody.weights}", "--export-path", str(torchserve.store)),
        ],
        check=True,
    )
    fault_injection_handler.mood_file(torchserve.store.parent).write_text("good")
    cards = {GOOD: good.card, MOODY: moody.card}
    for version in cards:
        response, body = torchserve.manage("POST", f"/models?url=plate-seg-{version}.mar&model_name=plate-seg")
        assert response.status == 200, body
        torchserve.manage("PUT", f"/models/plate-seg/{version}?min_worker=1")
    eventually(lambda: all(torchserve.worker_states("plate-seg", version) == ["READY"] for version in cards), 240)
    yield cards
    for version in cards:
        torchserve.manage("DELETE", f"/models/plate-seg/{version}")


@pytest.fixture(scope="module")
def shared_trial(
    torchserve: TorchServe,
    settings: Settings,
    versions: dict[str, Card],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trial]:
    folder = tmp_path_factory.mktemp("trial")
    changed = {
        "record_path": folder / "record.json",
        "replay_path": folder / "replay",
        "replay_pairs": 2,
        "canary_rest_s": 6.0,
        "canary_patience_s": 30.0,
        "shadow_duty": 1.0,
    }
    own = settings.model_copy(update=changed)
    own.record_path.write_bytes(settings.record_path.read_bytes())
    base = ReleaseRecord.model_validate_json(settings.record_path.read_bytes())
    held = {
        version: ReleasedVersion(digest=f"sha256:archive of {version}", card=card) for version, card in versions.items()
    }
    with running_facade(own) as facade:
        yield Trial(facade, own, torchserve, base, held)


@pytest.fixture
def trial(shared_trial: Trial) -> Iterator[Trial]:
    """Begin and end with a release without canary, so that every test finds its breaker new."""
    shared_trial.mood("good")
    shared_trial.release()
    yield shared_trial
    shared_trial.mood("good")
    shared_trial.release()


def test_a_change_of_the_record_is_followed_and_told(trial: Trial) -> None:
    assert trial.answered_by() == "1.0.0"
    trial.canary(GOOD)
    assert trial.answered_by() == GOOD
    trial.canary(GOOD, percent=25)
    told = {version["version"]: version for version in trial.facade.get("/v1/models/plate-seg").json["versions"]}
    assert {name: version["traffic_percent"] for name, version in told.items()} == {"1.0.0": 75, GOOD: 25, MOODY: 0}
    assert [name for name, version in told.items() if version["canary"]] == [GOOD]
    trial.release()
    assert trial.answered_by() == "1.0.0"


def test_an_experiment_stays_with_its_version(trial: Trial) -> None:
    trial.canary(GOOD, percent=50)
    for experiment in ("drought", "salt", "shade", "control"):
        assert len({trial.segmented_by(f"experiment={experiment}") for _ in range(2)}) == 1


@pytest.mark.parametrize(
    ("mood", "outcome"),
    [
        ("fails", "failed"),
        ("throws", "failed"),
        ("garbage", "nonsense"),
        ("strange", "nonsense"),
        ("refuses", "nonsense"),
    ],
)
def test_what_a_canary_fails_to_answer_the_stable_version_answers(trial: Trial, mood: str, outcome: str) -> None:
    trial.canary(MOODY)
    trial.mood(mood)
    asked = counted("thale_model_requests_total", MOODY, outcome=outcome)
    replaced = counted("thale_model_fallbacks_total", MOODY, reason=outcome)
    stable = counted("thale_model_requests_total", "1.0.0", outcome="ok")
    plates = counted("thale_output_plates_total", "1.0.0")
    assert trial.answered_by() == "1.0.0"
    assert counted("thale_model_requests_total", MOODY, outcome=outcome) == asked + 1
    assert counted("thale_model_fallbacks_total", MOODY, reason=outcome) == replaced + 1
    assert counted("thale_model_requests_total", "1.0.0", outcome="ok") == stable + 1
    assert counted("thale_output_plates_total", "1.0.0") == plates + 1


def test_a_canary_that_is_too_slow_leaves_the_stable_version_time_to_answer(trial: Trial) -> None:
    trial.canary(MOODY)
    trial.mood("waits")
    late = counted("thale_model_fallbacks_total", MOODY, reason="late")
    assert trial.answered_by("timeout_s=12") == "1.0.0"
    assert counted("thale_model_fallbacks_total", MOODY, reason="late") == late + 1


def test_a_canary_that_is_not_there_is_made_up_for(trial: Trial) -> None:
    away = trial.versions[GOOD].model_copy(update={"url": "http://127.0.0.1:9"})
    trial.canary(GOOD, versions={**trial.base.models["plate-seg"].versions, GOOD: away})
    unavailable = counted("thale_model_fallbacks_total", GOOD, reason="unavailable")
    assert trial.answered_by() == "1.0.0"
    assert counted("thale_model_fallbacks_total", GOOD, reason="unavailable") == unavailable + 1


def test_a_bad_image_is_refused_when_the_stable_version_finds_it_bad_too(trial: Trial) -> None:
    trial.canary(GOOD)
    refused = counted("thale_model_requests_total", GOOD, outcome="refused")
    reply = trial.facade.post("/v1/segment", sample_images.jpeg()[:-2000])
    assert (reply.status, reply.problem) == (422, "damaged-image")
    assert counted("thale_model_requests_total", GOOD, outcome="refused") == refused + 1


def test_who_pins_a_version_hears_its_own_voice(trial: Trial) -> None:
    trial.canary(GOOD)
    trial.mood("fails")
    assert trial.facade.phenotype(PLATE, f"model=plate-seg@{MOODY}").problem == "model-failed"
    trial.mood("garbage")
    assert trial.facade.phenotype(PLATE, f"model=plate-seg@{MOODY}").problem == "model-nonsense"
    assert trial.answered_by("model=plate-seg@1.0.0") == "1.0.0"
    assert trial.answered_by("model=plate-seg") == GOOD


def test_one_model_alone_falls_back_as_well(trial: Trial) -> None:
    trial.canary(MOODY)
    for mood in ("fails", "garbage"):
        trial.mood(mood)
        assert trial.segmented_by() == "1.0.0"


def test_a_batch_is_answered_by_one_version(trial: Trial) -> None:
    trial.canary(MOODY)
    image = {"name": "image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 0}}
    body = b"".join(len(plate).to_bytes(4, "little") + plate for plate in (PLATE, PLATE))
    image["parameters"] = {"binary_data_size": len(body)}
    head = json.dumps({"inputs": [image], "outputs": [{"name": "meta"}]}).encode()
    for mood, version in (("good", MOODY), ("garbage", "1.0.0")):
        trial.mood(mood)
        reply = trial.facade.post(
            "/v2/models/plate-seg/infer", head + body, Inference_Header_Content_Length=str(len(head))
        )
        assert reply.status == 200, reply.body
        assert reply.json["model_version"] == version
        told = [json.loads(meta)["model"]["version"] for meta in reply.json["outputs"][0]["data"]]
        assert told == [version, version]


def test_a_canary_that_only_fails_is_left_alone_until_it_has_healed(trial: Trial) -> None:
    trial.canary(MOODY)
    trial.mood("fails")
    asked = counted("thale_model_requests_total", MOODY, outcome="failed")
    not_asked = counted("thale_model_fallbacks_total", MOODY, reason="open")
    while counted("thale_model_breaker_open", MOODY) == 0:
        assert trial.segmented_by() == "1.0.0"
    assert counted("thale_model_requests_total", MOODY, outcome="failed") == asked + trial.settings.breaker_failures
    eventually(
        lambda: (
            trial.segmented_by() == "1.0.0" and counted("thale_model_fallbacks_total", MOODY, reason="open") > not_asked
        )
    )
    trial.mood("good")
    eventually(lambda: trial.segmented_by() == MOODY)
    assert counted("thale_model_breaker_open", MOODY) == 0


def test_a_breaker_is_forgotten_with_the_trial(trial: Trial) -> None:
    trial.canary(MOODY)
    trial.mood("fails")
    while counted("thale_model_breaker_open", MOODY) == 0:
        assert trial.segmented_by() == "1.0.0"
    trial.release()
    assert counted("thale_model_breaker_open", MOODY) == 0


def test_a_shadow_is_asked_when_the_user_has_the_answer_and_compared(trial: Trial) -> None:
    trial.release(shadow=MOODY)
    trial.mood("waits")
    before = counted("thale_shadow_requests_total", MOODY, outcome="ok")
    questions = counted("thale_model_requests_total", MOODY, outcome="ok")
    assert trial.answered_by("mm_per_px=0.25") == "1.0.0"  # while the shadow has still to begin
    assert counted("thale_shadow_requests_total", MOODY, outcome="ok") == before
    trial.mood("good")
    eventually(lambda: counted("thale_shadow_requests_total", MOODY, outcome="ok") == before + 1)
    assert counted("thale_model_requests_total", MOODY, outcome="ok") == questions
    [pair] = (trial.settings.replay_path / "plate-seg" / MOODY).iterdir()
    assert (pair / "image").read_bytes() == PLATE
    assert json.loads((pair / "pair.json").read_text())["shadow"]["version"] == MOODY


@pytest.mark.parametrize(("mood", "outcome"), [("fails", "failed"), ("garbage", "nonsense"), ("refuses", "nonsense")])
def test_a_bad_shadow_is_counted_and_nobody_else_hears_of_it(trial: Trial, mood: str, outcome: str) -> None:
    trial.release(shadow=MOODY)
    trial.mood(mood)
    before = counted("thale_shadow_requests_total", MOODY, outcome=outcome)
    assert trial.answered_by() == "1.0.0"
    eventually(lambda: counted("thale_shadow_requests_total", MOODY, outcome=outcome) == before + 1)


def test_copies_are_dropped_while_users_fill_more_than_half_of_the_places(trial: Trial) -> None:
    trial.release(shadow=MOODY)
    trial.mood("waits")
    replies: list[Reply] = []

    def hold_a_place() -> None:
        replies.append(trial.facade.phenotype(PLATE, f"model=plate-seg@{MOODY}"))

    threads = [threading.Thread(target=hold_a_place) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = counted("thale_shadow_requests_total", MOODY, outcome="dropped")
    eventually(
        lambda: (
            trial.answered_by() == "1.0.0" and counted("thale_shadow_requests_total", MOODY, outcome="dropped") > before
        )
    )
    trial.mood("good")
    for thread in threads:
        thread.join()
    assert [reply.status for reply in replies] == [200, 200, 200]


def test_a_stable_version_that_is_away_is_told_at_once_and_asked_again_soon(trial: Trial, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    elsewhere = {"model_url": "http://127.0.0.1:9", "record_path": record, "stable_rest_s": 0.5}
    record.write_text(trial.base.model_dump_json())
    with running_facade(trial.settings.model_copy(update=elsewhere)) as facade:
        while counted("thale_model_breaker_open", "1.0.0") == 0:
            assert facade.post("/v1/segment", PLATE).problem == "model-unavailable"
        asked = counted("thale_model_retries_total", "1.0.0")
        reply = facade.post("/v1/segment", PLATE)
        assert (reply.problem, reply.headers["retry-after"]) == ("model-unavailable", "2")
        assert counted("thale_model_retries_total", "1.0.0") == asked
        release = trial.base.models["plate-seg"]
        back = release.versions["1.0.0"].model_copy(update={"url": trial.settings.model_url})
        healed = release.model_copy(update={"versions": {"1.0.0": back}})
        write_atomically(record, ReleaseRecord(models={"plate-seg": healed}).model_dump_json().encode())
        eventually(lambda: facade.post("/v1/segment", PLATE).status == 200)
        assert counted("thale_model_breaker_open", "1.0.0") == 0
