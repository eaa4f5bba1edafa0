"""Health, model and problem routes of a running facade."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.support import sample_images
from tests.support.running_facade import Facade, running_facade
from tests.support.torchserve_process import TorchServeProcess
from thale.facade.settings import FacadeSettings
from thale.schemas import ReleaseState

pytestmark = pytest.mark.integration


def test_facade_is_ready_when_every_model_has_a_worker(facade: Facade) -> None:
    assert facade.get("/health/live").json == {"status": "live"}
    # The answer to the first request may come before the first probe of the models on a busy machine.
    wait_for(lambda: facade.get("/health/ready").status == 200)
    assert facade.get("/health/ready").json == {"status": "ready", "missing": []}


def test_models_route_returns_cards_state_and_traffic(facade: Facade) -> None:
    landmarks, segmentation = facade.get("/v1/models").json
    assert (landmarks["name"], segmentation["name"]) == ("plate-landmarks", "plate-seg")
    [version] = facade.get("/v1/models/plate-seg").json["versions"]
    assert (version["state"], version["default"], version["traffic_percent"]) == ("ready", True, 100.0)
    assert version["card"]["classes"][0] == "background"
    assert facade.get("/v1/models/none").problem == "unknown-model"


def test_readiness_names_models_without_worker(settings: FacadeSettings, tmp_path: Path) -> None:
    release_state = ReleaseState.model_validate_json(settings.release_state_path.read_bytes())
    renamed_state = release_state.model_dump_json().replace('"1.0.0"', '"1.0.1"')
    state_path = tmp_path / "release-state.json"
    state_path.write_text(renamed_state)
    with running_facade(settings.model_copy(update={"release_state_path": state_path})) as facade:
        reply = facade.get("/health/ready")
        assert reply.status == 503
        assert "plate-seg 1.0.1 has no ready worker" in reply.json["missing"]
        assert facade.get("/v2/health/ready").json == {"ready": False}
        assert facade.get("/v2/models/plate-seg/ready").status == 503
        assert facade.phenotype(b"\x89PNG\r\n\x1a\n" + bytes(8)).status == 422


def test_facade_is_not_ready_without_a_model_server(settings: FacadeSettings) -> None:
    unreachable = {"model_url": "http://127.0.0.1:9", "management_url": "http://127.0.0.1:9"}
    with running_facade(settings.model_copy(update=unreachable)) as facade:
        assert facade.get("/health/live").status == 200
        assert facade.get("/health/ready").status == 503
        assert facade.get("/v1/models").json[0]["versions"][0]["state"] == "unavailable"
        reply = facade.phenotype(sample_images.png())
        assert (reply.status, reply.problem) == (503, "model-unavailable")


def test_models_are_unavailable_without_release_state(
    settings: FacadeSettings, torchserve: TorchServeProcess, tmp_path: Path
) -> None:
    state_path = tmp_path / "release-state.json"
    with running_facade(settings.model_copy(update={"release_state_path": state_path})) as facade:
        assert facade.get("/v1/models").problem == "model-unavailable"
        assert facade.get("/health/ready").status == 503
        state_path.write_bytes(settings.release_state_path.read_bytes())
        assert facade.get("/v1/models").status == 200


def test_ready_workers_gauge_is_set(facade: Facade) -> None:
    facade.get("/health/ready")
    assert REGISTRY.get_sample_value("thale_model_ready_workers", {"model": "plate-seg", "version": "1.0.0"}) == 1


@pytest.mark.slow
def test_stopped_header_readers_make_the_facade_not_ready(settings: FacadeSettings) -> None:
    with running_facade(settings) as facade:
        wait_for(lambda: facade.get("/health/ready").status == 200)
        for worker in facade.app.state.pipeline.header_pool._workers:
            os.kill(worker._process.pid, signal.SIGSTOP)
        reason = "the image header reader does not respond within 5 s"
        wait_for(lambda: reason in facade.get("/health/ready").json["missing"])
        assert facade.get("/health/live").status == 200
        wait_for(lambda: facade.get("/health/ready").status == 200)  # the stopped processes are killed and replaced
        assert facade.phenotype(sample_images.png(), "mm_per_px=0.25").status == 200


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("the condition did not become true within 60 s")


def test_problem_route_describes_each_code(facade: Facade) -> None:
    description = facade.get("/problems/scale").json
    assert (description["type"], description["status"]) == ("/problems/scale", 422)
    assert facade.get("/problems/none").problem == "parameter"


def test_openapi_document_needs_no_network(facade: Facade) -> None:
    schema = facade.get("/openapi.json").json
    body = schema["paths"]["/v1/phenotype"]["post"]["requestBody"]["content"]
    assert {"application/octet-stream", "multipart/form-data"} == set(body)
    media_types = schema["paths"]["/v1/phenotype"]["post"]["responses"]["200"]["content"]
    plantcv_type = "application/vnd.plantcv+json"
    assert {"application/json", "image/png", "application/rsml+xml", "text/csv", plantcv_type} == set(media_types)
    assert media_types[plantcv_type]["schema"] == {"type": "object"}
    assert "Phenotype" in schema["components"]["schemas"]
    assert facade.get("/").json["contract"] == "/openapi.json"
