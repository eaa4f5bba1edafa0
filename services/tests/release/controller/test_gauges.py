import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from tests.support.sample_releases import ANNA, release, version
from thale.release.controller.daemon import served
from thale.release.controller.gauges import Board, Standing
from thale.release.lifecycle import transitions
from thale.telemetry import controller_metrics
from thale.telemetry.labels import VERSION


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_watcher_s_port_tells_its_metrics_and_none_of_a_facade() -> None:
    Board().polled(leads=True, at=datetime(2026, 11, 21, tzinfo=UTC))
    with served("127.0.0.1", 0, lambda: True) as port:
        status, text = asked(port, "/metrics")
        assert (status, "thale_release_leader 1.0" in text, "thale_facade" in text) == (200, True, False)
        assert asked(port, "/elsewhere")[0] == 404


@pytest.mark.parametrize(("alive", "status"), [(True, 200), (False, 503)])
def test_health_says_whether_the_watcher_still_looks(alive: bool, status: int) -> None:
    with served("127.0.0.1", 0, lambda: alive) as port:
        assert asked(port, "/health/live")[0] == status


def test_a_port_that_is_taken_is_told() -> None:
    with (
        served("127.0.0.1", 0, lambda: True) as port,
        pytest.raises(OSError, match="in use"),
        served("127.0.0.1", port, lambda: True),
    ):
        pass


def test_gauges_go_with_their_version() -> None:
    board = Board()
    trial = transitions.canary(release(), version("1.1.0"), ANNA)
    with served("127.0.0.1", 0, lambda: True) as port:

        def weights() -> set[str]:
            lines = asked(port, "/metrics")[1].splitlines()
            return {line for line in lines if line.startswith(("thale_release_weight", "thale_release_s"))}

        board.show("plate-seg", Standing(trial, step_s=3))
        assert weights() == {
            'thale_release_weight_percent{model="plate-seg",version="1.0.0"} 95.0',
            'thale_release_weight_percent{model="plate-seg",version="1.1.0"} 5.0',
            'thale_release_step_seconds{model="plate-seg",version="1.1.0"} 3.0',
            'thale_release_stuck{model="plate-seg",version="1.1.0"} 0.0',
        }
        board.show("plate-seg", Standing(transitions.promote(trial, ANNA)))
        assert weights() == {'thale_release_weight_percent{model="plate-seg",version="1.1.0"} 100.0'}
        board.clear()
        assert weights() == set()


def test_changes_are_told_from_nothing_on_and_a_hundred_releases_leave_no_hundred_series() -> None:
    board = Board()
    for patch in range(1, 40):
        trial = transitions.canary(release(), version(f"1.0.{patch}"), ANNA)
        board.show("plate-seg", Standing(trial))
    board.clear()
    [changes] = [family for family in controller_metrics.WATCHER.collect() if family.name == "thale_release_changes"]
    told = {sample.labels["version"]: sample.value for sample in changes.samples if sample.name.endswith("_total")}
    assert told["1.0.39"] == 0
    assert len(told) <= VERSION.most
