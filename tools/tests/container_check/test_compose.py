"""compose.yaml, held against its schema and against what it starts."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from thale.facade.settings import Settings

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose.yaml"
OURS = {"facade": "services/Dockerfile", "model-server": "model-server/Dockerfile", "models": "model-server/Dockerfile"}
THEIRS = ("grafana", "prometheus")

Service = dict[str, Any]


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    told: dict[str, Service] = yaml.safe_load(COMPOSE.read_text())["services"]
    return told


def test_it_is_what_composes_schema_allows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout


def test_there_are_the_facade_the_model_server_prometheus_and_grafana(services: dict[str, Service]) -> None:
    assert services.keys() == {*OURS, *THEIRS}
    assert {name: services[name]["build"]["dockerfile"] for name in OURS} == OURS


def test_other_peoples_images_are_named_by_version(services: dict[str, Service]) -> None:
    for name in THEIRS:
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", services[name]["image"])


def test_ports_are_open_on_this_machine_alone(services: dict[str, Service]) -> None:
    published = {name: port for name, service in services.items() for port in service.get("ports", [])}
    assert published.keys() == {"facade", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in published.values())


def test_containers_can_do_and_write_as_little_as_in_a_cluster(services: dict[str, Service]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")
        assert "user" not in service, "the images say who"


def test_every_service_that_lasts_tells_its_health(services: dict[str, Service]) -> None:
    for name in THEIRS:
        assert services[name]["healthcheck"]["test"]
    for name in ("facade", "model-server"):
        assert "HEALTHCHECK" in (ROOT / OURS[name]).read_text()
        assert "healthcheck" not in services[name], "the image's own is asked"


def test_torchserve_is_reached_from_within_alone(services: dict[str, Service]) -> None:
    networks = yaml.safe_load(COMPOSE.read_text())["networks"]
    assert services["model-server"]["networks"] == ["models"]
    assert networks["models"] == {"internal": True}
    assert not any("API" in name for name in services["model-server"]["environment"]), "no registering over HTTP"


def test_the_facades_settings_are_settings(services: dict[str, Service]) -> None:
    told = services["facade"]["environment"]
    assert {name.removeprefix("THALE_").lower() for name in told} <= Settings.model_fields.keys()
    assert all(name.startswith("THALE_") for name in told)


def test_folders_that_are_mounted_are_there(services: dict[str, Service]) -> None:
    mounts = [volume for service in services.values() for volume in service["volumes"] if isinstance(volume, str)]
    folders = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert folders
    assert all((ROOT / folder).exists() for folder in folders)
    assert all(mount.endswith(":ro") for mount in mounts if mount.startswith("./"))


def test_prometheus_scrapes_services_at_their_ports_under_the_names_that_rules_know(
    services: dict[str, Service],
) -> None:
    scrapes = yaml.safe_load((ROOT / "observability" / "prometheus" / "compose.yaml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0] for job in scrapes}
    assert {job: told["targets"] for job, told in targets.items()} == {
        "thale-facade": [f"facade:{services['facade']['environment']['THALE_METRICS_PORT']}"],
        "thale-models": [f"model-server:{services['model-server']['environment']['TS_METRICS_ADDRESS'][-4:]}"],
    }
    assert all(told["labels"] == {"environment": "laptop"} for told in targets.values())
    assert all("models" in services[name]["networks"] for name in ("prometheus", "facade", "model-server"))


def test_grafana_shows_generated_dashboards_with_a_data_source_that_is_prometheus(services: dict[str, Service]) -> None:
    provisioning = ROOT / "observability" / "grafana"
    [source] = yaml.safe_load((provisioning / "datasources.yaml").read_text())["datasources"]
    port = services["prometheus"]["ports"][0].rpartition(":")[2]
    assert (source["type"], source["url"]) == ("prometheus", f"http://prometheus:{port}")
    [provider] = yaml.safe_load((provisioning / "dashboards.yaml").read_text())["providers"]
    [mounted] = [volume for volume in services["grafana"]["volumes"] if provider["options"]["path"] in volume]
    folder = ROOT / mounted.split(":")[0]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (folder / Path(home).name).is_file()
    hidden = {volume["target"] for volume in services["grafana"]["volumes"] if isinstance(volume, dict)}
    assert hidden == {f"{provider['options']['path']}/{path.name}" for path in folder.iterdir() if path.is_dir()}


def test_nobody_needs_a_password_and_none_stands_here(services: dict[str, Service]) -> None:
    assert not re.search(r"(?i)password:|secret|token", COMPOSE.read_text())
    told = services["grafana"]["environment"]
    assert told["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert told["GF_AUTH_BASIC_ENABLED"] == "false"
