"""Procedure: checks, and actions with commands, which run only with `apply`."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deploy.cluster import Cluster
from deploy.commands import run, run_streaming
from deploy.context import DeployContext
from deploy.errors import MissingPrerequisite, PrerequisitesMissingError

Command = Sequence[str]


@dataclass(frozen=True)
class Action:
    """One change: its commands, and the check that must pass before the next action."""

    title: str
    commands: Sequence[Command] = ()
    """Commands of kubectl, which run in the environment's cluster, or of other programs."""
    execute: Callable[[], None] | None = None
    """A change by code of this repository, after the commands."""
    check: Callable[[], None] | None = None
    """Raises a DeployError if the action did not have its effect."""
    stdin: str | None = None
    """Text for the standard input of each command, such as a manifest."""


@dataclass(frozen=True)
class Procedure:
    """A named sequence of actions, with the reasons why it must not run now."""

    name: str
    actions: Sequence[Action]
    problems: Sequence[MissingPrerequisite] = field(default_factory=tuple)
    undo: str = ""
    """How to go back, in one sentence."""


def run_procedure(context: DeployContext, cluster: Cluster | None, procedure: Procedure, *, apply: bool) -> None:
    """Print the actions, and run them if `apply` is set.

    Args:
        context: The environment.
        cluster: The cluster of kubectl commands; None if there are none.
        procedure: The procedure.
        apply: False only prints.

    Raises:
        PrerequisitesMissingError: If a check before the actions failed and `apply` is set.
        DeployError: If an action or its check fails. The message of the last action names how to go back.
    """
    for problem in procedure.problems:
        context.log(f"not possible now: {problem.description}. {problem.remedy}")
    if procedure.problems and apply:
        raise PrerequisitesMissingError(procedure.problems)
    if not procedure.actions:
        context.log(f"{procedure.name}: nothing to do")
        return
    for number, action in enumerate(procedure.actions, start=1):
        context.log(f"{number}. {action.title}")
        for command in action.commands:
            context.log(f"   {shlex.join(command)}")
        if apply:
            _run_action(cluster, action)
    context.log(f"{procedure.name}: done" if apply else "dry run: nothing was changed; add --apply to run the actions")
    if procedure.undo:
        context.log(f"to go back: {procedure.undo}")


def _run_action(cluster: Cluster | None, action: Action) -> None:
    for program, *arguments in action.commands:
        if program == "kubectl" and cluster is not None:
            cluster.kubectl(*arguments, stdin=action.stdin)
        elif action.stdin is not None:
            run([program, *arguments], stdin=action.stdin)
        else:
            run_streaming([program, *arguments])
    if action.execute is not None:
        action.execute()
    if action.check is not None:
        action.check()
