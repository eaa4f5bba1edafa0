"""Drills: a loss of the release state with its restoration, and a failover with its return. Both measure the time."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from deploy import cluster as clusters
from deploy.cluster import Cluster
from deploy.context import NAMESPACE, DeployContext
from deploy.day_two import cluster_checks
from deploy.day_two.failover import SETTLE_S, Pause, Probe, plan_failover
from deploy.day_two.procedure import run_procedure
from deploy.day_two.rebuild import rebuild
from deploy.day_two.release_copies import check_copies
from deploy.errors import DeployError, PrerequisitesMissingError
from deploy.settings import Environment

_KIND = "inferenceservices.serving.kserve.io"
_HISTORY = "release.thale/history"
Clock = Callable[[], float]


def drill_restore(context: DeployContext, *, apply: bool, clock: Clock = time.monotonic) -> Mapping[str, float]:
    """Delete the release state of a cluster, rebuild it, and compare. Returns the seconds of each phase.

    Args:
        context: The environment. Its predictors are deleted, so it does not serve for the time of the drill.
        apply: False prints what would happen.
        clock: Measures the phases.

    Raises:
        DeployError: If the environment is prod, the copies are not current, a step fails, or a change was lost.
    """
    if context.environment is Environment.PROD:
        raise DeployError("the drill interrupts serving: run it in laptop, dev or staging")
    cluster = clusters.connect(context)
    cluster.check_environment()
    problems = [*cluster_checks.find_unready_objects(cluster), *cluster_checks.find_running_rollouts(cluster)]
    if problems:
        raise PrerequisitesMissingError(problems)
    for line in check_copies(cluster).splitlines():
        context.log(line)
    before = _read_state(cluster)
    context.log("1. delete all InferenceServices and the controller's checkpoint: no model serves from now on")
    context.log(
        f"2. rebuild: make deploy ENV={context.environment} FRESH=1, then restore the copies and measure a plate"
    )
    context.log("3. compare the stable versions and the histories with those before")
    if not apply:
        context.log("dry run: nothing was changed; add --apply to run the drill")
        return {}
    started = clock()
    cluster.kubectl("delete", _KIND, "--all", "--namespace", NAMESPACE)
    cluster.kubectl("delete", "configmap", "thale-release-watch", "--namespace", NAMESPACE, "--ignore-not-found")
    seconds = rebuild(context, None, apply=True, clock=clock)
    _check_nothing_lost(before, _read_state(clusters.connect(context)))
    context.log(f"RTO: {clock() - started:.0f} s. RPO: no change of a release was lost")
    return seconds


def drill_failover(
    context: DeployContext,
    *,
    apply: bool,
    settle_s: float = SETTLE_S,
    probe: Probe | None = None,
    pause: Pause = time.sleep,
    clock: Clock = time.monotonic,
) -> None:
    """Move the traffic to the second region and back. If the first half fails, the traffic returns before the error.

    Raises:
        DeployError: If a check fails.
    """

    def run(*, back: bool) -> float:
        started = clock()
        plan = plan_failover(context, back=back, settle_s=settle_s, probe=probe, pause=pause)
        run_procedure(context, None, plan, apply=apply)
        return clock() - started

    try:
        forth_s = run(back=False)
    except PrerequisitesMissingError:
        raise  # nothing has changed
    except DeployError:
        if apply:
            context.log("the failover failed: returning to the first region")
            run(back=True)
        raise
    back_s = run(back=True)
    if apply:
        context.log(f"failover in {forth_s:.0f} s, return in {back_s:.0f} s; `make plan` must show no difference now")


def _read_state(cluster: Cluster) -> Mapping[str, tuple[str, list[Any]]]:
    """Return the stable version and the history of each model."""
    found = (cluster.get(_KIND, "--namespace", NAMESPACE) or {}).get("items", ())
    return {
        each["metadata"]["name"]: (
            str(each["spec"]["predictor"].get("name", "")),
            json.loads((each["metadata"].get("annotations") or {}).get(_HISTORY, "[]")),
        )
        for each in found
    }


def _check_nothing_lost(
    before: Mapping[str, tuple[str, list[Any]]], after: Mapping[str, tuple[str, list[Any]]]
) -> None:
    for model, (stable, history) in before.items():
        restored, events = after.get(model, ("none", []))
        if restored != stable or any(event not in events for event in history[-1:]):
            raise DeployError(
                f"{model} is {restored} instead of {stable}, or its history lacks a change: run "
                "python -m deploy.day_two rebuild --releases with a saved file"
            )
