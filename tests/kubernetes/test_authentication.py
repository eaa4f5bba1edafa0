"""Authentication of callers: each overlay's facade has one, and the gateway verifies tokens of Entra ID on Azure."""

import re

import pytest
import yaml

from deploy import local_keys
from tests.support.manifests import KUBERNETES, ON_AZURE, OVERLAYS, Manifest, of_kind, overlay
from thale.facade.http.server import KEEP_ALIVE_S

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln"
API_KEY = "thale_4f1c09ab_" + "a" * 49


def facade_pod(name: str) -> Manifest:
    pod: Manifest = of_kind(overlay(name), "Deployment")["facade"]["spec"]["template"]["spec"]
    return pod


def facade_settings(name: str) -> dict[str, str]:
    (container,) = facade_pod(name)["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def read_facts(name: str) -> dict[str, str]:
    facts: dict[str, str] = yaml.safe_load((KUBERNETES / "overlays" / name / "facts.yaml").read_text())["data"]
    return facts


def matching_rule(path: str, authorization: str | None) -> str:
    """Return the name of the route's rule for a request, by the precedence of the Gateway API."""
    found: list[tuple[int, int, str]] = []
    for rule in of_kind(overlay("aks-prod"), "HTTPRoute")["facade"]["spec"]["rules"]:
        for match in rule["matches"]:
            headers = match.get("headers", ())
            value = match["path"]["value"]
            is_path = path == value or (match["path"]["type"] == "PathPrefix" and path.startswith(f"{value}/"))
            if is_path and all(re.fullmatch(header["value"], authorization or "") for header in headers):
                found.append((len(value), len(headers), rule["name"]))
    return max(found)[2]


@pytest.mark.parametrize("name", ON_AZURE)
def test_facade_on_azure_reads_vault_and_entra(name: str) -> None:
    facts, settings = read_facts(name), facade_settings(name)
    assert settings["THALE_HOST"] == "0.0.0.0"
    assert settings["THALE_KEY_VAULT"] == facts["key_vault"]
    assert settings["THALE_ENTRA_TENANT_ID"] == facts["entra_tenant_id"]
    assert settings["THALE_ENTRA_AUDIENCE"] == facts["entra_audience"]
    assert "THALE_API_KEYS_PATH" not in settings


def test_facade_on_laptop_reads_mounted_api_keys() -> None:
    settings = facade_settings("laptop")
    (secret,) = [each["secret"] for each in facade_pod("laptop")["volumes"] if each["name"] == "api-keys"]
    assert secret == {"secretName": local_keys.SECRET, "defaultMode": 0o440}
    assert settings["THALE_API_KEYS_PATH"] == f"/etc/thale/api-keys/{local_keys.KEYS_FILE}"
    assert not {"THALE_KEY_VAULT", "THALE_ENTRA_TENANT_ID"} & settings.keys()


@pytest.mark.parametrize("name", ON_AZURE)
def test_gateway_requires_a_valid_token_of_the_tenant(name: str) -> None:
    facts = read_facts(name)
    policy = of_kind(overlay(name), "SecurityPolicy")["tokens"]["spec"]
    (target,) = policy["targetRefs"]
    assert (target["kind"], target["name"], target["sectionName"]) == ("HTTPRoute", "facade", "tokens")
    assert policy["jwt"].keys() == {"providers"}, "a missing or invalid token must not pass"
    (provider,) = policy["jwt"]["providers"]
    authority = f"https://login.microsoftonline.com/{facts['entra_tenant_id']}"
    assert provider["issuer"] == f"{authority}/v2.0"
    assert provider["remoteJWKS"]["uri"] == f"{authority}/discovery/v2.0/keys"
    assert provider["audiences"] == [facts["entra_audience"]]


@pytest.mark.parametrize("path", ["/v1/phenotype", "/v1/models", "/v2/models/plate-seg/infer"])
def test_gateway_verifies_tokens_but_not_api_keys(path: str) -> None:
    assert matching_rule(path, f"Bearer {TOKEN}") == "tokens"
    assert matching_rule(path, f"Bearer {API_KEY}") == "others"
    assert matching_rule(path, None) == "others"


PUBLIC_PATHS = ("/health/ready", "/health/live", "/problems/overloaded", "/openapi.json", "/", "/assets/index.js")


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_gateway_verifies_no_token_of_public_paths(path: str) -> None:
    assert matching_rule(path, f"Bearer {TOKEN}") == "others"


@pytest.mark.parametrize("name", OVERLAYS)
def test_limit_store_password_is_a_file_of_one_secret(name: str) -> None:
    settings = facade_settings(name)
    store = of_kind(overlay(name), "Deployment")["limit-store"]["spec"]["template"]["spec"]
    assert settings["THALE_LIMIT_STORE_URL"] == "redis://limit-store:6379/0"
    assert settings["THALE_LIMIT_STORE_PASSWORD_PATH"] == "/etc/thale/limit-store/password"
    for pod, volume, key in ((facade_pod(name), "limit-store", "password"), (store, "acl", "users.acl")):
        (secret,) = [each["secret"] for each in pod["volumes"] if each["name"] == volume]
        assert (secret["secretName"], secret["items"]) == ("limit-store", [{"key": key, "path": key}])
        assert secret["defaultMode"] == 0o440
    assert "Secret" not in {found["kind"] for found in overlay(name)}, "a password must not be in Git"


@pytest.mark.parametrize("name", OVERLAYS)
def test_limit_store_keeps_nothing_and_bounds_memory(name: str) -> None:
    deployment = of_kind(overlay(name), "Deployment")["limit-store"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    options = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    assert (options["--save"], options["--appendonly"]) == ("", "no")
    assert options["--maxmemory-policy"] == "volatile-ttl"
    memory_mb, limit_mb = (
        int(options["--maxmemory"].removesuffix("mb")),
        int(container["resources"]["limits"]["memory"].removesuffix("Mi")),
    )
    assert 2 * memory_mb < limit_mb, "fragmentation and client buffers need memory as well"
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("name", OVERLAYS)
def test_gateway_closes_idle_connections_before_the_facade(name: str) -> None:
    policy = of_kind(overlay(name), "BackendTrafficPolicy")["facade"]["spec"]
    assert int(policy["timeout"]["http"]["connectionIdleTimeout"].removesuffix("s")) + 10 < KEEP_ALIVE_S
    assert policy["retry"]["retryOn"] == {"triggers": ["connect-failure", "reset-before-request"]}
    assert "httpStatusCodes" not in policy["retry"]["retryOn"], "a repeated request would count twice"
