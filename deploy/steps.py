"""The steps in their order, and how a run goes through them: what is finished with the same inputs is left alone."""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape

from deploy.context import DeployContext
from deploy.errors import DeployError
from deploy.settings import Environment
from deploy.state import State, digest

Inputs = Callable[[DeployContext], Mapping[str, object]]


@dataclass(frozen=True)
class Step:
    """One step: a module of this package with `run(job)`."""

    name: str
    title: str
    cached: bool = False
    """Its module has `inputs(job)` too: with the same inputs as the last time it is not run again. The others look at
    what is there each time, and change it only where it differs."""
    on_laptop: bool = True

    def belongs_to(self, environment: Environment) -> bool:
        """Whether the environment has this step."""
        return environment.on_azure or self.on_laptop

    def run(self, context: DeployContext) -> None:
        """Do it.

        Raises:
            DeployError: If it fails.
        """
        importlib.import_module(f"deploy.{self.name}").run(context)

    def inputs_digest(self, context: DeployContext) -> str:
        """Return the digest of what it is made from; empty where it looks each time."""
        if not self.cached:
            return ""
        return digest(importlib.import_module(f"deploy.{self.name}").cache_inputs(context))


STEPS: Sequence[Step] = (
    Step("preflight", "what a deploy needs"),
    Step("terraform", "the cloud", cached=True, on_laptop=False),
    Step("facts", "what the overlay must know of the place"),
    Step("images", "images, built and where the cluster finds them", cached=True),
    Step("platform", "add-ons of the cluster", cached=True),
    Step("models", "default models in the store", cached=True),
    Step("overlay", "manifests, applied"),
    Step("readiness", "everything is ready"),
    Step("smoke", "a drawn plate is measured through the gateway"),
    Step("summary", "what runs where, and what it costs"),
)


def get_step(name: str) -> Step:
    """Return a step.

    Raises:
        KeyError: If there is none of that name.
    """
    return {step.name: step for step in STEPS}[name]


def run_steps(context: DeployContext, *, fresh: bool = False) -> None:
    """Run every step of the environment that is not finished.

    Args:
        job: Where to.
        fresh: Forget what is finished, so that every step looks anew.

    Raises:
        DeployError: If a step fails; what is finished before it stays finished.
    """
    with context.lock():
        state = State() if fresh else State.read(context.state_file)
        steps = [step for step in STEPS if step.belongs_to(context.environment)]
        completed: list[str] = []
        for number, step in enumerate(steps, start=1):
            try:
                state = _run_unless_current(context, step, state, f"{number}/{len(steps)}")
            except DeployError as error:
                _print_failure(context, step, completed)
                raise error
            completed.append(step.name)


def run_step(context: DeployContext, step: Step) -> None:
    """Run a step, finished or not, and remember that it is.

    Raises:
        DeployError: If it fails.
    """
    with context.lock():
        inputs_digest = step.inputs_digest(context)
        step.run(context)
        State.read(context.state_file).with_completed(step.name, inputs_digest).write(context.state_file)


def _run_unless_current(context: DeployContext, step: Step, state: State, position: str) -> State:
    inputs_digest = step.inputs_digest(context)
    title = f"[bold]{position} {step.name}[/] {escape(step.title)}"
    if state.is_current(step.name, inputs_digest):
        context.console.print(
            f"{title}: unchanged since {state.steps[step.name].at:%Y-%m-%d %H:%M} UTC", highlight=False
        )
        return state
    context.console.print(title, highlight=False)
    began = time.monotonic()
    step.run(context)
    after = state.with_completed(step.name, inputs_digest)
    after.write(context.state_file)
    context.console.print(f"  [dim]{step.name} done in {time.monotonic() - began:.0f} s[/]", highlight=False)
    return after


def _print_failure(context: DeployContext, step: Step, completed: Sequence[str]) -> None:
    context.console.print(
        f"\n[bold red]{step.name} failed.[/] Done before it: {', '.join(completed) or 'nothing'}.", highlight=False
    )
    context.console.print(f"Go on there with: [bold]make deploy ENV={context.environment}[/]", highlight=False)
