"""`thale release list`: what is registered, and where it is used."""

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thale.cli.places import Where
from thale.cli.rollout_tables import moment
from thale.contract import Release, ReleasedVersion
from thale.errors import ServerUnreachableError

_DIGEST_LENGTH = 12
_DONE = {
    "canary": "put on trial",
    "step": "moved on",
    "promote": "promoted",
    "roll back": "rolled back",
    "abort": "called off",
    "shadow": "shadow changed",
}


def print_registered(where: Where, model: str | None, console: Console) -> None:
    """Print the registered versions, and what the releases make of them; without a platform only the former."""
    registered = where.store().versions(model)
    try:
        with where.place() as place:
            releases = {name: place.actuator.read(name).release for name in place.actuator.models()}
    except ServerUnreachableError:
        releases = {}
    if registered:
        console.print(registered_table(registered, releases))
    else:
        console.print("nothing is registered: `thale release register MODEL.mar` does it")


def registered_table(registered: Sequence[ReleasedVersion], releases: Mapping[str, Release]) -> Table:
    """Return the versions with their digests, and for each what it is used for and what last became of it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("model", "version", "digest", "used as", "last change (UTC)"):
        table.add_column(title, no_wrap=True)
    for released in registered:
        release = releases.get(released.card.name)
        version = released.card.version
        digest = released.digest.removeprefix("sha256:")[:_DIGEST_LENGTH]
        table.add_row(released.card.name, version, digest, ", ".join(_uses(version, release)), _last(version, release))
    return table


def _uses(version: str, release: Release | None) -> Iterator[str]:
    if release is None:
        return
    if version == release.stable:
        yield "stable"
    if version == release.canary:
        yield f"canary, {release.weight_percent:g} %"
    if version == release.shadow:
        yield "shadow"


def _last(version: str, release: Release | None) -> str:
    lines = [change for change in release.history if change.version == version] if release is not None else []
    return f"{moment(lines[-1].at)} {_DONE[lines[-1].what]}" if lines else ""
