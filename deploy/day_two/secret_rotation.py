"""Rotation of secrets: the limit store's password, the gateway's certificate, and the pepper of API keys.

No secret value is an argument of a command or in an output. API keys and access tokens: docs/authentication.md.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from deploy import credentials, terraform
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.day_two import cluster_checks
from deploy.day_two.procedure import Action, Procedure
from deploy.errors import DeployError, MissingPrerequisite
from deploy.subscription import az

_PEPPER = "api-key-pepper"
_KEY_PREFIX = "api-key-"
MAX_PEPPERS = 3
"""Versions of the pepper that the facade accepts (thale.auth.key_vault_store)."""
_IN_NAMESPACE = ("--namespace", NAMESPACE)


class _Attributes(BaseModel):
    enabled: bool
    created: datetime
    expires: datetime | None = None


class _Secret(BaseModel):
    id: str
    attributes: _Attributes

    @property
    def name(self) -> str:
        """Name of the secret, from `https://VAULT/secrets/NAME` with or without a version."""
        return self.id.split("/secrets/")[1].partition("/")[0]


_SECRETS = TypeAdapter(tuple[_Secret, ...])


def plan_limit_store(context: DeployContext, cluster: Cluster) -> Procedure:
    """Return the rotation of the limit store's password. Until pods have the new one, each facade limits on its own."""
    before = _secret_uid(cluster, credentials.LIMIT_STORE)

    def check() -> None:
        if _secret_uid(cluster, credentials.LIMIT_STORE) in (None, before):
            raise DeployError("the Secret limit-store did not change: run `python -m deploy credentials` again")

    restart = ("kubectl", "rollout", "restart", "deployment/limit-store", *_IN_NAMESPACE)
    wait = ("kubectl", "rollout", "status", "deployment/limit-store", *_IN_NAMESPACE, "--timeout", "5m")
    delete = ("kubectl", "delete", "secret", credentials.LIMIT_STORE, *_IN_NAMESPACE, "--ignore-not-found")
    return Procedure(
        name="rotation of the limit store's password",
        actions=[
            Action("delete the password", [delete]),
            Action("create a new password", execute=lambda: credentials.run(context), check=check),
            Action("restart the limit store", [restart, wait]),
        ],
        problems=cluster_checks.find_unready_objects(cluster),
        undo="rotate again: the former password is not stored anywhere",
    )


def plan_certificate(cluster: Cluster, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Procedure:
    """Return the renewal of the gateway's certificate. The former one serves until the new one exists."""
    found = cluster.get("certificate.cert-manager.io", "gateway", *_IN_NAMESPACE) or {}
    status = found.get("status") or {}
    conditions = status.get("conditions", ())
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Renewal by deploy.day_two",
        "lastTransitionTime": f"{now():%Y-%m-%dT%H:%M:%SZ}",
    }
    body = json.dumps({"status": {"conditions": [*(c for c in conditions if c["type"] != "Issuing"), issuing]}})
    patch = (
        *("kubectl", "patch", "certificate.cert-manager.io", "gateway", *_IN_NAMESPACE),
        *("--subresource", "status", "--type", "merge", "--patch", body),
    )
    wait = (
        *("kubectl", "wait", "certificate.cert-manager.io/gateway", *_IN_NAMESPACE),
        # cert-manager removes the condition Issuing after a success, and sets it to False after a failure.
        *("--for", f"jsonpath={{.status.revision}}={status.get('revision', 0) + 1}", "--timeout", "5m"),
    )
    problem = MissingPrerequisite(
        "the certificate gateway is not ready", "kubectl describe certificate gateway -n thale"
    )
    return Procedure(
        name="renewal of the gateway's certificate",
        actions=[Action("request a new certificate", [patch]), Action("wait for it", [wait])],
        problems=[] if is_ready else [problem],
        undo="the certificate authority is unchanged, so clients trust both certificates",
    )


