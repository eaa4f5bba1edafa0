"""An environment on Azure: Terraform for real against a provider that plays Azure, kubectl against an API of ours."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.cluster import connect
from deploy.context import Job
from deploy.destroy import destroy
from deploy.errors import DeployError, RefusedError
from deploy.history import records
from deploy.invoke import invoke
from deploy.settings import Access, Environment
from deploy.state import State
from deploy.steps import STEPS, step_named
from tests.support.deploy_environment import REPOSITORY, Stage
from tests.support.fake_kubernetes_objects import Key

OUTPUTS = Path(__file__).parent / "data" / "outputs.json"
"""What `terraform output -json` prints of dev, its provider's inventions given names."""

FAULTS = {
    "preflight": "az account show",
    "terraform": "terraform init",
    "facts": None,
    "images": "az acr task run",
    "platform": "helm status",
    "models": "kubectl apply",
    "overlay": "kubectl create",
    "wait": "kubectl get deployments.apps",
    "smoke": "kubectl get gateways",
    "summary": None,
}
"""The call by which each step can be made to fail; two of them call nothing of their own."""


@pytest.mark.usefixtures("real_terraform")
@pytest.mark.timeout(1200)
def test_a_deploy_that_fails_at_every_step_goes_on_where_it_failed(stage: Stage) -> None:
    assert list(FAULTS) == [step.name for step in STEPS]
    job = stage.job(Environment.DEV, access=Access.DIRECT)
    for name, fault in FAULTS.items():
        if fault is None:
            continue
        stage.play(faults=[fault])
        stage.forget_calls()
        with pytest.raises(DeployError, match=r"the network is away|nobody is signed in|install.py apply"):
            stage.run_all(job)
        said = stage.said.getvalue()
        before = [step for step in FAULTS if step not in list(FAULTS)[list(FAULTS).index(name) :]]
        assert f"{name} failed. Done before it: {', '.join(before) or 'nothing'}." in said
        assert "Go on there with: make deploy ENV=dev" in said
        assert State.read(job.state_file).steps.keys() == set(before)
        for earlier in {"terraform", "images", "platform", "models"} & set(before):
            assert f"{earlier} " in said, "it is told"
    stage.forget_calls()
    said = stage.run_all(job)
    assert said.count("unchanged since") == 4
    assert [record.number for record in records(connect(job))] == [1]
    assert not stage.calls("terraform")[1:]  # its version was asked for
    _check_what_was_deployed(stage)
    _check_the_second_time(stage, job)
    _check_the_end(stage, job)


def _check_what_was_deployed(stage: Stage) -> None:
    said = stage.said.getvalue()
    objects = stage.api.objects
    facts = yaml.safe_load((stage.root / "kubernetes/overlays/aks-dev/facts.yaml").read_text())["data"]
    assert facts["host"] == "thale.dev.internal"
    assert facts["blob_endpoint"] == "https://stthaledev.blob.core.windows.net/"
    assert (facts["node_subnet"], facts["api_server_range"]) == ("snet-nodes", "10.40.17.0/28")
    facade = objects.get(Key("deployments", "thale", "facade"))["spec"]["template"]["spec"]["containers"][0]
    assert facade["image"].startswith("crthaledev.azurecr.io/thale/services@sha256:0000")
    segmenter = objects.get(Key("inferenceservices", "thale", "plate-seg"))
    assert segmenter["spec"]["predictor"]["model"]["storageUri"].startswith(
        "https://stthaledev.blob.core.windows.net/models/plate-seg/1.0.0/"
    )
    (registering,) = objects.list("jobs", "thale-training")
    pod = registering["spec"]["template"]
    assert pod["spec"]["serviceAccountName"] == "trainer"
    assert pod["spec"]["containers"][0]["command"][-1] == "https://stthaledev.blob.core.windows.net/models"
    for told in ("thale.dev.internal", "plate-landmarks", "an hour at rest", "aks-thale-dev-westeurope", "passed"):
        assert told in said


def _check_the_second_time(stage: Stage, job: Job) -> None:
    """Look again with nothing remembered, as on another machine: still nothing is made twice."""
    version = stage.api.objects.version
    stage.forget_calls()
    job.state_file.unlink()
    said = stage.run_all(job)
    assert stage.api.objects.version == version
    assert stage.calls("terraform", f"-chdir={stage.root / 'terraform' / 'azure'}", "plan")
    assert not stage.calls("terraform", f"-chdir={stage.root / 'terraform' / 'azure'}", "apply")
    assert not stage.calls("az", "acr", "task", "run")
    assert "nothing differs" in said


def _check_the_end(stage: Stage, job: Job) -> None:
    """Take it down again; not without its name."""
    with pytest.raises(RefusedError, match="that is not its name: nothing was destroyed of dev"):
        destroy(job, lambda question: "prod")
    assert job.state_file.exists()
    destroy(job, lambda question: "dev")
    left = ["terraform", f"-chdir={stage.root / 'terraform/azure'}", "state", "list"]
    assert not subprocess.run(left, capture_output=True, text=True).stdout
    assert not (stage.root / ".deploy" / "dev").exists()


def test_a_private_cluster_is_reached_by_commands_that_are_carried_into_it(stage: Stage) -> None:
    job = stage.job(Environment.DEV)
    shutil.copyfile(OUTPUTS, job.folder / "outputs.json")
    for name in ("facts", "images", "platform", "overlay", "smoke"):
        step_named(name).run(job)
    commands = [call[call.index("--command") + 1] for call in stage.calls("az", "aks", "command", "invoke")]
    carried = [command.partition("; ")[2] for command in commands]
    assert any(command.startswith("kubectl apply --server-side") for command in carried)
    assert any(command.startswith("helm status apply --environment dev ") for command in carried)
    assert any(" https://thale.dev.internal/v1/phenotype" in command for command in carried if command[:5] == "curl ")
    assert not stage.calls("az", "aks", "get-credentials")
    assert stage.gateway.asked == ["thale.dev.internal"]
    assert stage.api.objects.get(Key("deployments", "thale", "facade"))
    with pytest.raises(DeployError, match="be in its network for it"):
        invoke(job, ["kubectl", "port-forward", "service/facade", "80"])


def test_the_outputs_of_the_tests_are_those_that_terraform_has() -> None:
    told = json.loads(OUTPUTS.read_text())["facts"]["value"]
    source = (REPOSITORY / "terraform" / "azure" / "outputs.tf").read_text()
    assert all(f"{name} " in source for name in told)


def test_a_region_that_is_not_there_is_named(stage: Stage) -> None:
    job = stage.job(Environment.DEV, region="secondary")
    shutil.copyfile(OUTPUTS, job.folder / "outputs.json")
    with pytest.raises(DeployError, match="dev has no region secondary: it has primary"):
        step_named("facts").run(job)
