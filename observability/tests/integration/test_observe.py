"""`make observe`: the real programs watch a thale that says it runs, and are gone afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from observability.observe import Observers, Programs, observing
from thale._version import __version__
from thale.errors import LaptopError
from thale.local.data_dir import Home, Running
from thale.local.ports import Addresses
from thale.telemetry.metrics import METRICS

WITHIN_S = 120.0
NOBODY = "http://127.0.0.1:9"


@contextmanager
def metrics(registry: CollectorRegistry) -> Iterator[str]:
    """Tell a registry's metrics on a free port."""
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def thale_on(home: Home) -> Iterator[None]:
    """Tell what a facade and a TorchServe tell, and say in the home where."""
    with ExitStack() as stack:
        addresses = Addresses(
            url=NOBODY,
            metrics_url=stack.enter_context(metrics(METRICS.registry)),
            model_url=NOBODY,
            management_url=NOBODY,
            model_metrics_url=stack.enter_context(metrics(CollectorRegistry())),
        )
        stack.enter_context(home.announce(Running.here(addresses, __version__, lasting=True)))
        yield


@contextmanager
def watching(home: Home) -> Iterator[Observers]:
    closing = threading.Event()
    with observing(home, lambda _: None, watcher_port=9) as observers:
        following = threading.Thread(target=observers.watch, args=(home, 9, closing))
        following.start()
        try:
            yield observers
        finally:
            closing.set()
            following.join()


def ask(url: str, **parameters: str) -> Any:
    with urlopen(f"{url}?{urlencode(parameters)}", timeout=10) as answer:
        return json.load(answer)


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            if what():
                return
        except (OSError, HTTPException):
            pass  # it has not begun to listen
        assert time.monotonic() < until
        time.sleep(0.2)


def up(observers: Observers) -> dict[str, str]:
    """Return the health of each job's one target."""
    active = ask(f"{observers.prometheus_url}/api/v1/targets")["data"]["activeTargets"]
    return {target["labels"]["job"]: target["health"] for target in active if target["labels"]["job"] != "node"}


def firing(observers: Observers, name: str) -> bool:
    return bool(
        ask(f"{observers.prometheus_url}/api/v1/query", query=f'ALERTS{{alertname="{name}"}}')["data"]["result"]
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    if shutil.which("prometheus") is None or shutil.which("amtool") is None:
        pytest.skip("apt-get install --no-install-recommends prometheus prometheus-alertmanager (`make prometheus`)")
    return Home(tmp_path)


def test_a_thale_is_watched_missed_when_it_is_gone_and_found_where_it_comes_back(home: Home) -> None:
    with ExitStack() as first:
        first.enter_context(thale_on(home))
        with watching(home) as observers:
            wait_for(lambda: up(observers) == {"thale-facade": "up", "thale-models": "up"})
            groups = ask(f"{observers.prometheus_url}/api/v1/rules")["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert len(rules) > 80
            wait_for(
                lambda: bool(ask(f"{observers.prometheus_url}/api/v1/alertmanagers")["data"]["activeAlertmanagers"])
            )
            assert ask(f"{observers.alertmanager_url}/api/v2/status")["cluster"]["status"] == "disabled"
            first.close()
            wait_for(lambda: up(observers) == {"thale-facade": "down", "thale-models": "down"})
            wait_for(lambda: firing(observers, "ThaleNoFacade"))
            with thale_on(home):
                wait_for(lambda: up(observers) == {"thale-facade": "up", "thale-models": "up"})
                rules = ask(f"{observers.prometheus_url}/api/v1/rules")["data"]["groups"]
                assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}


def test_ending_it_leaves_nothing(home: Home, tmp_path: Path) -> None:
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    with thale_on(home):
        command = [sys.executable, "-m", "observability.observe", "--home", str(home.folder), "--watcher-port", "9"]
        environment = {**os.environ, "TMPDIR": str(rooms), "COLUMNS": "200"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2]
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            address = first.split()[-1].removesuffix("/alerts")
            wait_for(lambda: urlopen(f"{address}/-/ready", timeout=5).status == 200)
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read().splitlines()[-1] == "stopped"
        assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urlopen(address, timeout=5)
    assert list(rooms.iterdir()) == []


def test_without_a_thale_it_says_how_to_start_one(home: Home) -> None:
    with pytest.raises(LaptopError, match=r"no thale runs on .*`make run`"), observing(home, print):
        pass


def test_without_the_programs_it_says_in_a_line_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LaptopError, match="prometheus and alertmanager") as told:
        Programs.find()
    assert "apt-get install" in str(told.value)
    assert "\n" not in str(told.value)