def plan_pepper(context: DeployContext) -> Procedure:
    """Return the addition of a pepper. The former ones stay valid, so that existing keys work.

    Raises:
        CommandError: If `az` fails. The vault is reachable only inside the network.
    """
    vault = str(terraform.facts(context)["key_vault"])
    valid = _valid_peppers(context, vault)
    problems = []
    if len(valid) >= MAX_PEPPERS:
        problems.append(
            MissingPrerequisite(
                f"{len(valid)} peppers are valid already, and the facade accepts {MAX_PEPPERS}",
                "finish the former rotation first: rotate-pepper --finish",
            )
        )
    return Procedure(
        name="rotation of the pepper, first part",
        actions=[Action(f"add a version of {_PEPPER} in {vault}", execute=lambda: _add_pepper(context, vault))],
        problems=problems,
        undo="disable the new version, if no key was created since",
    )


def plan_pepper_end(context: DeployContext) -> Procedure:
    """Return the end of the pepper's rotation: former versions are disabled once no key depends on them.

    Raises:
        CommandError: If `az` fails.
    """
    vault = str(terraform.facts(context)["key_vault"])
    newest, *former = sorted(_valid_peppers(context, vault), key=lambda each: each.attributes.created, reverse=True)
    disable = [
        (
            *("az", "keyvault", "secret", "set-attributes", "--id", pepper.id, "--enabled", "false"),
            *("--subscription", str(context.settings.subscription_id)),
        )
        for pepper in former
    ]
    return Procedure(
        name="rotation of the pepper, second part",
        actions=[Action(f"disable {len(former)} former versions of {_PEPPER}", disable)] if former else [],
        problems=list(_keys_before(context, vault, newest.attributes.created)) if former else [],
        undo="az keyvault secret set-attributes --id ID --enabled true",
    )


def _keys_before(context: DeployContext, vault: str, created: datetime) -> Iterator[MissingPrerequisite]:
    """Yield a problem for each usable API key that was created before a time.

    A revocation with a grace period adds a version of the secret, so the first version has the time of the key.
    """
    for key in _SECRETS.validate_python(az(context.settings, "keyvault", "secret", "list", "--vault-name", vault)):
        expires = key.attributes.expires
        is_usable = key.attributes.enabled and (expires is None or expires > datetime.now(UTC))
        is_key = key.name.startswith(_KEY_PREFIX) and key.name != _PEPPER
        if not (is_key and is_usable):
            continue
        if key.attributes.created < created or _first_created(context, vault, key.name) < created:
            key_id = key.name.removeprefix(_KEY_PREFIX)
            yield MissingPrerequisite(
                f"the API key {key_id} depends on a former pepper",
                f"create another key for its caller, then thale keys revoke {key_id} --grace 7d",
            )


def _first_created(context: DeployContext, vault: str, name: str) -> datetime:
    """Return the time of the first version of a secret."""
    arguments = ("keyvault", "secret", "list-versions", "--vault-name", vault, "--name", name)
    return min(each.attributes.created for each in _SECRETS.validate_python(az(context.settings, *arguments)))


def _valid_peppers(context: DeployContext, vault: str) -> Sequence[_Secret]:
    """Return the versions of the pepper that are enabled and have not expired.

    Raises:
        DeployError: If no version is valid.
    """
    arguments = ("keyvault", "secret", "list-versions", "--vault-name", vault, "--name", _PEPPER)
    versions = _SECRETS.validate_python(az(context.settings, *arguments))
    now = datetime.now(UTC)
    valid = [
        each
        for each in versions
        if each.attributes.enabled and (each.attributes.expires or datetime.max.replace(tzinfo=UTC)) > now
    ]
    if not valid:
        raise DeployError(f"{vault} has no valid {_PEPPER}: `thale keys create` creates the first one")
    return valid


def _add_pepper(context: DeployContext, vault: str) -> None:
    """Add a version from a file that only this user can read: arguments of a process are public on its machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pepper"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        arguments = ("keyvault", "secret", "set", "--vault-name", vault, "--name", _PEPPER)
        # `id` only: the full output has the value.
        az(context.settings, *arguments, "--file", str(path), "--encoding", "utf-8", "--query", "id")


def _secret_uid(cluster: Cluster, name: str) -> str | None:
    found: Mapping[str, Mapping[str, str]] | None = cluster.get("secret", name, *_IN_NAMESPACE)
    return None if found is None else found["metadata"].get("uid")
