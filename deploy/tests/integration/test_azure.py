"""Deploys to Azure, with the real Terraform and a fake provider, and the real kubectl and a fake API server."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy import terraform
from deploy.cluster import connect
from deploy.context import DeployContext
from deploy.destroy import destroy
from deploy.errors import DeployError, ForbiddenOperationError
from deploy.history import load_history
from deploy.invoke import invoke
from deploy.settings import Access, Environment
from deploy.state import State
from deploy.steps import STEPS, get_step
from tests.support.deploy_environment import ACCESS_TOKEN, ENTRA_AUDIENCE, REPOSITORY, DeployEnvironment
from tests.support.fake_kubernetes_objects import Key

pytestmark = pytest.mark.integration

OUTPUTS = Path(__file__).parents[1] / "data" / "outputs.json"
"""Output of `terraform output -json` for dev, with readable names for generated values."""

FAULTS = {
    "preflight": "az account show",
    "terraform": "terraform init",
    "facts": None,
    "images": "az acr task run",
    "platform": "helm status",
    "models": "kubectl apply",
    "credentials": "kubectl create",
    "overlay": "kubectl kustomize",
    "readiness": "kubectl get deployments.apps",
    "smoke": "kubectl get gateways",
    "summary": None,
}
"""The call that makes each step fail; two steps have no call of their own."""


@pytest.mark.usefixtures("real_terraform")
@pytest.mark.timeout(1200)
def test_azure_deploy_resumes_after_failure_of_each_step(env: DeployEnvironment) -> None:
    assert list(FAULTS) == [step.name for step in STEPS]
    context = env.context(Environment.DEV, access=Access.DIRECT)
    for name, fault in FAULTS.items():
        if fault is None:
            continue
        env.configure(faults=[fault])
        env.clear_calls()
        with pytest.raises(DeployError, match=r"connection refused|a login to Azure|deploy.addons.install apply"):
            env.run_steps(context)
        output = env.output.getvalue()
        before = [step for step in FAULTS if step not in list(FAULTS)[list(FAULTS).index(name) :]]
        assert f"{name} failed. Completed before it: {', '.join(before) or 'nothing'}." in output
        assert "Resume with: make deploy ENV=dev" in output
        assert State.read(context.state_file).steps.keys() == set(before)
        for earlier in {"terraform", "images", "platform", "models"} & set(before):
            assert f"{earlier} " in output, f"no line for {earlier}"
    env.clear_calls()
    output = env.run_steps(context)
    assert output.count("unchanged since") == 4
    assert [record.number for record in load_history(connect(context))] == [1]
    assert not env.calls("terraform")[1:]  # the first call is the version check
    _check_deployed_objects(env)
    _check_rerun(env, context)
    _check_destroy(env, context)


def _check_deployed_objects(env: DeployEnvironment) -> None:
    output = env.output.getvalue()
    objects = env.api.objects
    facts = yaml.safe_load((env.root / "kubernetes/overlays/aks-dev/facts.yaml").read_text())["data"]
    assert facts["host"] == "thale.dev.internal"
    assert facts["blob_endpoint"] == "https://stthaledev.blob.core.windows.net/"
    assert facts["entra_audience"] == ENTRA_AUDIENCE
    assert (facts["node_subnet"], facts["api_server_range"]) == ("snet-nodes", "10.40.17.0/28")
    facade = objects.get(Key("deployments", "thale", "facade"))["spec"]["template"]["spec"]["containers"][0]
    assert facade["image"].startswith("crthaledev.azurecr.io/thale/services@sha256:0000")
    segmenter = objects.get(Key("inferenceservices", "thale", "plate-seg"))
    assert segmenter["spec"]["predictor"]["model"]["storageUri"].startswith(
        "https://stthaledev.blob.core.windows.net/models/plate-seg/1.0.0/"
    )
    (registration,) = objects.list("jobs", "thale-training")
    pod = registration["spec"]["template"]
    assert pod["spec"]["serviceAccountName"] == "trainer"
    assert pod["spec"]["containers"][0]["command"][-1] == "https://stthaledev.blob.core.windows.net/models"
    for expected in ("thale.dev.internal", "plate-landmarks", "an hour at rest", "aks-thale-dev-westeurope", "passed"):
        assert expected in output


def _check_rerun(env: DeployEnvironment, context: DeployContext) -> None:
    """Deploy without the state file, as on another machine: nothing is created twice."""
    version = env.api.objects.version
    env.clear_calls()
    context.state_file.unlink()
    output = env.run_steps(context)
    assert env.api.objects.version == version
    assert env.calls("terraform", f"-chdir={env.root / 'terraform' / 'azure'}", "plan")
    assert not env.calls("terraform", f"-chdir={env.root / 'terraform' / 'azure'}", "apply")
    assert not env.calls("az", "acr", "task", "run")
    assert "no differences" in output


def _check_destroy(env: DeployEnvironment, context: DeployContext) -> None:
    """Destroy the environment, which needs its name. Without `make destroy`, Terraform refuses it."""
    with pytest.raises(DeployError, match=r"(?s)Instance cannot be destroyed.*lifecycle.prevent_destroy"):
        terraform.plan(context, "-destroy")
    with pytest.raises(ForbiddenOperationError, match="the name does not match: nothing of dev was destroyed"):
        destroy(context, lambda text: "prod")
    assert context.state_file.exists()
    destroy(context, lambda text: "dev")
    assert not list((env.root / "terraform" / "azure").glob("destroy_override*"))
    list_state = ["terraform", f"-chdir={env.root / 'terraform/azure'}", "state", "list"]
    assert not subprocess.run(list_state, capture_output=True, text=True).stdout
    assert not (env.root / ".deploy" / "dev").exists()


def test_private_cluster_is_reached_by_command_invoke(env: DeployEnvironment) -> None:
    context = env.context(Environment.DEV)
    shutil.copyfile(OUTPUTS, context.folder / "outputs.json")
    for name in ("facts", "images", "platform", "credentials", "overlay", "smoke"):
        get_step(name).run(context)
    commands = [call[call.index("--command") + 1] for call in env.calls("az", "aks", "command", "invoke")]
    pod_commands = [command.partition("; ")[2] for command in commands]
    assert any(command.startswith("kubectl apply --server-side") for command in pod_commands)
    assert any(command.startswith("helm status apply --environment dev ") for command in pod_commands)
    assert any(
        " https://thale.dev.internal/v1/phenotype" in command for command in pod_commands if command[:5] == "curl "
    )
    assert not env.calls("az", "aks", "get-credentials")
    assert env.gateway.hosts == ["thale.dev.internal"]
    assert env.gateway.credentials == [f"Bearer {ACCESS_TOKEN}"]
    assert not any(ACCESS_TOKEN in command for command in commands), "Azure logs the commands"
    assert env.api.objects.get(Key("deployments", "thale", "facade"))
    with pytest.raises(DeployError, match="run it inside the network"):
        invoke(context, ["kubectl", "port-forward", "service/facade", "80"])


def test_outputs_fixture_matches_terraform_outputs() -> None:
    expected = json.loads(OUTPUTS.read_text())["facts"]["value"]
    source = (REPOSITORY / "terraform" / "azure" / "outputs.tf").read_text()
    assert all(f"{name} " in source for name in expected)


def test_unknown_region_is_reported(env: DeployEnvironment) -> None:
    context = env.context(Environment.DEV, region="secondary")
    shutil.copyfile(OUTPUTS, context.folder / "outputs.json")
    with pytest.raises(DeployError, match="dev has no region secondary: set one of primary"):
        get_step("facts").run(context)
