"""What the commands of `thale release` do."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from thale.cli.rollout_tables import change_line, history_table, status_table
from thale.cli.target_options import Where
from thale.errors import ParameterError, PlanError, ReleaseError
from thale.release.controller.checkpoint import Page, read_page
from thale.release.controller.controller import Place
from thale.release.controller.status import ModelStatus, Status, status_of
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Signature
from thale.release.targets import Actuator
from thale.release.targets.update import change, sign
from thale.schemas import Release

_LOOK_AGAIN_S = 0.5

Planned = Callable[[Release, Actuator, Signature], Release]


def make(
    where: Where, model: str | None, why: Callable[[ModelStatus], str], planned: Planned, console: Console
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
    with where.place() as place:
        name = model or _the_one_on_trial(place)
        page = read_page(place.notes)

        def signed(now: Release) -> Release:
            reason = why(_status_of(now, page))
            return planned(now, place.actuator, sign(where.who(), reason))

        after = change(place.actuator, name, signed).release
        console.print(escape(change_line(name, after.history[-1])), highlight=False, soft_wrap=True)


def said(why: str) -> Callable[[ModelStatus], str]:
    """Return the reason that somebody has given.

    Raises:
        ParameterError: If it is empty.
    """
    if not why.strip():
        raise ParameterError("say why in words: the reason stands in the history")
    return lambda status: why.strip()


def judged(status: ModelStatus) -> str:
    """Return the judge's word for going on.

    Raises:
        ParameterError: If the judge has not said that the canary may go on.
    """
    verdict = status.verdict
    if verdict is None or verdict.decision != "promote":
        found = "has not judged it yet" if verdict is None else f"says {verdict.decision}"
        raise ParameterError(f"say with --why why {status.model} goes on: the judge {found}")
    return f"judged good: {'; '.join(verdict.reasons)}"


def judged_to_the_end(status: ModelStatus) -> str:
    """Return the judge's word for making the canary stable.

    Raises:
        ParameterError: If it has not passed its last step.
    """
    if status.canary is not None and status.weight_percent < status.steps[-1]:
        share = f"{status.weight_percent:g} % of the requests"
        raise ParameterError(f"say with --why why {status.model} {status.canary} is promoted after {share} alone")
    return judged(status)


def roll_back(release: Release, actuator: Actuator, signature: Signature, to: str | None) -> Release:
    """Return the release without its canary, or else with the version before as the stable one.

    Raises:
        PlanError: If there is nothing to return to.
        UnknownVersionError: If that version is not registered.
    """
    if release.canary is not None:
        if to not in (None, release.stable):
            raise PlanError(
                f"{release.name} {release.canary} is on trial: roll it back or abort before returning to {to}"
            )
        return transitions.roll_back(release, signature)
    name = to or transitions.version_before(release)
    if name is None:
        raise PlanError(f"the history of {release.name} has no version before {release.stable}: name one with --to")
    return transitions.roll_back(release, signature, actuator.find(release.name, name))


def print_history(where: Where, model: str, console: Console) -> None:
    """Print a release's changes, the newest first."""
    with where.place() as place:
        release = place.actuator.read(model).release
    if release.history:
        console.print(history_table(release.history))
    else:
        console.print(f"{model} {release.stable} has been stable since the start", highlight=False)


def print_status(where: Where, model: str | None, console: Console, *, as_json: bool) -> None:
    """Print how far all rollouts are, or one model's."""
    with where.place() as place:
        status = read_status(place, model)
    if as_json:
        console.file.write(status.model_dump_json(indent=2) + "\n")
    else:
        console.print(status_table(status, datetime.now(UTC)))


def show_status(where: Where, model: str | None, console: Console) -> None:
    """Show how far all rollouts are until Ctrl-C."""
    with where.place() as place, Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = status_table(read_status(place, model), datetime.now(UTC))
                except ReleaseError as error:
                    shown = f"[yellow]![/] {escape(str(error))}"
                live.update(shown, refresh=True)
                time.sleep(_LOOK_AGAIN_S)
        except KeyboardInterrupt:
            return


def read_status(place: Place, model: str | None) -> Status:
    """Return how far all rollouts are, or one model's.

    Raises:
        UnknownModelError: If no such model is released.
        ActuatorError: If the releases cannot be read.
    """
    names = place.actuator.models() if model is None else [model]
    releases = {name: place.actuator.read(name).release for name in names}
    return status_of(releases, read_page(place.notes))


def _status_of(release: Release, page: Page | None) -> ModelStatus:
    return status_of({release.name: release}, page).models[0]


def _the_one_on_trial(place: Place) -> str:
    names = place.actuator.models()
    on_trial = [name for name in names if place.actuator.read(name).release.canary is not None]
    if len(on_trial) != 1:
        found = "none has a version on trial" if not on_trial else f"{' and '.join(on_trial)} have versions on trial"
        raise ParameterError(f"name the model, one of {', '.join(names)}: {found}")
    return on_trial[0]
