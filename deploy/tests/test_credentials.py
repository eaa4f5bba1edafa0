"""Secrets of an environment: created once, never changed by the next deploy; the smoke test's credential."""

import base64
import json
import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy import credentials, local_keys
from deploy.caller_credential import API_KEY_VARIABLE, read_credential
from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.settings import Environment
from deploy.steps import get_step
from tests.support.deploy_environment import ACCESS_TOKEN, REPOSITORY, DeployEnvironment
from tests.support.fake_kubernetes_objects import Key
from thale.auth.entra import SCOPES
from thale.auth.key_file import ApiKeyFile
from thale.auth.key_store import revoke_key

LIMIT_STORE = Key("secrets", "thale", "limit-store")
API_KEYS = Key("secrets", "thale", "api-keys")


@pytest.fixture(autouse=True)
def no_given_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)


def azure_context(env: DeployEnvironment) -> DeployContext:
    context = env.context(Environment.DEV)
    shutil.copyfile(REPOSITORY / "deploy" / "tests" / "data" / "outputs.json", context.folder / "outputs.json")
    return context


def published_keys(env: DeployEnvironment, folder: Path) -> ApiKeyFile:
    """Return the key store that a facade would mount."""
    folder.mkdir(exist_ok=True)
    for name, data in env.api.objects.get(API_KEYS)["data"].items():
        path = folder / name
        path.write_bytes(base64.b64decode(data))
        path.chmod(0o600)
    return ApiKeyFile(folder / local_keys.KEYS_FILE)


@pytest.mark.integration
def test_credentials_are_created_once(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    get_step("credentials").run(context)
    password = env.api.objects.get(LIMIT_STORE)["stringData"]["password"]
    assert len(password) >= 43
    assert password not in env.output.getvalue()
    version = env.api.objects.version
    get_step("credentials").run(context)
    assert env.api.objects.version == version
    assert not [call for call in env.calls("kubectl") if password in " ".join(call)]


@pytest.mark.integration
def test_azure_has_no_api_keys_in_the_cluster(env: DeployEnvironment) -> None:
    get_step("credentials").run(azure_context(env))
    assert [found["metadata"]["name"] for found in env.api.objects.list("secrets", "thale")] == [
        "gateway-tls",
        "limit-store",
    ]


@pytest.mark.integration
def test_smoke_key_is_valid_in_the_published_store(env: DeployEnvironment, tmp_path: Path) -> None:
    context = env.context(Environment.LAPTOP)
    get_step("credentials").run(context)
    principal = published_keys(env, tmp_path / "mount").read().authenticate(read_credential(context), datetime.now(UTC))
    assert principal.scopes == {"read", "predict"}


@pytest.mark.integration
def test_lost_key_folder_is_restored_from_the_cluster(env: DeployEnvironment, tmp_path: Path) -> None:
    context = env.context(Environment.LAPTOP)
    get_step("credentials").run(context)
    first_key = read_credential(context)
    shutil.rmtree(context.folder / "api-keys")
    get_step("credentials").run(context)
    keyring = published_keys(env, tmp_path / "mount").read()
    for key in (first_key, read_credential(context)):
        assert keyring.authenticate(key, datetime.now(UTC)).name == "smoke test of make deploy"


@pytest.mark.integration
def test_revoked_smoke_key_is_replaced(env: DeployEnvironment, tmp_path: Path) -> None:
    context = env.context(Environment.LAPTOP)
    get_step("credentials").run(context)
    first_key = read_credential(context)
    store = ApiKeyFile(context.folder / "api-keys" / local_keys.KEYS_FILE)
    revoke_key(store, first_key.split("_")[1], datetime.now(UTC) + timedelta(days=1))
    get_step("credentials").run(context)
    assert read_credential(context) != first_key


@pytest.mark.integration
def test_smoke_test_uses_a_token_on_azure(env: DeployEnvironment) -> None:
    assert read_credential(azure_context(env)) == ACCESS_TOKEN
    (call,) = env.calls("az", "account", "get-access-token")
    assert call[call.index("--resource") + 1] == "00000000-0000-0000-0000-00000000000d"


def test_app_registration_has_the_roles_that_the_facade_reads() -> None:
    application = json.loads((REPOSITORY / "deploy" / "entra-application.json").read_text())
    assert {role["value"] for role in application["appRoles"]} == SCOPES.keys()
    assert application["api"]["requestedAccessTokenVersion"] == 2, "the facade accepts v2.0 tokens only"
    ids = [role["id"] for role in [*application["appRoles"], *application["api"]["oauth2PermissionScopes"]]]
    assert len({*ids}) == len(ids)


@pytest.mark.integration
def test_given_key_has_priority(env: DeployEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, "thale_given\n")
    assert read_credential(azure_context(env)) == "thale_given"
    assert not env.calls("az")


@pytest.mark.integration
def test_missing_token_is_reported_with_the_role(env: DeployEnvironment) -> None:
    env.configure(faults=["az account get-access-token"])
    with pytest.raises(DeployError, match=r"app role Thale\.Predict"):
        read_credential(azure_context(env))


@pytest.mark.integration
def test_missing_smoke_key_is_reported(env: DeployEnvironment) -> None:
    with pytest.raises(DeployError, match="python -m deploy credentials --env laptop"):
        read_credential(env.context(Environment.LAPTOP))


@pytest.mark.integration
def test_limit_store_rejects_other_keys_and_administration(tmp_path: Path) -> None:
    """A real server with the options of the manifest: the ACL allows what the facade needs, and nothing else."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is missing: apt-get install --no-install-recommends redis-server")
    (tmp_path / "users.acl").write_text(credentials.access_control_list("the password"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--save", "", "--appendonly", "no", "--maxmemory", "128mb", "--maxmemory-policy", "volatile-ttl"]
    command = ["redis-server", "--port", port, *options, "--aclfile", str(tmp_path / "users.acl")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            responses = {
                text: _redis(port, password, text)
                for password, text in (
                    ("", "PING"),
                    ("wrong", "PING"),
                    ("the password", "PING"),
                    ("the password", "EVAL return(redis.call('SET',KEYS[1],'1')) 1 thale:limits:a"),
                    ("the password", "SET other 1"),
                    ("the password", "FLUSHALL"),
                    ("the password", "CONFIG GET maxmemory"),
                    ("the password", "KEYS *"),
                )
            }
        finally:
            server.terminate()
    assert responses["PING"] == "PONG"
    assert responses["EVAL return(redis.call('SET',KEYS[1],'1')) 1 thale:limits:a"] == "OK"
    for text in ("SET other 1", "FLUSHALL", "CONFIG GET maxmemory", "KEYS *"):
        assert responses[text].startswith("NOPERM"), text


def _redis(port: str, password: str, text: str) -> str:
    for _ in range(100):
        result = subprocess.run(
            ["redis-cli", "-p", port, *text.split(" ")],
            capture_output=True,
            text=True,
            env={"REDISCLI_AUTH": password} if password else {},
        )
        if "Connection refused" not in result.stderr + result.stdout:
            return result.stdout.strip()
    raise AssertionError(result.stderr)
