"""`thale experiment push` from a running facade to a BrAPI server that validates requests by the schemas of BrAPI."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.brapi_experiment import fill_store
from tests.support.facade_without_models import settings_of
from tests.support.fake_brapi_server import KEYS, FakeBrapiServer, run_fake_brapi_server
from tests.support.running_facade import Facade, running_facade
from tests.support.sample_experiments import measurement_of, new_image
from tests.support.sample_phenotypes import seedling
from thale.cli.app import app
from thale.client import Client
from thale.client import brapi_push as push_module
from thale.client.brapi_push import BrapiPush
from thale.client.brapi_server import BrapiServer
from thale.errors import ParameterError, ServerUnreachableError, UnexpectedResponseError
from thale.experiments.address import StoreAddress
from thale.experiments.store import ExperimentStore

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("push")


@pytest.fixture(scope="module")
def facade(folder: Path) -> Iterator[Facade]:
    fill_store(folder / "experiments")
    with running_facade(settings_of(folder, experiments_path=folder / "experiments")) as facade:
        yield facade


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBrapiServer]:
    monkeypatch.setattr(push_module, "_BATCH", 10)
    with run_fake_brapi_server() as server:
        monkeypatch.setenv("THALE_BRAPI_TOKEN", server.token)
        yield server
        assert server.violations == []


def push(facade: Facade, target: FakeBrapiServer) -> Result:
    return CliRunner().invoke(
        app, ["experiment", "push", "Salt 1", "--server", facade.url, "--brapi", target.url], catch_exceptions=False
    )


def push_directly(facade: Facade, target: FakeBrapiServer) -> None:
    """Push without waiting between the attempts."""
    with Client(facade.url) as client:
        BrapiPush(client.experiments, BrapiServer(target.url, target.token), lambda _: None).run("Salt 1")


def references(target: FakeBrapiServer, path: str) -> list[str]:
    return [item["externalReferences"][0]["referenceId"] for item in target.stored[path]]


def assert_complete(facade: Facade, target: FakeBrapiServer) -> None:
    """Assert that the server has each object with a value once, and that references lead to its own objects."""
    expected: dict[str, list[Any]] = {}
    study = target.stored["studies"][0]["externalReferences"][0]["referenceId"]
    for path, key in KEYS.items():
        items = facade.get(f"/brapi/v2/{path}?studyDbId={study}").json["result"]["data"]
        expected[path] = [item for item in items if path != "observations" or "value" in item]
        assert sorted(references(target, path)) == sorted(item[key] for item in expected[path])
    units = {item["observationUnitDbId"]: item for item in target.stored["observationunits"]}
    for unit in units.values():
        for level in unit["observationUnitPosition"]["observationLevelRelationships"]:
            assert (
                level["levelName"] != "plate"
                or level["levelCode"] == units[level["observationUnitDbId"]]["observationUnitName"]
            )
    values = {item["observationDbId"]: item for item in expected["observations"]}
    for item in target.stored["observations"]:
        source = values[item["externalReferences"][0]["referenceId"]]
        assert item["value"] == source["value"]
        assert units[item["observationUnitDbId"]]["observationUnitName"] == source["observationUnitName"]


def test_push_sends_everything_once(facade: Facade, target: FakeBrapiServer) -> None:
    first = push(facade, target)
    assert first.exit_code == 0, first.output
    assert "observationunits: 7 created, 0 there already" in first.output
    assert_complete(facade, target)
    stored, posts = {path: len(items) for path, items in target.stored.items()}, len(target.posts)
    assert max(count for _, count in target.posts) == 10
    second = push(facade, target)
    assert f"observations: 0 created, {stored['observations']} there already" in second.output
    assert ({path: len(items) for path, items in target.stored.items()}, len(target.posts)) == (stored, posts)


def test_push_sends_new_observations_only(facade: Facade, target: FakeBrapiServer, folder: Path) -> None:
    push(facade, target)
    before, units = len(target.stored["observations"]), len(target.stored["observationunits"])
    store = ExperimentStore.open(StoreAddress(folder / "experiments"))
    store.images.add("Salt 1", new_image("p9.png"), measurement_of(new_image("p9.png"), seedling(1), version="9"))
    store.close()
    result = push(facade, target)
    assert f"observationunits: 2 created, {units} there already" in result.output
    assert f"{before} there already" in result.output
    assert_complete(facade, target)


@pytest.mark.parametrize("faults", [["lost"], [503], [429], [500, "lost", 503], ["lost"] * 12])
def test_push_continues_after_faults(facade: Facade, target: FakeBrapiServer, faults: list[int | str]) -> None:
    target.faults = list(faults)
    push_directly(facade, target)
    assert target.faults == []
    assert_complete(facade, target)


def test_push_ends_without_progress(facade: Facade, target: FakeBrapiServer) -> None:
    target.faults = [503] * 50
    with pytest.raises(ServerUnreachableError, match="503"):
        push_directly(facade, target)
    assert target.posts == [("studies", 1)] * 5


def test_refused_requests_name_the_remedy(facade: Facade, target: FakeBrapiServer) -> None:
    target.faults = [400]
    with pytest.raises(UnexpectedResponseError, match=r"returned 400.*refused"):
        push_directly(facade, target)
    target.writable = ("studies",)
    with pytest.raises(UnexpectedResponseError, match="variables, observationunits, observations"):
        push_directly(facade, target)
    target.token = "another"
    with pytest.raises(UnexpectedResponseError, match=r"401.*THALE_BRAPI_TOKEN"):
        push_with_token(facade, target, "secret")
    assert target.stored["studies"] == []


def push_with_token(facade: Facade, target: FakeBrapiServer, token: str) -> None:
    with Client(facade.url) as client:
        BrapiPush(client.experiments, BrapiServer(target.url, token)).run("Salt 1")


def test_server_without_brapi_is_refused(facade: Facade) -> None:
    with Client(facade.url) as client, pytest.raises(UnexpectedResponseError, match="does not accept"):
        BrapiPush(client.experiments, BrapiServer(facade.url, "")).run("Salt 1")


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://example.org", "example.org", "https://user@example.org", "https://h/?a=1", ""]
)
def test_unsafe_addresses_are_refused(url: str) -> None:
    with pytest.raises(ParameterError):
        BrapiServer(url, "secret")


def test_address_has_the_path_of_brapi() -> None:
    for url in ("https://h", "https://h/", "https://h/brapi/v2", "https://h/brapi/v2/"):
        assert BrapiServer(url, "").url == "https://h/brapi/v2"
