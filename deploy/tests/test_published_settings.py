"""Settings that a deploy writes to the cluster: signing keys, destination of traces, and the dead man's switch."""

import base64
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr, ValidationError

from deploy import credentials, preflight
from deploy.context import DeployContext
from deploy.errors import PrerequisitesMissingError, SettingsError
from deploy.settings import Environment, TraceSettings
from deploy.steps import get_step
from tests.support.deploy_environment import DeployEnvironment
from tests.support.fake_kubernetes_objects import Key

HEARTBEAT = Key("secrets", "thale", "heartbeat")
TRACES = Key("secrets", "monitoring", "otel-collector")
COMPONENT = "  - ../../components/signing-keys\n"


def add_namespace(env: DeployEnvironment, name: str) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}
    env.api.objects.create(Key("namespaces", "", name), namespace, ("helm", "Update"))


def secret_values(env: DeployEnvironment, key: Key) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in env.api.objects.get(key)["data"].items()}


def with_signing_key(env: DeployEnvironment, *, is_mounted: bool) -> DeployContext:
    """Return a context with one public key, and with the component in the overlay if it is mounted."""
    path = env.root / "signing.pub"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    kustomization = env.root / "kubernetes" / "overlays" / "laptop" / "kustomization.yaml"
    if is_mounted:
        kustomization.write_text(kustomization.read_text().replace("components:\n", f"components:\n{COMPONENT}"))
    return env.context(Environment.LAPTOP, signing_public_keys=(str(path.relative_to(env.root)),))


@pytest.mark.integration
def test_heartbeat_url_is_written_and_kept(env: DeployEnvironment) -> None:
    url = "https://heartbeat.example/secret-id"
    credentials.run(env.context(Environment.LAPTOP))
    assert "no heartbeat_url is set" in env.output.getvalue()
    credentials.run(env.context(Environment.LAPTOP, heartbeat_url=SecretStr(url)))
    assert secret_values(env, HEARTBEAT) == {"url": url}
    assert url not in env.output.getvalue()
    assert not [call for call in env.calls("kubectl") if url in " ".join(call)]
    credentials.run(env.context(Environment.LAPTOP))
    assert secret_values(env, HEARTBEAT) == {"url": url}


@pytest.mark.integration
def test_destination_of_traces_is_a_secret_of_the_collector(env: DeployEnvironment) -> None:
    add_namespace(env, "monitoring")
    collector = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": {"template": {}}}
    env.api.objects.create(Key("deployments", "monitoring", "otel-collector"), collector, ("helm", "Update"))
    traces = TraceSettings(exporter="azuremonitor", connection_string=SecretStr("InstrumentationKey=1"))
    credentials.run(context := env.context(Environment.LAPTOP, traces=traces))
    assert secret_values(env, TRACES) == {
        "THALE_TRACES_TO": "azuremonitor",
        "THALE_TRACES_PERCENT": "10",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=1",
    }
    restarts = [call for call in env.calls("kubectl") if "restart" in call]
    assert len(restarts) == 1
    credentials.run(context)
    assert [call for call in env.calls("kubectl") if "restart" in call] == restarts, "the collector restarts only once"


def test_trace_export_requires_a_connection_string() -> None:
    with pytest.raises(ValidationError, match="azuremonitor requires connection_string"):
        TraceSettings(exporter="azuremonitor")


@pytest.mark.integration
def test_signing_keys_are_published_with_their_paths(env: DeployEnvironment) -> None:
    context = with_signing_key(env, is_mounted=True)
    get_step("facts").run(context)
    facts = yaml.safe_load((context.overlay / "facts.yaml").read_text())["data"]
    (name,) = [Path(path).name for path in facts["signing_public_keys"].split(":")]
    credentials.run(context)
    key = (env.root / context.settings.signing_public_keys[0]).read_text()
    assert env.api.objects.get(Key("configmaps", "thale", "signing-keys"))["data"] == {name: key}
    kustomization = context.overlay / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace(COMPONENT, ""))
    get_step("facts").run(env.context(Environment.LAPTOP))
    assert "signing_public_keys" not in yaml.safe_load((context.overlay / "facts.yaml").read_text())["data"]


@pytest.mark.integration
def test_component_without_signing_keys_is_reported(env: DeployEnvironment) -> None:
    """kustomize would fail with a missing field of the facts, and not name the setting."""
    with_signing_key(env, is_mounted=True)
    context = env.context(Environment.LAPTOP)
    remedy = (
        r'set `signing_public_keys = \["FILE.pub"\]` in deploy/environments/laptop.toml .*, or remove the component'
    )
    with pytest.raises(SettingsError, match=f"signing_public_keys is not set, although .*: {remedy}"):
        get_step("facts").run(context)
    with pytest.raises(PrerequisitesMissingError, match="signing_public_keys is not set"):
        preflight.run(context)


@pytest.mark.integration
def test_signing_keys_require_the_component(env: DeployEnvironment) -> None:
    with pytest.raises(SettingsError, match=r"add `- \.\./\.\./components/signing-keys` to the components"):
        get_step("facts").run(with_signing_key(env, is_mounted=False))


@pytest.mark.integration
def test_invalid_signing_key_is_reported(env: DeployEnvironment) -> None:
    (env.root / "wrong.pub").write_text("not a key")
    with pytest.raises(SettingsError, match=r"signing_public_keys: .*wrong\.pub"):
        get_step("facts").run(env.context(Environment.LAPTOP, signing_public_keys=("wrong.pub",)))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        (None, "no EndpointSlice of the Service `kubernetes` has an address (kubectl get endpointslices"),
        ([{"addresses": ["10.0.0.1", "10.0.0.2"]}], "the API server has the addresses 10.0.0.1, 10.0.0.2"),
    ],
    ids=["none", "two"],
)
def test_facts_explain_an_unchanged_address_range(
    env: DeployEnvironment, endpoints: list[object] | None, message: str
) -> None:
    key = Key("endpointslices", "default", "kubernetes")
    env.api.objects.merge(key, {"endpoints": endpoints}, ("kube", "Update"))
    context = env.context(Environment.LAPTOP)
    get_step("facts").run(context)
    assert message in env.output.getvalue()
    assert "api_server_range stays 172.18.0.0/16" in env.output.getvalue()
