"""Preflight reports all missing prerequisites at once, each with its remedy."""

from pathlib import Path

import pytest

from deploy import preflight
from deploy.errors import PrerequisitesMissingError
from deploy.settings import Access, DeploySettings, Environment
from deploy.subscription import PROVIDERS
from deploy.tools import parse_version
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment


def missing(env: DeployEnvironment, environment: Environment, **settings: object) -> dict[str, str]:
    with pytest.raises(PrerequisitesMissingError) as caught:
        preflight.run(env.context(environment, **settings))
    return {each.description: each.remedy for each in caught.value.missing}


def test_preflight_reports_programs_and_settings_at_once(
    env: DeployEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (env.bin_dir / "helm").unlink()
    old = env.bin_dir / "az"
    old.write_text('#!/bin/sh\necho \'{"azure-cli": "2.30.0"}\'\n')
    monkeypatch.setenv("PATH", f"{env.bin_dir}:/bin:/usr/bin")
    reported = missing(env, Environment.DEV, subscription_id=None, alert_emails=None)
    assert "az 2.70.0 or newer: the installed version is 2.30.0" in reported
    assert any(description.startswith("helm 3.16.0 or newer: it does not run") for description in reported)
    assert "THALE_DEPLOY_SUBSCRIPTION_ID" in reported["subscription_id is not set"]
    assert "alert_emails is not set" in reported
    assert all(reported.values())


def test_preflight_reports_all_subscription_problems(env: DeployEnvironment) -> None:
    machines = [
        {
            "name": "Standard_D4ds_v5",
            "family": "standardDDSv5Family",
            "capabilities": [{"name": "vCPUs", "value": "4"}],
        },
        {
            "name": "Standard_D2ds_v5",
            "family": "standardDDSv5Family",
            "capabilities": [{"name": "vCPUs", "value": "2"}],
        },
        {
            "name": "Standard_NC4as_T4_v3",
            "family": "Standard NCASv3_T4 Family",
            "capabilities": [{"name": "vCPUs", "value": "4"}],
            "restrictions": [{"reasonCode": "NotAvailableForSubscription"}],
        },
    ]
    usages = [{"name": {"value": "standardDDSv5Family"}, "currentValue": 8, "limit": 20}]
    env.configure(sizes=machines, usages=usages, encryption="NotRegistered", providers=["Microsoft.Compute"])
    reported = missing(env, Environment.DEV)
    (providers,) = [remedy for name, remedy in reported.items() if name.startswith("registered resource providers")]
    assert providers.startswith("for p in Microsoft.ContainerService ")
    assert "the feature EncryptionAtHost" in reported
    assert "the VM size Standard_NC4as_T4_v3 in westeurope for this subscription" in reported
    # dev's pools at maximum size: 2 x 2 + 3 x 4 cores, of which 12 are free; a T4 on demand and a T4 on spot
    assert "quota of 16 cores of standardDDSv5Family in westeurope: available 20, of which 8 in use" in reported
    assert "quota of 4 cores of Standard NCASv3_T4 Family in westeurope: available none" in reported
    assert "quota of 4 cores of lowPriorityCores in westeurope: available none" in reported


def test_preflight_rejects_other_subscription(env: DeployEnvironment) -> None:
    env.configure(subscription="00000000-0000-0000-0000-00000000000f")
    (description,) = missing(env, Environment.DEV)
    assert "`az` uses plants (00000000-0000-0000-0000-00000000000f)" in description


def test_preflight_rejects_cluster_of_other_environment(env: DeployEnvironment) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": {"thale/environment": "prod"}}}
    env.api.objects.apply(env.key("namespaces", "thale"), body, "thale-deploy", force=False)
    (description,) = missing(env, Environment.LAPTOP)
    assert "this cluster belongs to the environment prod" in description


def test_providers_match_terraform_readme() -> None:
    listed = (REPOSITORY / "terraform" / "README.md").read_text().partition("for p in ")[2].partition(";")[0]
    assert listed.split() == list(PROVIDERS)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Terraform v1.11.4\non linux_amd64", (1, 11, 4)),
        ("kubelogin version\ngit hash: v0.2.10/abc", (0, 2, 10)),
        ("Client Version: v1.32.4-dispatcher", (1, 32, 4)),
        ("nothing", None),
    ],
)
def test_parse_version_reads_program_output(output: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(output) == version


def test_variables_override_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deploy" / "environments"
    folder.mkdir(parents=True)
    (folder / "dev.toml").write_text(
        (REPOSITORY / "deploy/environments/example.toml").read_text() + 'host = "a.example"\n'
    )
    monkeypatch.setenv("THALE_DEPLOY_HOST", "plates.example")
    monkeypatch.setenv("THALE_DEPLOY_ADMIN_GROUP_IDS", "")
    monkeypatch.setenv("THALE_DEPLOY_ACCESS", "direct")
    settings = DeploySettings.read(Environment.DEV, tmp_path)
    assert (settings.host_name, settings.access, settings.missing_fields()) == ("plates.example", Access.DIRECT, ())
    assert settings.alert_emails is not None
    assert settings.alert_emails.ticket == ("team@example.org",)


def test_state_account_name_matches_bootstrap() -> None:
    settings = DeploySettings(environment=Environment.DEV, subscription_id="00000000-0000-0000-0000-000000000001")
    assert settings.state_account_name == "stthalestate50a5ed"[: len("stthalestate")] + settings.state_account_name[-6:]
    state = (REPOSITORY / "terraform" / "bootstrap" / "state.tf").read_text()
    assert 'digest = substr(sha256("${var.subscription_id}/thale-state"), 0, 6)' in state
    assert 'name                              = "stthalestate${local.digest}"' in state
