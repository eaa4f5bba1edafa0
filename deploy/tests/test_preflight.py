"""Preflight reports all missing prerequisites at once, each with its remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import preflight
from deploy.context import DeployContext
from deploy.destroy import destroy
from deploy.errors import PrerequisitesMissingError, SettingsError
from deploy.plan import print_plan
from deploy.settings import Access, DeploySettings, Environment
from deploy.subscription import PROVIDERS
from deploy.tools import parse_version
from tests.support.deploy_environment import REPOSITORY, DeployEnvironment


def missing(env: DeployEnvironment, environment: Environment, **settings: object) -> dict[str, str]:
    with pytest.raises(PrerequisitesMissingError) as caught:
        preflight.run(env.context(environment, **settings))
    return {each.description: each.remedy for each in caught.value.missing}


@pytest.mark.integration
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


def size(name: str, cores: int, family: str, **facts: object) -> dict[str, object]:
    """Return a VM size as `az vm list-skus` prints it, available in three zones unless `facts` say otherwise."""
    zones = [{"location": "westeurope", "zones": ["1", "2", "3"]}]
    capabilities = [{"name": "vCPUs", "value": str(cores)}]
    return {"name": name, "family": family, "capabilities": capabilities, "locationInfo": zones, **facts}


def usage(name: str, used: int, limit: int) -> dict[str, object]:
    return {"name": {"value": name}, "currentValue": used, "limit": limit}


SIZES = [
    size("Standard_D4ds_v5", 4, "standardDDSv5Family"),
    size("Standard_D8ds_v5", 8, "standardDDSv5Family"),
    size("Standard_NC4as_T4_v3", 4, "Standard NCASv3_T4 Family"),
    size("Standard_NC24ads_A100_v4", 24, "StandardNCADSA100v4Family"),
]
PLENTY = [
    usage(name, 0, 1000)
    for name in ("standardDDSv5Family", "Standard NCASv3_T4 Family", "StandardNCADSA100v4Family", "lowPriorityCores")
]


def set_tfvars(env: DeployEnvironment, environment: Environment, text: str) -> None:
    """Append variables to the tfvars file of an environment."""
    path = env.root / "terraform" / "environments" / f"{environment}.tfvars"
    path.write_text(f"{path.read_text()}\n{text}\n")


def use_gpus(env: DeployEnvironment, environment: Environment) -> None:
    """Add the GPU component to the overlay of dev, and raise its pool to the two nodes of two models."""
    path = env.root / "kubernetes" / "overlays" / environment.overlay / "kustomization.yaml"
    path.write_text(path.read_text().replace("components:\n", "components:\n  - ../../components/gpu\n"))
    pools = env.root / "terraform" / "environments" / f"{environment}.tfvars"
    pools.write_text(pools.read_text().replace("max_nodes = 1, spot = false", "max_nodes = 2, spot = false"))


@pytest.mark.integration
def test_preflight_reports_all_subscription_problems(env: DeployEnvironment) -> None:
    location = {"type": "Location", "reasonCode": "NotAvailableForSubscription"}
    gpu = size("Standard_NC4as_T4_v3", 4, "Standard NCASv3_T4 Family", restrictions=[location])
    usages = [usage("standardDDSv5Family", 8, 30), usage("cores", 8, 400)]
    env.configure(sizes=[*SIZES[:2], gpu], usages=usages, encryption="NotRegistered", providers=["Microsoft.Compute"])
    use_gpus(env, Environment.DEV)
    reported = missing(env, Environment.DEV)
    (providers,) = [remedy for name, remedy in reported.items() if name.startswith("registered resource providers")]
    assert providers.startswith("for p in Microsoft.ContainerService ")
    assert "the feature EncryptionAtHost" in reported
    assert "the VM size Standard_NC4as_T4_v3 in westeurope: NotAvailableForSubscription" in reported
    # dev's pools at maximum size: 3 x 4 + 3 x 4 cores, of which 22 are free; a T4 for inference
    assert "quota of 24 cores of standardDDSv5Family in westeurope: available 30, of which 8 in use" in reported
    assert "quota of 8 cores of Standard NCASv3_T4 Family in westeurope: available none" in reported


@pytest.mark.integration
def test_preflight_checks_regional_cores(env: DeployEnvironment) -> None:
    env.configure(sizes=SIZES, usages=[*PLENTY, usage("cores", 0, 20)])
    assert list(missing(env, Environment.DEV)) == [
        "quota of 24 cores of all families in westeurope: available 20, of which 0 in use"
    ]


@pytest.mark.integration
def test_preflight_counts_spot_cores_separately(env: DeployEnvironment) -> None:
    env.configure(sizes=SIZES, usages=[*PLENTY, usage("cores", 0, 32)])
    use_gpus(env, Environment.DEV)
    preflight.run(env.context(Environment.DEV))


@pytest.mark.integration
def test_preflight_checks_gpu_quota_only_if_used(env: DeployEnvironment) -> None:
    usages = [usage("standardDDSv5Family", 0, 100), usage("cores", 0, 100)]
    env.configure(sizes=SIZES, usages=usages)
    preflight.run(env.context(Environment.DEV))
    use_gpus(env, Environment.DEV)
    reported = missing(env, Environment.DEV)
    assert list(reported) == ["quota of 8 cores of Standard NCASv3_T4 Family in westeurope: available none"]


@pytest.mark.integration
def test_preflight_checks_each_region(env: DeployEnvironment) -> None:
    plenty = [*PLENTY, usage("cores", 0, 1000)]
    small = [usage("standardDDSv5Family", 0, 10), usage("cores", 0, 1000)]
    env.configure(
        sizes={"westeurope": SIZES, "northeurope": SIZES[:3]}, usages={"westeurope": plenty, "northeurope": small}
    )
    set_tfvars(env, Environment.STAGING, 'secondary_location = "northeurope"')
    reported = missing(env, Environment.STAGING)
    # staging's pools at maximum size: 3 x 4 + 6 x 4 cores in each region
    assert list(reported) == [
        "the VM size Standard_NC24ads_A100_v4 in northeurope: the region does not have it",
        "quota of 36 cores of standardDDSv5Family in northeurope: available 10, of which 0 in use",
    ]


@pytest.mark.integration
@pytest.mark.parametrize(("restricted", "used"), [("3", False), ("1", True)])
def test_preflight_checks_zones_of_sizes(env: DeployEnvironment, restricted: str, *, used: bool) -> None:
    zone = {"type": "Zone", "reasonCode": "NotAvailableForSubscription", "restrictionInfo": {"zones": [restricted]}}
    nodes = size("Standard_D4ds_v5", 4, "standardDDSv5Family", restrictions=[zone])
    env.configure(sizes=[nodes, *SIZES[1:]], usages=[*PLENTY, usage("cores", 0, 1000)])
    if used:  # dev uses zone 1 only
        (description,) = missing(env, Environment.DEV)
        assert description == "the VM size Standard_D4ds_v5 in zone 1 of westeurope for this subscription"
    else:
        preflight.run(env.context(Environment.DEV))


@pytest.mark.integration
@pytest.mark.parametrize("version", ["podman version 4.9.3", "podman version 5.4.0"])
def test_preflight_accepts_podman_as_docker(env: DeployEnvironment, version: str) -> None:
    env.configure(engine=version)
    preflight.run(env.context(Environment.LAPTOP))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("version", "minimum"),
    [("podman version 3.4.2", "podman 4.0.0"), ("Docker version 19.03.1, build a", "docker 20.10.0")],
)
def test_preflight_reports_old_container_engine(env: DeployEnvironment, version: str, minimum: str) -> None:
    env.configure(engine=version)
    (description,) = missing(env, Environment.LAPTOP)
    assert description == f"{minimum} or newer: the installed version is {version}"


@pytest.mark.integration
def test_preflight_rejects_other_subscription(env: DeployEnvironment) -> None:
    env.configure(subscription="00000000-0000-0000-0000-00000000000f")
    (description,) = missing(env, Environment.DEV)
    assert "`az` uses plants (00000000-0000-0000-0000-00000000000f)" in description


@pytest.mark.integration
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


@pytest.mark.integration
@pytest.mark.parametrize("action", [print_plan, lambda context: destroy(context, str)], ids=["plan", "destroy"])
def test_plan_and_destroy_check_settings_first(env: DeployEnvironment, action: Callable[[DeployContext], None]) -> None:
    """Without a subscription, every organisation would compute the name of the same state account."""
    with pytest.raises(PrerequisitesMissingError, match="subscription_id is not set"):
        action(env.context(Environment.DEV, subscription_id=None))
    assert not env.calls("terraform")


def test_state_account_requires_a_subscription() -> None:
    with pytest.raises(SettingsError, match="subscription_id is not set"):
        _ = DeploySettings(environment=Environment.DEV).state_account_name
    assert DeploySettings(environment=Environment.DEV, state_account="mine").state_account_name == "mine"


def test_state_account_name_matches_bootstrap() -> None:
    settings = DeploySettings(environment=Environment.DEV, subscription_id="00000000-0000-0000-0000-000000000001")
    assert settings.state_account_name == "stthalestate50a5ed"[: len("stthalestate")] + settings.state_account_name[-6:]
    state = (REPOSITORY / "terraform" / "bootstrap" / "state.tf").read_text()
    assert 'digest = substr(sha256("${var.subscription_id}/thale-state"), 0, 6)' in state
    assert 'name                              = "stthalestate${local.digest}"' in state
