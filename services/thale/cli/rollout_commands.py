"""What the commands of `thale release` do."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from thale.cli.rollout_tables import event_line, history_table, status_table
from thale.cli.target_options import TargetOptions
from thale.errors import InvalidTransitionError, ParameterError, ReleaseError
from thale.release.controller.checkpoint import Checkpoint, load_checkpoint
from thale.release.controller.controller import ReleaseEnvironment
from thale.release.controller.status import ModelStatus, Status, rollout_status
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.release.targets import ReleaseTarget
from thale.release.targets.update import author_now, update_release
from thale.schemas import Release

_POLL_INTERVAL_S = 0.5

Transition = Callable[[Release, ReleaseTarget, Author], Release]


def apply_transition(
    target_options: TargetOptions,
    model: str | None,
    why: Callable[[ModelStatus], str],
    transition: Transition,
    console: Console,
) -> None:
    """Make a change of one model, and print its audit line.

    Args:
        where: Whose releases.
        model: Its name; None means the one that is on trial.
        why: Finds the reason, from how the rollout does.
        planned: The change.
        console: Where to say what was done.

    Raises:
        ParameterError: If no model was named and it is not plain which one is meant.
        ReleaseError: If the change makes no sense or cannot be made.
    """
    with target_options.environment() as environment:
        name = model or _active_rollout(environment)
        checkpoint = load_checkpoint(environment.checkpoint_store)

        def apply_with_author(current: Release) -> Release:
            reason = why(_model_status(current, checkpoint))
            return transition(current, environment.target, author_now(target_options.author(), reason))

        after = update_release(environment.target, name, apply_with_author).release
        console.print(escape(event_line(name, after.history[-1])), highlight=False, soft_wrap=True)


def reason_from_option(why: str) -> Callable[[ModelStatus], str]:
    """Return the reason that somebody has given.

    Raises:
        ParameterError: If it is empty.
    """
    if not why.strip():
        raise ParameterError("say why in words: the reason stands in the history")
    return lambda status: why.strip()


def reason_from_judge(status: ModelStatus) -> str:
    """Return the judge's word for going on.

    Raises:
        ParameterError: If the judge has not said that the canary may go on.
    """
    verdict = status.verdict
    if verdict is None or verdict.decision != "promote":
        judgement = "has not judged it yet" if verdict is None else f"says {verdict.decision}"
        raise ParameterError(f"say with --why why {status.model} goes on: the judge {judgement}")
    return f"judged good: {'; '.join(verdict.reasons)}"


def reason_for_promotion(status: ModelStatus) -> str:
    """Return the judge's word for making the canary stable.

    Raises:
        ParameterError: If it has not passed its last step.
    """
    if status.canary is not None and status.weight_percent < status.steps[-1]:
        weight_text = f"{status.weight_percent:g} % of the requests"
        raise ParameterError(f"say with --why why {status.model} {status.canary} is promoted after {weight_text} alone")
    return reason_from_judge(status)


def roll_back(release: Release, target: ReleaseTarget, author: Author, to: str | None) -> Release:
    """Return the release without its canary, or else with the version before as the stable one.

    Raises:
        InvalidTransitionError: If there is nothing to return to.
        UnknownVersionError: If that version is not registered.
    """
    if release.canary is not None:
        if to not in (None, release.stable):
            raise InvalidTransitionError(
                f"{release.name} {release.canary} is on trial: roll it back or abort before returning to {to}"
            )
        return transitions.roll_back(release, author)
    name = to or transitions.previous_stable(release)
    if name is None:
        raise InvalidTransitionError(
            f"the history of {release.name} has no version before {release.stable}: name one with --to"
        )
    return transitions.roll_back(release, author, target.find(release.name, name))


def print_history(target_options: TargetOptions, model: str, console: Console) -> None:
    """Print a release's changes, the newest first."""
    with target_options.environment() as environment:
        release = environment.target.read(model).release
    if release.history:
        console.print(history_table(release.history))
    else:
        console.print(f"{model} {release.stable} has been stable since the start", highlight=False)


def print_status(target_options: TargetOptions, model: str | None, console: Console, *, as_json: bool) -> None:
    """Print how far all rollouts are, or one model's."""
    with target_options.environment() as environment:
        status = read_status(environment, model)
    if as_json:
        console.file.write(status.model_dump_json(indent=2) + "\n")
    else:
        console.print(status_table(status, datetime.now(UTC)))


def show_status(target_options: TargetOptions, model: str | None, console: Console) -> None:
    """Show how far all rollouts are until Ctrl-C."""
    with target_options.environment() as environment, Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                try:
                    content = status_table(read_status(environment, model), datetime.now(UTC))
                except ReleaseError as error:
                    content = f"[yellow]![/] {escape(str(error))}"
                live.update(content, refresh=True)
                time.sleep(_POLL_INTERVAL_S)
        except KeyboardInterrupt:
            return


def read_status(environment: ReleaseEnvironment, model: str | None) -> Status:
    """Return how far all rollouts are, or one model's.

    Raises:
        UnknownModelError: If no such model is released.
        TargetError: If the releases cannot be read.
    """
    names = environment.target.models() if model is None else [model]
    releases = {name: environment.target.read(name).release for name in names}
    return rollout_status(releases, load_checkpoint(environment.checkpoint_store))


def _model_status(release: Release, checkpoint: Checkpoint | None) -> ModelStatus:
    return rollout_status({release.name: release}, checkpoint).models[0]


def _active_rollout(environment: ReleaseEnvironment) -> str:
    names = environment.target.models()
    active = [name for name in names if environment.target.read(name).release.canary is not None]
    if len(active) != 1:
        found = "none has a version on trial" if not active else f"{' and '.join(active)} have versions on trial"
        raise ParameterError(f"name the model, one of {', '.join(names)}: {found}")
    return active[0]
