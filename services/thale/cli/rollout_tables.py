"""Tables and lines of `thale release`: rollout status, release history and changes."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from thale.schemas import ReleaseEvent
from thale.schemas.release_status import ReleaseStatus, ReleaseStatusList, VersionCounts

_STALE_AFTER_S = 30.0
_COLOURS = {"promote": "green", "hold": "yellow", "roll back": "red", "inconclusive": "yellow"}
_UNKNOWN = "-"


def status_table(status: ReleaseStatusList, now: datetime) -> RenderableType:
    """Return a table with one row per stable, canary and shadow version, followed by verdicts and warnings.

    It fits a terminal with 80 columns.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for title in ("model", "version", "role"):
        table.add_column(title, no_wrap=True)
    table.add_column("weight", justify="right", no_wrap=True)
    for title in ("step", "age"):
        table.add_column(title, no_wrap=True)
    for title in ("requests", "errors", "fallbacks"):
        table.add_column(title, justify="right", no_wrap=True)
    for model in status.models:
        _add_rows(table, model, now)
    lines = [line for model in status.models for line in (*_verdict_lines(model), *_unused_lines(model))]
    return Group(table, *lines, *_controller_lines(status, now))


def _add_rows(table: Table, model: ReleaseStatus, now: datetime) -> None:
    weight = model.weight_percent
    table.add_row(
        model.model,
        model.stable,
        "stable",
        f"{100 - weight:g} %",
        "",
        "",
        *_format_counts(model.stable_counts),
    )
    if model.canary is not None:
        table.add_row(
            "",
            model.canary,
            "canary",
            f"{weight:g} %",
            _format_step(model),
            _format_age(model.step_started_at, now),
            *_format_counts(model.canary_counts),
        )
    if model.shadow not in (None, model.canary):
        table.add_row("", model.shadow, "shadow")
    for version in model.unused_versions or ():
        table.add_row("", version, "unused")


def _format_counts(counts: VersionCounts | None) -> tuple[str, str, str]:
    if counts is None:
        return _UNKNOWN, _UNKNOWN, _UNKNOWN
    return str(counts.requests), str(counts.errors), str(counts.fallbacks)


def _format_step(model: ReleaseStatus) -> str:
    if model.weight_percent not in model.steps:
        return f"of {len(model.steps)}"
    return f"{model.steps.index(model.weight_percent) + 1} of {len(model.steps)}"


def _verdict_lines(model: ReleaseStatus) -> list[str]:
    if model.canary is None and model.last_event is not None:
        return [f"[dim]{escape(event_line(model.model, model.last_event))}[/]"]
    if model.verdict is None:
        return []
    verdict = model.verdict
    colour = _COLOURS[verdict.decision]
    first = f"{model.model} {verdict.canary}: [bold {colour}]{verdict.decision}[/]"
    return [first, *(f"  {escape(reason)}" for reason in verdict.reasons)]


def _unused_lines(model: ReleaseStatus) -> Iterator[str]:
    for version in model.unused_versions or ():
        yield (
            f"[yellow]![/] {model.model} {version} is loaded but not released: "
            "a change is loading or unloading it, or left it behind"
        )
        yield f"  to unload it: thale release drop {model.model} {version}"


def _controller_lines(status: ReleaseStatusList, now: datetime) -> list[str]:
    if status.last_checkpoint_at is None or status.leader is None:
        warning = ["no rollout controller has run yet: start one with `thale release watch`"]
        return warning if any(model.canary for model in status.models) else []
    age_s = (now - datetime.fromisoformat(status.last_checkpoint_at)).total_seconds()
    if age_s > _STALE_AFTER_S:
        lines = [f"[yellow]![/] the controller stopped {format_duration(age_s)} ago: resume with `thale release watch`"]
    else:
        lines = [f"[dim]last poll by {escape(status.leader)}, {format_duration(age_s)} ago[/]"]
    unreachable = (
        f"[yellow]![/] {escape(url)}: {escape(why)}" for url, why in sorted(status.unreachable_facades.items())
    )
    return [*lines, *unreachable]


def history_table(history: Sequence[ReleaseEvent]) -> Table:
    """Return a table of the changes of a release, newest first."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("when (UTC)", "who", "what", "version", "weight", "stable"):
        table.add_column(title, no_wrap=True)
    table.add_column("why")
    for change in reversed(history):
        weight = f"{change.weight_percent:g} %"
        table.add_row(
            format_time(change.at),
            escape(change.who),
            change.what,
            change.version,
            weight,
            change.stable,
            escape(change.why),
        )
    return table


def event_line(model: str, change: ReleaseEvent) -> str:
    """Return one line that describes a change."""
    weight = f", {change.weight_percent:g} %" if change.what in ("canary", "step") else ""
    stable = f" ({change.stable} is stable)" if change.stable != change.version else ""
    return (
        f"{format_time(change.at)} {model}: {change.what} {change.version}{weight}{stable}; {change.who}: {change.why}"
    )


def format_time(text: str) -> str:
    """Return a time (ISO 8601) as YYYY-MM-DD HH:MM:SS in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _format_age(since: str | None, now: datetime) -> str:
    return _UNKNOWN if since is None else format_duration((now - datetime.fromisoformat(since)).total_seconds())


def format_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes, or hours and minutes."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
