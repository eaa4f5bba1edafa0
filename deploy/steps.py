"""The steps in their order, and how a run goes through them: what is finished with the same inputs is left alone."""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape

from deploy.context import Job
from deploy.errors import DeployError
from deploy.settings import Environment
from deploy.state import State, digest_of

Inputs = Callable[[Job], Mapping[str, object]]


@dataclass(frozen=True)
class Step:
    """One step: a module of this package with `run(job)`."""

    name: str
    title: str
    remembered: bool = False
    """Its module has `inputs(job)` too: with the same inputs as the last time it is not run again. The others look at
    what is there each time, and change it only where it differs."""
    on_laptop: bool = True

    def belongs_to(self, environment: Environment) -> bool:
        """Whether the environment has this step."""
        return environment.on_azure or self.on_laptop

    def run(self, job: Job) -> None:
        """Do it.

        Raises:
            DeployError: If it fails.
        """
        importlib.import_module(f"deploy.{self.name}").run(job)

    def inputs(self, job: Job) -> str:
        """Return the digest of what it is made from; empty where it looks each time."""
        if not self.remembered:
            return ""
        return digest_of(importlib.import_module(f"deploy.{self.name}").inputs(job))


STEPS: Sequence[Step] = (
    Step("preflight", "what a deploy needs"),
    Step("terraform", "the cloud", remembered=True, on_laptop=False),
    Step("facts", "what the overlay must know of the place"),
    Step("images", "images, built and where the cluster finds them", remembered=True),
    Step("platform", "add-ons of the cluster", remembered=True),
    Step("models", "default models in the store", remembered=True),
    Step("overlay", "manifests, applied"),
    Step("wait", "everything is ready"),
    Step("smoke", "a drawn plate is measured through the gateway"),
    Step("summary", "what runs where, and what it costs"),
)


def step_named(name: str) -> Step:
    """Return a step.

    Raises:
        KeyError: If there is none of that name.
    """
    return {step.name: step for step in STEPS}[name]


def run_all(job: Job, *, fresh: bool = False) -> None:
    """Run every step of the environment that is not finished.

    Args:
        job: Where to.
        fresh: Forget what is finished, so that every step looks anew.

    Raises:
        DeployError: If a step fails; what is finished before it stays finished.
    """
    with job.alone():
        state = State() if fresh else State.read(job.state_file)
        steps = [step for step in STEPS if step.belongs_to(job.environment)]
        done: list[str] = []
        for number, step in enumerate(steps, start=1):
            try:
                state = _run_unless_finished(job, step, state, f"{number}/{len(steps)}")
            except DeployError as error:
                _tell_where_it_stopped(job, step, done)
                raise error
            done.append(step.name)


def run_one(job: Job, step: Step) -> None:
    """Run a step, finished or not, and remember that it is.

    Raises:
        DeployError: If it fails.
    """
    with job.alone():
        inputs = step.inputs(job)
        step.run(job)
        State.read(job.state_file).with_finished(step.name, inputs).write(job.state_file)


def _run_unless_finished(job: Job, step: Step, state: State, place: str) -> State:
    inputs = step.inputs(job)
    title = f"[bold]{place} {step.name}[/] {escape(step.title)}"
    if state.holds(step.name, inputs):
        job.console.print(f"{title}: unchanged since {state.steps[step.name].at:%Y-%m-%d %H:%M} UTC", highlight=False)
        return state
    job.console.print(title, highlight=False)
    began = time.monotonic()
    step.run(job)
    after = state.with_finished(step.name, inputs)
    after.write(job.state_file)
    job.console.print(f"  [dim]{step.name} done in {time.monotonic() - began:.0f} s[/]", highlight=False)
    return after


def _tell_where_it_stopped(job: Job, step: Step, done: Sequence[str]) -> None:
    job.console.print(
        f"\n[bold red]{step.name} failed.[/] Done before it: {', '.join(done) or 'nothing'}.", highlight=False
    )
    job.console.print(f"Go on there with: [bold]make deploy ENV={job.environment}[/]", highlight=False)
