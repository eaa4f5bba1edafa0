"""Implementation of the rollout commands of `thale release`."""

import functools
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from thale.cli.rollout_tables import event_line, history_table, status_table
from thale.cli.target_options import TargetOptions
from thale.errors import InvalidTransitionError, ParameterError, ReleaseError, StoreError
from thale.release.controller.checkpoint import Checkpoint, load_checkpoint
from thale.release.controller.controller import ReleaseEnvironment
from thale.release.copies.release_copies import ReleaseCopies
from thale.release.lifecycle import transitions
from thale.release.lifecycle.transitions import Author
from thale.release.registry.stores import open_store
from thale.release.targets import ReleaseTarget
from thale.release.targets.update import author_now, update_release
from thale.schemas import Release
from thale.schemas.release_status import ReleaseStatus, ReleaseStatusList

_POLL_INTERVAL_S = 2.0

Transition = Callable[[Release, ReleaseTarget, Author], Release]


def apply_transition(
    target_options: TargetOptions,
    model: str | None,
    why: Callable[[ReleaseStatus], str],
    transition: Transition,
    console: Console,
) -> None:
    """Change the release of one model, and print the audit line.

    Args:
        target_options: The release target and author.
        model: Name of the model. None selects the only model with a canary.
        why: Returns the reason for the change from the status of the rollout.
        transition: Returns the changed release.
        console: Console for the audit line.

    Raises:
        ParameterError: If no model is given, and the number of models with a canary is not one.
        ReleaseError: If the release does not allow the change, or the target cannot apply it.
    """
    with target_options.environment() as environment:
        name = model or _active_rollout(environment)
        checkpoint = load_checkpoint(environment.checkpoint_store)

        def apply_with_author(current: Release) -> Release:
            reason = why(_model_status(current, checkpoint))
            return transition(current, environment.target, author_now(target_options.author(), reason))

        after = update_release(environment.target, name, apply_with_author).release
        console.print(escape(event_line(name, after.history[-1])), highlight=False, soft_wrap=True)


def reason_from_option(why: str) -> Callable[[ReleaseStatus], str]:
    """Return a function that returns the reason in --why.

    Raises:
        ParameterError: If the reason is empty.
    """
    if not why.strip():
        raise ParameterError("--why is empty: pass the reason for the change, which the history records")
    return lambda status: why.strip()


def reason_from_judge(status: ReleaseStatus) -> str:
    """Return the judge's reasons for the next step.

    Raises:
        ParameterError: If the verdict is not promote.
    """
    verdict = status.verdict
    if verdict is None or verdict.decision != "promote":
        decision = "no verdict yet" if verdict is None else f"verdict: {verdict.decision}"
        raise ParameterError(
            f"the judge has not approved the canary of {status.model} ({decision}): pass --why to continue anyway"
        )
    return f"approved by the judge: {'; '.join(verdict.reasons)}"


def reason_for_promotion(status: ReleaseStatus) -> str:
    """Return the judge's reasons for the promotion.

    Raises:
        ParameterError: If the canary has not reached its last step, or the verdict is not promote.
    """
    if status.canary is not None and status.weight_percent < status.steps[-1]:
        raise ParameterError(
            f"{status.model} {status.canary} is at {status.weight_percent:g} % and has not reached its last step: "
            "pass --why to promote it anyway"
        )
    return reason_from_judge(status)


def roll_back(release: Release, target: ReleaseTarget, author: Author, to: str | None) -> Release:
    """Return the release without its canary, or with the previous stable version if it has no canary.

    Raises:
        InvalidTransitionError: If no previous version is known, or `to` is given during a rollout.
        UnknownVersionError: If the version is not registered.
    """
    if release.canary is not None:
        if to not in (None, release.stable):
            raise InvalidTransitionError(
                f"{release.name} has the canary {release.canary}: roll it back or abort the rollout "
                f"before returning to {to}"
            )
        return transitions.roll_back(release, author)
    name = to or transitions.previous_stable(release)
    if name is None:
        raise InvalidTransitionError(
            f"the history of {release.name} has no version before {release.stable}: pass a version with --to"
        )
    return transitions.roll_back(release, author, target.find(release.name, name))


def restore_releases(
    target_options: TargetOptions, copies: str, model: str | None, why: str, console: Console, *, overwrite: bool
) -> None:
    """Restore releases from the copies of a lost cluster, and print a line for each model.

    Args:
        target_options: The release target and author.
        copies: Folder or container of the copies.
        model: Name of the model. None selects all models of the target.
        why: Reason for the change, for the history.
        console: Console for the lines.
        overwrite: Whether changes after the copy are lost.

    Raises:
        InvalidTransitionError: If a rollout is in progress, or the release has changes after the copy.
        StoreError: If the copies cannot be read, or the store has another archive of the version.
        TargetError: If the version cannot be loaded.
    """
    source = ReleaseCopies(open_store(copies))
    with target_options.environment() as environment:
        target = environment.target
        for name in [model] if model is not None else target.models():
            copy = source.latest(name)
            if copy is None:
                console.print(f"{name}: no copy in {escape(copies)}", highlight=False, soft_wrap=True)
                continue
            saved = copy.release
            if transitions.contains(target.read(name).release, saved):
                console.print(f"{name}: {saved.stable} is current", highlight=False, soft_wrap=True)
                continue
            _check_same_archive(target, saved)
            author = author_now(target_options.author(), f"{why} (copy of {copy.saved_at})")
            change = functools.partial(transitions.restore, saved=saved, author=author, overwrite=overwrite)
            after = update_release(target, name, change).release
            console.print(escape(event_line(name, after.history[-1])), highlight=False, soft_wrap=True)


