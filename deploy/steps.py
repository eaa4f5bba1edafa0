"""The steps in order, and their runner, which skips steps that were completed with the same inputs."""

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape

from deploy import cluster as clusters
from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.settings import Environment
from deploy.state import State, digest


@dataclass(frozen=True)
class DeployStep:
    """One step: a module of this package with the function `run(context)`."""

    name: str
    title: str
    cached: bool = False
    """Whether the module also has `cache_inputs(context)`: with unchanged inputs the step is skipped. Other steps
    always run, and change only what differs."""
    on_laptop: bool = True
    needs_cluster: bool = True
    """Whether a new cluster repeats the step, even one of the same name."""

    def belongs_to(self, environment: Environment) -> bool:
        """Return whether the environment has this step."""
        return environment.on_azure or self.on_laptop

    def run(self, context: DeployContext) -> None:
        """Run the step.

        Raises:
            DeployError: If it fails.
        """
        importlib.import_module(f"deploy.{self.name}").run(context)

    def inputs_digest(self, context: DeployContext) -> str:
        """Return the digest of the step's inputs; empty if the step always runs."""
        if not self.cached:
            return ""
        return digest(importlib.import_module(f"deploy.{self.name}").cache_inputs(context))


STEPS: Sequence[DeployStep] = (
    DeployStep("preflight", "check the prerequisites", needs_cluster=False),
    DeployStep("terraform", "create the Azure resources", cached=True, on_laptop=False, needs_cluster=False),
    DeployStep("facts", "write the facts of the overlay", needs_cluster=False),
    DeployStep("images", "build the images", cached=True),
    DeployStep("platform", "install the add-ons", cached=True),
    DeployStep("models", "register the default models", cached=True),
    DeployStep("credentials", "create the missing Secrets"),
    DeployStep("overlay", "apply the manifests"),
    DeployStep("readiness", "wait until all objects are ready"),
    DeployStep("smoke", "measure a synthetic plate through the gateway"),
    DeployStep("summary", "print addresses, versions and cost"),
)


def get_step(name: str) -> DeployStep:
    """Return the step with a name.

    Raises:
        KeyError: If there is no such step.
    """
    return {step.name: step for step in STEPS}[name]


def run_steps(context: DeployContext, *, fresh: bool = False) -> None:
    """Run every step of the environment that is not up to date.

    Args:
        context: The environment.
        fresh: Ignore the recorded state, so that every step runs.

    Raises:
        DeployError: If a step fails. The steps before it stay completed.
    """
    with context.lock():
        state = State() if fresh else State.read(context.state_file)
        steps = [step for step in STEPS if step.belongs_to(context.environment)]
        completed: list[str] = []
        is_of_cluster = False
        for number, step in enumerate(steps, start=1):
            try:
                if step.needs_cluster and not is_of_cluster:
                    state, is_of_cluster = state_of_cluster(context, state), True
                state = _run_unless_current(context, step, state, f"{number}/{len(steps)}")
            except DeployError as error:
                _print_failure(context, step, completed)
                raise error
            completed.append(step.name)


def run_step(context: DeployContext, step: DeployStep) -> None:
    """Run a step, even if it is up to date, and record it.

    Raises:
        DeployError: If it fails.
    """
    with context.lock():
        inputs_digest = step.inputs_digest(context)
        step.run(context)
        state = State.read(context.state_file)
        if step.needs_cluster:
            state = state_of_cluster(context, state)
        state.with_completed(step.name, inputs_digest).write(context.state_file)


def state_of_cluster(context: DeployContext, state: State) -> State:
    """Return the state for the environment's cluster. Steps of another cluster, even one of the same name, are removed.

    Raises:
        DeployError: If the cluster does not exist or does not respond.
    """
    identity = clusters.connect(context).identity()
    if state.cluster and state.cluster != identity:
        context.log("this is another cluster than that of the last deploy: the steps on the cluster run again")
    return state.for_cluster(identity, {step.name for step in STEPS if not step.needs_cluster})


def _run_unless_current(context: DeployContext, step: DeployStep, state: State, position: str) -> State:
    inputs_digest = step.inputs_digest(context)
    title = f"[bold]{position} {step.name}[/] {escape(step.title)}"
    if state.is_current(step.name, inputs_digest):
        context.console.print(
            f"{title}: unchanged since {state.steps[step.name].at:%Y-%m-%d %H:%M} UTC", highlight=False
        )
        return state
    context.console.print(title, highlight=False)
    started_s = time.monotonic()
    step.run(context)
    after = state.with_completed(step.name, inputs_digest)
    after.write(context.state_file)
    context.console.print(f"  [dim]{step.name} done in {time.monotonic() - started_s:.0f} s[/]", highlight=False)
    return after


def _print_failure(context: DeployContext, step: DeployStep, completed: Sequence[str]) -> None:
    context.console.print(
        f"\n[bold red]{step.name} failed.[/] Completed before it: {', '.join(completed) or 'nothing'}.", highlight=False
    )
    context.console.print(f"Resume with: [bold]make deploy ENV={context.environment}[/]", highlight=False)
