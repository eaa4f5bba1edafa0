"""Public keys of trusted signatures: the setting `signing_public_keys` as a ConfigMap and as a fact of the overlay."""

import json
from collections.abc import Mapping
from pathlib import Path

from deploy.cluster import FIELD_MANAGER, Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.errors import MissingPrerequisite, SettingsError
from deploy.settings import SETTINGS_DIR
from thale.errors import SignatureError
from thale.release.registry.signatures import read_public_key

CONFIG_MAP = "signing-keys"
COMPONENT = "../../components/signing-keys"
_MOUNT_PATH = "/etc/thale/signing-keys"


def signing_facts(context: DeployContext) -> Mapping[str, str]:
    """Return the fact with the mounted paths, separated as in PATH; empty without keys.

    Raises:
        SettingsError: If a file is not a public key, if the overlay does not mount the keys, or if it mounts them and
            there are none.
    """
    files = _read_files(context)
    if missing := missing_signing_keys(context):
        raise SettingsError(f"{missing[0].description}: {missing[0].remedy}")
    if files and COMPONENT not in context.overlay_components:
        raise SettingsError(
            f"signing_public_keys is set, but the overlay does not mount the keys: add `- {COMPONENT}` to the "
            f"components in {(context.overlay / 'kustomization.yaml').relative_to(context.root)}"
        )
    return {"signing_public_keys": ":".join(f"{_MOUNT_PATH}/{name}" for name in files)} if files else {}


def missing_signing_keys(context: DeployContext) -> list[MissingPrerequisite]:
    """Return the setting as missing if the overlay mounts keys without it. kustomize would fail on a missing fact."""
    if context.settings.signing_public_keys or COMPONENT not in context.overlay_components:
        return []
    kustomization = (context.overlay / "kustomization.yaml").relative_to(context.root)
    return [
        MissingPrerequisite(
            f"signing_public_keys is not set, although {kustomization} has the component `{COMPONENT}`",
            f'set `signing_public_keys = ["FILE.pub"]` in {SETTINGS_DIR / f"{context.environment}.toml"} '
            "(`thale release keygen` creates a key pair), or remove the component",
        )
    ]


def publish_signing_keys(context: DeployContext, cluster: Cluster) -> None:
    """Write the ConfigMap that the component mounts, if there are keys.

    Raises:
        CommandError: If kubectl fails.
        SettingsError: If a file is not a public key.
    """
    files = _read_files(context)
    if not files:
        return
    metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}
    options = ("--server-side", "--field-manager", FIELD_MANAGER, "--filename", "-")
    cluster.kubectl("apply", *options, stdin=json.dumps(config_map))
    context.log(f"public keys of signatures: {', '.join(files)}")


def _read_files(context: DeployContext) -> dict[str, str]:
    """Return the content of each key by its file name."""
    files: dict[str, str] = {}
    for name in context.settings.signing_public_keys:
        path = context.root / Path(name)
        try:
            read_public_key(path)
        except SignatureError as error:
            raise SettingsError(f"signing_public_keys: {error}") from error
        if path.name in files:
            raise SettingsError(f"signing_public_keys: two files are named {path.name}: rename one of them")
        files[path.name] = path.read_text()
    return files
