"""API keys of a laptop's cluster: a key store in `.deploy/laptop/api-keys`, which the facade mounts as a Secret.

    thale keys create --home .deploy/laptop/api-keys --name …     # then: make deploy ENV=laptop

The smoke test has its own key, which is replaced before it expires.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.cluster import FIELD_MANAGER, Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import DeployError
from thale.auth.key_file import SECRETS_FILE, ApiKeyFile
from thale.auth.key_store import create_key
from thale.errors import SecretError, UnauthenticatedError
from thale.secrets.owner_only_file import read_owner_only, write_owner_only

SECRET = "api-keys"  # noqa: S105 (the name of the Secret in kubernetes/components/api-keys)
KEYS_FILE = "api-keys.json"
_FILES = (KEYS_FILE, SECRETS_FILE)
_SMOKE_KEY_FILE = "smoke-key"
_SMOKE_NAME = "smoke test of make deploy"
_LIFETIME = timedelta(days=90)
_MIN_LIFETIME = timedelta(days=7)
"""A key that expires within this time is replaced."""


def publish(context: DeployContext, cluster: Cluster) -> None:
    """Ensure that the smoke test has a valid key, and copy the key store to the cluster if it differs.

    Raises:
        CommandError: If kubectl fails.
        DeployError: If the key store cannot be read or written.
    """
    secret = cluster.get("secret", SECRET, "--namespace", NAMESPACE) or {}
    published = {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
    folder = _folder(context)
    try:
        if not (folder / KEYS_FILE).exists():
            for name in _FILES:
                if name in published:
                    write_owner_only(folder / name, published[name])
        _ensure_smoke_key(context, ApiKeyFile(folder / KEYS_FILE))
        files = {name: read_owner_only(folder / name) for name in _FILES}
    except SecretError as error:
        raise DeployError(f"the API keys of {context.environment} are not usable: {error}") from error
    if files == published:
        context.log("the API keys are unchanged")
        return
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "data": {name: base64.b64encode(data).decode() for name, data in files.items()},
    }
    options = ("--server-side", "--field-manager", FIELD_MANAGER, "--filename", "-")
    cluster.kubectl("apply", *options, stdin=json.dumps(body))
    context.log("API keys copied to the cluster")


def smoke_key(context: DeployContext) -> str:
    """Return the API key of the smoke test.

    Raises:
        DeployError: If the key does not exist.
    """
    try:
        return read_owner_only(_folder(context) / _SMOKE_KEY_FILE).decode()
    except SecretError as error:
        raise DeployError(f"{error}: run `python -m deploy credentials --env {context.environment}`") from error


def _folder(context: DeployContext) -> Path:
    folder = context.folder / "api-keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _ensure_smoke_key(context: DeployContext, store: ApiKeyFile) -> None:
    path = _folder(context) / _SMOKE_KEY_FILE
    now = datetime.now(UTC)
    if path.exists() and (_folder(context) / KEYS_FILE).exists():
        try:
            store.read().authenticate(read_owner_only(path).decode(), now + _MIN_LIFETIME)
        except UnauthenticatedError:
            pass
        else:
            return
    key, _ = create_key(store, _SMOKE_NAME, frozenset({"read", "predict"}), _LIFETIME, now)
    write_owner_only(path, key.text.encode())
