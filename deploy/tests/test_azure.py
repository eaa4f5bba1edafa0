"""An environment on Azure: Terraform for real against a provider that plays Azure, kubectl against an API of ours."""

import json
import subprocess

import pytest
import yaml
from deploy_stage import SUBSCRIPTION, Stage
from kube_objects import Key

from deploy.errors import DeployError
from deploy.settings import Access, Environment
from deploy.state import State
from deploy.steps import STEPS

FAULTS = {
    "preflight": "az account show",
    "terraform": "terraform init",
    "facts": None,
    "images": "az acr task run",
    "platform": "helm status",
    "models": "kubectl apply",
    "overlay": "kubectl diff",
    "wait": "kubectl get deployments.apps",
    "smoke": "kubectl get gateways",
    "summary": None,
}
"""The call by which each step can be made to fail; two of them call nothing of their own."""


@pytest.mark.usefixtures("real_terraform")
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
    # Each was done once, however often the deploy was started again.
    said = stage.run_all(job)
    assert said.count("unchanged since") == 4
    assert not stage.calls("terraform")[1:]  # its version was asked for
    _check_what_was_deployed(stage)
    _check_the_second_time(stage, job)


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


def _check_the_second_time(stage: Stage, job: object) -> None:
    """Look again with nothing remembered, as on another machine: still nothing is made twice."""
    version = stage.api.objects.version
    stage.forget_calls()
    job.state_file.unlink()  # type: ignore[attr-defined]
    said = stage.run_all(job)  # type: ignore[arg-type]
    assert stage.api.objects.version == version
    assert stage.calls("terraform", f"-chdir={stage.root / 'terraform' / 'azure'}", "plan")
    assert not stage.calls("terraform", f"-chdir={stage.root / 'terraform' / 'azure'}", "apply")
    assert not stage.calls("az", "acr", "task", "run")
    assert "nothing differs" in said


@pytest.mark.usefixtures("real_terraform")
def test_a_private_cluster_is_reached_by_commands_that_are_carried_into_it(stage: Stage) -> None:
    job = stage.job(Environment.DEV)
    variables = {
        "THALE_DEPLOY_SUBSCRIPTION_ID": SUBSCRIPTION,
        "THALE_DEPLOY_ADMIN_GROUP_IDS": json.dumps(job.settings.admin_group_ids),
        "THALE_DEPLOY_ALERT_EMAILS": '{"page": ["pager@example.org"], "ticket": ["team@example.org"]}',
    }
    done = stage.command("up", "--env", "dev", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    carried = [call[call.index("--command") + 1] for call in stage.calls("az", "aks", "command", "invoke")]
    assert any(command.startswith("kubectl apply --server-side") for command in carried)
    assert any(command.startswith("helm status apply --environment dev") for command in carried)
    assert any(
        command.startswith("curl ") and "https://thale.dev.internal/v1/phenotype" in command for command in carried
    )
    assert not stage.calls("az", "aks", "get-credentials")
    assert stage.gateway.asked == ["thale.dev.internal"]

    refused = stage.command(
        "invoke", "--env", "dev", "--", "kubectl", "port-forward", "service/facade", "80", **variables
    )
    assert (refused.returncode, "be in its network" in refused.stderr) == (1, True)

    wrong = stage.command("destroy", "--env", "dev", "--confirm", "prod", **variables)
    assert (wrong.returncode, "that is not its name" in wrong.stderr) == (1, True), wrong.stdout + wrong.stderr
    assert (stage.root / ".deploy" / "dev").exists()
    gone = stage.command("destroy", "--env", "dev", "--confirm", "dev", **variables)
    assert gone.returncode == 0, gone.stdout + gone.stderr
    state = subprocess.run(
        ["terraform", f"-chdir={stage.root / 'terraform/azure'}", "state", "list"], capture_output=True, text=True
    )
    assert state.stdout.strip() in ("", "No state")
    assert not (stage.root / ".deploy" / "dev").exists()
