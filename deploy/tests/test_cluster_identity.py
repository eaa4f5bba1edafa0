"""Steps belong to one cluster, and an unreachable one is reported in one sentence."""

import json

import pytest

from deploy import models
from deploy.context import DeployContext
from deploy.errors import ClusterUnreachableError, NotReadyError
from deploy.plan import print_plan
from deploy.settings import Environment
from deploy.state import State
from deploy.status import print_status
from deploy.steps import get_step, run_step, state_of_cluster
from tests.support.deploy_environment import DeployEnvironment


def complete(env: DeployEnvironment, context: DeployContext, *steps: str) -> None:
    for name in steps:
        run_step(context, get_step(name))


@pytest.mark.integration
def test_new_cluster_of_the_same_name_runs_steps_again(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    complete(env, context, "facts", "images", "platform")
    assert state_of_cluster(context, State.read(context.state_file)).steps.keys() == {"facts", "images", "platform"}
    print_plan(context)
    assert "images: unchanged" in env.output.getvalue()
    env.api.recreate()
    print_plan(context)
    for line in ("another cluster than that of the last deploy", "images: would run", "platform: would run"):
        assert line in env.output.getvalue()
    env.clear_calls()
    complete(env, context, "platform")
    assert State.read(context.state_file).steps.keys() == {"facts", "platform"}


@pytest.mark.integration
def test_status_of_new_cluster_shows_no_completed_steps(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    complete(env, context, "images")
    env.api.recreate()
    env.output.truncate(0)
    print_status(context)
    (images,) = (line for line in env.output.getvalue().splitlines() if line.strip().startswith("images"))
    assert "not yet" in images


@pytest.mark.integration
def test_state_without_a_cluster_is_not_trusted(env: DeployEnvironment) -> None:
    """Earlier versions recorded no identity."""
    context = env.context(Environment.LAPTOP)
    complete(env, context, "images")
    content = json.loads(context.state_file.read_text())
    del content["cluster"]
    context.state_file.write_text(json.dumps(content))
    assert not state_of_cluster(context, State.read(context.state_file)).steps


def test_terraform_stays_completed_on_a_new_cluster() -> None:
    state = State(cluster="a").with_completed("terraform", "1").with_completed("platform", "2")
    assert state.for_cluster("b", {"terraform"}).steps.keys() == {"terraform"}
    assert state.for_cluster("a", ()) == state


@pytest.mark.integration
def test_unreachable_cluster_is_one_sentence(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    env.api.disconnect()
    for action in (print_status, print_plan):
        with pytest.raises(ClusterUnreachableError) as caught:
            action(context)
        text = str(caught.value)
        assert text.startswith("the cluster of laptop does not respond (")
        assert text.endswith("set `context = …` in the settings to one of: kubectl config get-contexts")
        assert "\n" not in text


@pytest.mark.integration
def test_missing_context_is_one_sentence(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP, context="missing")
    with pytest.raises(ClusterUnreachableError, match=r"is selected \(.*context.* missing"):
        print_status(context)


@pytest.mark.integration
def test_models_survives_a_failing_log_request(env: DeployEnvironment) -> None:
    context = env.context(Environment.LAPTOP)
    complete(env, context, "facts", "images", "platform")
    env.configure(faults=["kubectl logs"])
    models.run(context)
    assert "its log is not available: kubectl: connection refused" in env.output.getvalue()


@pytest.mark.integration
def test_models_logs_why_the_pod_of_the_job_is_pending(env: DeployEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    context = env.context(Environment.LAPTOP, wait_s=0.5)
    complete(env, context, "facts", "images", "platform")
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    env.api.add_pod("register-models-1", {"containerStatuses": [{"name": "register", "state": {"waiting": waiting}}]})
    monkeypatch.setattr(models, "_final_condition", lambda found: None)
    with pytest.raises(NotReadyError, match="did not end within"):
        models.run(context)
    assert "waiting: pod register-models-1: ImagePullBackOff (no such image)" in env.output.getvalue()
