"""The route /v1/rollouts of a running facade, with the release state and the checkpoint of a real controller."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controller_harness import CANARY, STABLE, ControllerHarness, count_responses
from tests.support.facade_without_models import settings_of
from tests.support.fake_facade import MODEL, run_fake_facade
from tests.support.running_facade import Facade, running_facade
from thale.facade.settings import FacadeSettings
from thale.release.lifecycle import transitions
from thale.release.targets.update import author_now

pytestmark = pytest.mark.integration


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ControllerHarness]:
    with asyncio.Runner() as runner, run_fake_facade() as facade:
        yield ControllerHarness(tmp_path, [facade], runner)


@pytest.fixture
def settings(harness: ControllerHarness) -> FacadeSettings:
    state = (harness.folder / "release-state.json").read_bytes()
    settings = settings_of(harness.folder, controller_checkpoint_path=harness.folder / "checkpoint.json")
    (harness.folder / "release-state.json").write_bytes(state)
    return settings


def test_rollouts_have_counts_and_verdict(harness: ControllerHarness, settings: FacadeSettings) -> None:
    count_responses(harness.facades[0], canary=70, stable=900)
    harness.facades[0].count_fallbacks(CANARY, STABLE, 1)
    harness.poll()
    with running_facade(settings) as facade:
        rollouts = facade.get("/v1/rollouts").json
        [model] = rollouts["models"]
        assert (model["canary"], model["weight_percent"], model["steps"]) == (CANARY, 5, [5, 25, 50, 100])
        assert model["canary_counts"] == {"requests": 71, "errors": 1, "fallbacks": 1}
        assert model["stable_counts"]["requests"] == 901
        assert model["verdict"]["decision"] == "inconclusive"
        assert model["verdict"]["reasons"]
        assert (rollouts["leader"], rollouts["controller_source"]) == ("controller", "checkpoint")
        assert model["unused_versions"] is None
        assert [change["what"] for change in rollouts["history"][MODEL]] == ["canary"]
        harness.apply_manually(lambda release: transitions.step(release, author_now("ben", "by hand")))
        stepped = wait_for_weight(facade, 25)
        assert (stepped["verdict"], stepped["canary_counts"]) == (None, None)  # the report is about the step before


def wait_for_weight(facade: Facade, weight: float) -> dict[str, object]:
    """Return the status of the model as soon as the facade has read its new weight."""
    for _ in range(200):
        model: dict[str, object] = facade.get("/v1/rollouts").json["models"][0]
        if model["weight_percent"] == weight:
            return model
        time.sleep(0.05)
    raise AssertionError(f"the weight is not {weight:g} %")


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"leader": 1}', b"\xff" * 100, bytes(5 * 2**20)])
def test_rollouts_survive_a_bad_checkpoint(
    harness: ControllerHarness, settings: FacadeSettings, content: bytes | None
) -> None:
    (harness.folder / "checkpoint.json").unlink()
    if content is not None:
        (harness.folder / "checkpoint.json").write_bytes(content)
    with running_facade(settings) as facade:
        rollouts = facade.get("/v1/rollouts").json
        assert (rollouts["leader"], rollouts["models"][0]["canary"]) == (None, CANARY)
        harness.poll()  # the controller writes the next checkpoint
        assert facade.get("/v1/rollouts").json["leader"] == "controller"


def test_rollouts_name_a_missing_source(harness: ControllerHarness, settings: FacadeSettings) -> None:
    with running_facade(settings.model_copy(update={"controller_checkpoint_path": None})) as facade:
        rollouts = facade.get("/v1/rollouts").json
    assert (rollouts["controller_source"], rollouts["leader"], rollouts["release_source"]) == ("none", None, "file")
    assert rollouts["models"][0]["verdict"] is None