def check_copies(target_options: TargetOptions, copies: str, model: str | None, console: Console) -> None:
    """Print whether the releases have current copies.

    Raises:
        InvalidTransitionError: If one has not.
    """
    source = ReleaseCopies(open_store(copies))
    with target_options.environment() as environment:
        target = environment.target
        for name in [model] if model is not None else target.models():
            release, copy = target.read(name).release, source.latest(name)
            if copy is None:
                raise InvalidTransitionError(f"{name}: no copy in {copies}")
            if release.stable != copy.release.stable or release.history != copy.release.history:
                raise InvalidTransitionError(f"{name}: the copy of {copy.saved_at} is not the release in the cluster")
            console.print(f"{name}: {release.stable} has a copy of {copy.saved_at}", highlight=False, soft_wrap=True)


def _check_same_archive(target: ReleaseTarget, saved: Release) -> None:
    found = target.find(saved.name, saved.stable)
    if found.digest != saved.versions[saved.stable].digest:
        raise StoreError(
            f"the model store has {saved.name} {saved.stable} with the digest {found.digest}, but the release had "
            f"{saved.versions[saved.stable].digest}: restore the model store first (docs/day-two.md)"
        )


def drop_unused(target_options: TargetOptions, model: str, version: str, console: Console) -> None:
    """Unload a version that the release does not contain.

    Raises:
        InvalidTransitionError: If the release contains the version, or it is not loaded.
        ReleaseError: If the target cannot unload it.
    """
    with target_options.environment() as environment:
        target = environment.target
        if version in target.read(model).release.versions:
            raise InvalidTransitionError(
                f"{model} {version} is released: end its role with `thale release rollback`, `abort` or `shadow --off`"
            )
        unused = target.unused(model)
        if version not in unused:
            loaded = f"only {', '.join(unused)} can be dropped" if unused else "no unused version is loaded"
            raise InvalidTransitionError(f"{model} {version} is not loaded: {loaded}")
        target.drop(model, [version])
    console.print(f"{model} {version} is unloaded", highlight=False)


def print_history(target_options: TargetOptions, model: str, console: Console) -> None:
    """Print the changes of a release, newest first."""
    with target_options.environment() as environment:
        release = environment.target.read(model).release
    if release.history:
        console.print(history_table(release.history))
    else:
        console.print(f"{model} {release.stable} is the stable version; the history has no changes", highlight=False)


def print_status(target_options: TargetOptions, model: str | None, console: Console, *, as_json: bool) -> None:
    """Print the status of all rollouts, or of one model."""
    with target_options.environment() as environment:
        status = read_status(environment, model)
    if as_json:
        console.file.write(status.model_dump_json(indent=2) + "\n")
    else:
        console.print(status_table(status, datetime.now(UTC)))


def show_status(target_options: TargetOptions, model: str | None, console: Console) -> None:
    """Update the status of the rollouts in the terminal until Ctrl-C."""
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


def read_status(environment: ReleaseEnvironment, model: str | None) -> ReleaseStatusList:
    """Return the status of all rollouts, or of one model.

    Raises:
        UnknownModelError: If the model has no release.
        TargetError: If the releases cannot be read.
    """
    names = environment.target.models() if model is None else [model]
    releases = {name: environment.target.read(name).release for name in names}
    unused = {name: _read_unused(environment.target, name) for name in names}
    return ReleaseStatusList.from_releases(releases, load_checkpoint(environment.checkpoint_store), unused)


def _read_unused(target: ReleaseTarget, model: str) -> Sequence[str]:
    """Return the unused versions of a model, none if a model server does not respond."""
    try:
        return target.unused(model)
    except ReleaseError:
        return ()


def _model_status(release: Release, checkpoint: Checkpoint | None) -> ReleaseStatus:
    report = checkpoint.rollouts.get(release.name) if checkpoint is not None else None
    return ReleaseStatus.from_release(release, report)


def _active_rollout(environment: ReleaseEnvironment) -> str:
    names = environment.target.models()
    active = [name for name in names if environment.target.read(name).release.canary is not None]
    if len(active) != 1:
        found = "no model has a canary" if not active else f"{' and '.join(active)} have canaries"
        raise ParameterError(f"{found}: pass the model, one of {', '.join(names)}")
    return active[0]
