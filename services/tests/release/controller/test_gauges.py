import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from tests.support.sample_releases import ANNA, make_release, make_version
from thale.release.controller.daemon import serve_metrics
from thale.release.controller.gauges import RolloutGauges, RolloutProgress
from thale.release.lifecycle import transitions
from thale.telemetry import controller_metrics
from thale.telemetry.labels import VERSION


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_serve_metrics_exports_controller_metrics_only() -> None:
    RolloutGauges().record_poll(is_leader=True, at=datetime(2026, 11, 21, tzinfo=UTC))
    with serve_metrics("127.0.0.1", 0, lambda: True) as port:
        status, text = get(port, "/metrics")
        assert (status, "thale_release_leader 1.0" in text, "thale_facade" in text) == (200, True, False)
        assert get(port, "/elsewhere")[0] == 404


@pytest.mark.parametrize(("is_alive", "status"), [(True, 200), (False, 503)])
def test_health_endpoint_reports_liveness(is_alive: bool, status: int) -> None:
    with serve_metrics("127.0.0.1", 0, lambda: is_alive) as port:
        assert get(port, "/health/live")[0] == status


def test_serve_metrics_raises_when_the_port_is_in_use() -> None:
    with (
        serve_metrics("127.0.0.1", 0, lambda: True) as port,
        pytest.raises(OSError, match="in use"),
        serve_metrics("127.0.0.1", port, lambda: True),
    ):
        pass


def test_gauges_are_removed_with_their_version() -> None:
    gauges = RolloutGauges()
    release = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    with serve_metrics("127.0.0.1", 0, lambda: True) as port:

        def weights() -> set[str]:
            lines = get(port, "/metrics")[1].splitlines()
            return {line for line in lines if line.startswith(("thale_release_weight", "thale_release_s"))}

        gauges.update("plate-seg", RolloutProgress(release, step_age_s=3))
        assert weights() == {
            'thale_release_weight_ratio{model="plate-seg",version="1.0.0"} 0.95',
            'thale_release_weight_ratio{model="plate-seg",version="1.1.0"} 0.05',
            'thale_release_step_seconds{model="plate-seg",version="1.1.0"} 3.0',
            'thale_release_stuck{model="plate-seg",version="1.1.0"} 0.0',
        }
        gauges.update("plate-seg", RolloutProgress(transitions.promote(release, ANNA)))
        assert weights() == {'thale_release_weight_ratio{model="plate-seg",version="1.1.0"} 1.0'}
        gauges.clear()
        assert weights() == set()


def test_change_counters_start_at_zero_and_expire() -> None:
    gauges = RolloutGauges()
    for patch in range(1, 40):
        release = transitions.start_canary(make_release(), make_version(f"1.0.{patch}"), ANNA)
        gauges.update("plate-seg", RolloutProgress(release))
    gauges.clear()
    [changes] = [
        family for family in controller_metrics.CONTROLLER_REGISTRY.collect() if family.name == "thale_release_changes"
    ]
    values = {sample.labels["version"]: sample.value for sample in changes.samples if sample.name.endswith("_total")}
    assert values["1.0.39"] == 0
    assert len(values) <= VERSION.max_values
