"""Creates the missing Secrets that pods mount: the password of the limit store, and on a laptop the API keys.

It also applies settings: public keys of signatures, the destination of traces, and on a laptop the receiver of the dead
man's switch.

The password is generated once and is stored only in the cluster. To rotate it, delete the Secret `limit-store`, run
this step, and restart the store. On Azure, API keys are in the Key Vault (docs/authentication.md).
"""

import hashlib
import json
import secrets
from collections.abc import Mapping

from deploy import cluster as clusters
from deploy import local_keys
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.heartbeat import publish_heartbeat_url
from deploy.signing_keys import publish_signing_keys
from deploy.trace_export import publish_trace_settings

LIMIT_STORE = "limit-store"
"""Name of the Secret in kubernetes/base/limit-store.yaml and facade.yaml."""
_KEY_PATTERN = "thale:*"
"""Keys of the limit store that the facade may use (thale.facade.limits)."""


def run(context: DeployContext) -> None:
    """Create the missing Secrets.

    Raises:
        CommandError: If kubectl fails.
        DeployError: If the API keys of a laptop cannot be read.
        SettingsError: If a public key of signatures cannot be read.
    """
    cluster = clusters.connect(context)
    cluster.check_environment()
    if clusters.is_namespace_missing(cluster):
        _create(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    _ensure_limit_store_password(context, cluster)
    if not context.environment.on_azure:
        local_keys.publish(context, cluster)
        publish_heartbeat_url(context, cluster)
    publish_signing_keys(context, cluster)
    publish_trace_settings(context, cluster)


def access_control_list(password: str) -> str:
    """Return the ACL file of the limit store: one user, with the digest of its password, without administration."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user default reset on #{digest} ~{_KEY_PATTERN} resetchannels +@all -@admin -@dangerous\n"


def _ensure_limit_store_password(context: DeployContext, cluster: Cluster) -> None:
    if cluster.get("secret", LIMIT_STORE, "--namespace", NAMESPACE) is not None:
        context.log("the limit store has a password")
        return
    password = secrets.token_urlsafe(32)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": LIMIT_STORE, "namespace": NAMESPACE},
        "stringData": {"password": password, "users.acl": access_control_list(password)},
    }
    _create(cluster, secret)
    context.log("password of the limit store created")


def _create(cluster: Cluster, manifest: Mapping[str, object]) -> None:
    cluster.kubectl("create", "--filename", "-", stdin=json.dumps(manifest))
