"""Tests of the rotation of secrets. No value may appear in an argument or in the output."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from deploy import credentials
from deploy.cluster import Cluster
from deploy.context import DeployContext
from deploy.day_two import secret_rotation
from deploy.day_two.procedure import run_procedure
from deploy.day_two.secret_rotation import plan_certificate, plan_limit_store, plan_pepper, plan_pepper_end
from deploy.errors import DeployError, PrerequisitesMissingError
from tests.support.recorded_cluster import RecordedCluster
from thale.auth import key_vault_store
from thale.auth.api_key import MIN_PEPPER_BYTES

VAULT = "https://kv.vault.azure.net/secrets"
Respond = Callable[[str, Any], None]


def secret(name: str, created: str, *, enabled: bool = True, expires: str | None = None) -> Any:
    attributes = {"enabled": enabled, "created": f"{created}T00:00:00+00:00", "expires": expires}
    return {"id": f"{VAULT}/{name}", "attributes": attributes}


def pepper(version: str, created: str, **options: Any) -> Any:
    return secret(f"api-key-pepper/{version}", created, **options)


def test_limit_store_gets_a_new_password_and_restarts(
    context: DeployContext, cluster: RecordedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.objects["secret"] = [{"metadata": {"name": "limit-store", "uid": "old"}}]

    def create(_: DeployContext) -> None:
        cluster.objects["secret"] = [{"metadata": {"name": "limit-store", "uid": "new"}}]

    monkeypatch.setattr(credentials, "run", create)
    procedure = plan_limit_store(context, cast(Cluster, cluster))
    run_procedure(context, cast(Cluster, cluster), procedure, apply=True)
    assert [command[:3] for command in cluster.commands] == [
        ("delete", "secret", "limit-store"),
        ("rollout", "restart", "deployment/limit-store"),
        ("rollout", "status", "deployment/limit-store"),
    ]


def test_limit_store_rotation_fails_if_the_secret_is_the_same(
    context: DeployContext, cluster: RecordedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.objects["secret"] = [{"metadata": {"name": "limit-store", "uid": "old"}}]
    monkeypatch.setattr(credentials, "run", lambda _: None)
    procedure = plan_limit_store(context, cast(Cluster, cluster))
    with pytest.raises(DeployError, match="did not change"):
        run_procedure(context, cast(Cluster, cluster), procedure, apply=True)
    assert not any("restart" in command for command in cluster.commands)


def test_certificate_renewal_keeps_the_ready_condition(cluster: RecordedCluster) -> None:
    ready = {"type": "Ready", "status": "True"}
    status = {"conditions": [ready], "revision": 4}
    cluster.objects["certificate"] = [{"metadata": {"name": "gateway"}, "status": status}]
    procedure = plan_certificate(cast(Cluster, cluster), lambda: datetime(2026, 11, 30, 12, 0, tzinfo=UTC))
    assert not procedure.problems
    (patch,) = procedure.actions[0].commands
    conditions = json.loads(patch[-1])["status"]["conditions"]
    assert conditions[0] == ready
    assert (conditions[1]["type"], conditions[1]["lastTransitionTime"]) == ("Issuing", "2026-11-30T12:00:00Z")
    assert patch[patch.index("--subresource") :][:2] == ("--subresource", "status")


def test_certificate_renewal_waits_for_the_next_revision(cluster: RecordedCluster) -> None:
    """cert-manager removes the condition Issuing after a success: a wait for `Issuing=False` would end by a failure."""
    status = {"conditions": [{"type": "Ready", "status": "True"}], "revision": 4}
    cluster.objects["certificate"] = [{"metadata": {"name": "gateway"}, "status": status}]
    (wait,) = plan_certificate(cast(Cluster, cluster)).actions[1].commands
    assert wait[wait.index("--for") + 1] == "jsonpath={.status.revision}=5"


def test_certificate_that_is_not_ready_is_not_renewed(cluster: RecordedCluster) -> None:
    (problem,) = plan_certificate(cast(Cluster, cluster)).problems
    assert problem.description == "the certificate gateway is not ready"


def test_pepper_is_added_from_a_private_file(
    context: DeployContext,
    respond: Respond,
    az_calls: Callable[[], list[list[str]]],
    output: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    respond("keyvault secret list-versions", [pepper("1", "2026-01-01")])
    written: list[tuple[str, int]] = []
    real_az = secret_rotation.az

    def spy(settings: Any, *arguments: str) -> Any:
        if "--file" in arguments:
            path = Path(arguments[arguments.index("--file") + 1])
            written.append((path.read_text(), path.stat().st_mode & 0o777))
        return real_az(settings, *arguments)

    monkeypatch.setattr(secret_rotation, "az", spy)
    respond("keyvault secret set", f"{VAULT}/api-key-pepper/2")
    run_procedure(context, None, plan_pepper(context), apply=True)
    ((value, mode),) = written
    assert len(value) >= MIN_PEPPER_BYTES
    assert mode == 0o600
    assert value not in output()
    assert not any(value in argument for call in az_calls() for argument in call)
    assert "--query" in az_calls()[-1], "the full output of `secret set` has the value"


def test_pepper_is_not_added_beyond_the_facades_limit(context: DeployContext, respond: Respond) -> None:
    versions = [pepper(str(number), f"2026-0{number}-01") for number in (1, 2, 3)]
    respond("keyvault secret list-versions", [*versions, pepper("0", "2025-01-01", enabled=False)])
    with pytest.raises(PrerequisitesMissingError, match="rotate-pepper --finish"):
        run_procedure(context, None, plan_pepper(context), apply=True)
    assert key_vault_store._MAX_PEPPERS == secret_rotation.MAX_PEPPERS


def test_pepper_rotation_ends_only_without_older_keys(context: DeployContext, respond: Respond) -> None:
    respond("keyvault secret list-versions", [pepper("old", "2026-01-01"), pepper("new", "2026-06-01")])
    keys = [
        secret("api-key-pepper", "2026-01-01"),
        secret("api-key-aaaaaaaa", "2026-02-01"),
        secret("api-key-bbbbbbbb", "2026-02-01", enabled=False),
        secret("api-key-cccccccc", "2026-02-01", expires="2026-03-01T00:00:00+00:00"),
        secret("api-key-dddddddd", "2026-07-01"),
    ]
    respond("keyvault secret list", keys)
    respond("keyvault secret list-versions api-key-dddddddd", [secret("api-key-dddddddd/1", "2026-07-01")])
    procedure = plan_pepper_end(context)
    assert [problem.description for problem in procedure.problems] == [
        "the API key aaaaaaaa depends on a former pepper"
    ]
    respond("keyvault secret list", keys[2:])
    procedure = plan_pepper_end(context)
    assert not procedure.problems
    (command,) = procedure.actions[0].commands
    assert f"{VAULT}/api-key-pepper/old" in command
    respond("keyvault secret list-versions", [pepper("new", "2026-06-01")])
    assert plan_pepper_end(context).actions == []


def test_revoked_key_in_its_grace_period_needs_its_pepper(context: DeployContext, respond: Respond) -> None:
    """`thale keys revoke` writes a version of the secret, whose digest is by the former pepper."""
    respond("keyvault secret list-versions", [pepper("old", "2026-01-01"), pepper("new", "2026-06-01")])
    respond("keyvault secret list", [secret("api-key-aaaaaaaa", "2026-07-01", expires="2999-01-01T00:00:00+00:00")])
    versions = [secret("api-key-aaaaaaaa/2", "2026-07-01"), secret("api-key-aaaaaaaa/1", "2026-02-01")]
    respond("keyvault secret list-versions api-key-aaaaaaaa", versions)
    (problem,) = plan_pepper_end(context).problems
    assert problem.description == "the API key aaaaaaaa depends on a former pepper"


def test_pepper_rotation_needs_a_pepper(context: DeployContext, respond: Respond) -> None:
    respond("keyvault secret list-versions", [pepper("1", "2026-01-01", enabled=False)])
    with pytest.raises(DeployError, match="`thale keys create` creates the first one"):
        plan_pepper(context)
