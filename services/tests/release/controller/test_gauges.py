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


def test_the_watcher_s_port_tells_its_metrics_and_none_of_a_facade() -> None:
    RolloutGauges().record_poll(is_leader=True, at=datetime(2026, 11, 21, tzinfo=UTC))
    with serve_metrics("127.0.0.1", 0, lambda: True) as port:
        status, text = get(port, "/metrics")
        assert (status, "thale_release_leader 1.0" in text, "thale_facade" in text) == (200, True, False)
        assert get(port, "/elsewhere")[0] == 404


@pytest.mark.parametrize(("alive", "status"), [(True, 200), (False, 503)])
def test_health_says_whether_the_watcher_still_looks(alive: bool, status: int) -> None:
    with serve_metrics("127.0.0.1", 0, lambda: alive) as port:
        assert get(port, "/health/live")[0] == status


def test_a_port_that_is_taken_is_told() -> None:
    with (
        serve_metrics("127.0.0.1", 0, lambda: True) as port,
        pytest.raises(OSError, match="in use"),
        serve_metrics("127.0.0.1", port, lambda: True),
    ):
        pass


def test_gauges_go_with_their_version() -> None:
    board = RolloutGauges()
    trial = transitions.start_canary(make_release(), make_version("1.1.0"), ANNA)
    with serve_metrics("127.0.0.1", 0, lambda: True) as port:

        def weights() -> set[str]:
            lines = get(port, "/metrics")[1].splitlines()
            return {line for line in lines if line.startswith(("thale_release_weight", "thale_release_s"))}

        board.update("plate-seg", RolloutProgress(trial, step_age_s=3))
        assert weights() == {
            'thale_release_weight_ratio{model="plate-seg",version="1.0.0"} 0.95',
            'thale_release_weight_ratio{model="plate-seg",version="1.1.0"} 0.05',
            'thale_release_step_seconds{model="plate-seg",version="1.1.0"} 3.0',
            'thale_release_stuck{model="plate-seg",version="1.1.0"} 0.0',
        }
        board.update("plate-seg", RolloutProgress(transitions.promote(trial, ANNA)))
        assert weights() == {'thale_release_weight_ratio{model="plate-seg",version="1.1.0"} 1.0'}
        board.clear()
        assert weights() == set()


def test_changes_are_told_from_nothing_on_and_a_hundred_releases_leave_no_hundred_series() -> None:
    board = RolloutGauges()
    for patch in range(1, 40):
        trial = transitions.start_canary(make_release(), make_version(f"1.0.{patch}"), ANNA)
        board.update("plate-seg", RolloutProgress(trial))
    board.clear()
    [changes] = [family for family in controller_metrics.WATCHER.collect() if family.name == "thale_release_changes"]
    told = {sample.labels["version"]: sample.value for sample in changes.samples if sample.name.endswith("_total")}
    assert told["1.0.39"] == 0
    assert len(told) <= VERSION.max_values
