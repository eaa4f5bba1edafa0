"""compose.yaml matches its schema, the images, and the settings of the services."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from thale.facade.settings import FacadeSettings

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose.yaml"
BUILT_IMAGES = {
    "facade": "services/Dockerfile",
    "keys": "services/Dockerfile",
    "model-server": "model-server/Dockerfile",
    "models": "model-server/Dockerfile",
    "pod": "services/Dockerfile",
}
PULLED_SERVICES = ("grafana", "prometheus")

Service = dict[str, Any]


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    services: dict[str, Service] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


@pytest.mark.slow
def test_compose_file_matches_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout


def test_services_are_built_from_the_dockerfiles(services: dict[str, Service]) -> None:
    assert services.keys() == {*BUILT_IMAGES, *PULLED_SERVICES}
    assert {name: services[name]["build"]["dockerfile"] for name in BUILT_IMAGES} == BUILT_IMAGES


def test_pulled_images_have_exact_versions(services: dict[str, Service]) -> None:
    for name in PULLED_SERVICES:
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", services[name]["image"])


def test_ports_are_published_on_loopback_only(services: dict[str, Service]) -> None:
    published = {name: port for name, service in services.items() for port in service.get("ports", [])}
    assert published.keys() == {"pod", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in published.values())


def test_containers_are_hardened(services: dict[str, Service]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")
        assert "user" not in service, "the images set the user"


def test_each_long_running_service_has_a_health_check(services: dict[str, Service]) -> None:
    for name in PULLED_SERVICES:
        assert services[name]["healthcheck"]["test"]
    for name in ("facade", "model-server"):
        assert "HEALTHCHECK" in (ROOT / BUILT_IMAGES[name]).read_text()
        assert "healthcheck" not in services[name], "the image's own health check applies"


def test_torchserve_is_reachable_from_its_facade_only(services: dict[str, Service]) -> None:
    assert services["model-server"]["network_mode"] == services["facade"]["network_mode"] == "service:pod"
    assert services["pod"]["ports"] == ["127.0.0.1:${THALE_PORT:-8080}:8000"]
    assert services["model-server"]["environment"] == {"TS_METRICS_ADDRESS": "http://0.0.0.0:8082"}
    addresses = (ROOT / "model-server" / "config.properties").read_text()
    for name, variable in (("inference", "THALE_MODEL_URL"), ("management", "THALE_MANAGEMENT_URL")):
        assert f"\n{name}_address={services['facade']['environment'][variable]}\n" in addresses
    assert "enable_model_api=false" in addresses, "no registration over HTTP"


def test_facade_environment_has_only_known_settings(services: dict[str, Service]) -> None:
    variables = services["facade"]["environment"]
    assert {name.removeprefix("THALE_").lower() for name in variables} <= FacadeSettings.model_fields.keys()
    assert all(name.startswith("THALE_") for name in variables)


def test_facade_requires_a_key_that_only_the_keys_service_writes(services: dict[str, Service]) -> None:
    facade, keys = services["facade"], services["keys"]
    assert facade["environment"]["THALE_API_KEYS_PATH"] == "/keys/api-keys.json"
    assert "keys:/keys:ro" in facade["volumes"]
    assert keys["command"][:5] == ["thale", "keys", "create", "--home", "/keys"]
    assert (keys["volumes"], keys["network_mode"], keys["profiles"]) == (["keys:/keys"], "none", ["keys"])
    assert "mkdir --mode=1777 /keys" in (ROOT / "services" / "Dockerfile").read_text()


def test_mounted_folders_exist_and_are_read_only(services: dict[str, Service]) -> None:
    mounts = [
        volume for service in services.values() for volume in service.get("volumes", ()) if isinstance(volume, str)
    ]
    folders = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert folders
    assert all((ROOT / folder).exists() for folder in folders)
    assert all(mount.endswith(":ro") for mount in mounts if mount.startswith("./"))


def test_scrape_jobs_match_services_and_rules(
    services: dict[str, Service],
) -> None:
    scrapes = yaml.safe_load((ROOT / "observability" / "prometheus" / "compose.yaml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0] for job in scrapes}
    assert {job: target["targets"] for job, target in targets.items()} == {
        "thale-facade": [f"pod:{services['facade']['environment']['THALE_METRICS_PORT']}"],
        "thale-models": [f"pod:{services['model-server']['environment']['TS_METRICS_ADDRESS'][-4:]}"],
    }
    assert all(target["labels"] == {"environment": "laptop"} for target in targets.values())
    assert not any("networks" in service for service in services.values()), "all are in the default network"


def test_grafana_has_dashboards_and_data_source(services: dict[str, Service]) -> None:
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


def test_grafana_is_anonymous_and_no_password_is_stored(services: dict[str, Service]) -> None:
    assert not re.search(r"(?i)password:|secret|token", COMPOSE.read_text())
    variables = services["grafana"]["environment"]
    assert variables["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert variables["GF_AUTH_BASIC_ENABLED"] == "false"
