"""`thale release register` and `list`: what can be released, and where it is used."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thale.cli.rollout_tables import moment
from thale.cli.target_options import Where
from thale.errors import ServerUnreachableError
from thale.local.ephemeral_torchserve import model_server
from thale.local.releases import audited
from thale.release.registry.register import Registered, register
from thale.schemas import Release, ReleasedVersion

_DIGEST_LENGTH = 12
_DONE = {
    "canary": "put on trial",
    "step": "moved on",
    "promote": "promoted",
    "roll back": "rolled back",
    "abort": "called off",
    "shadow": "shadow changed",
}


def register_archive(where: Where, archive: Path, console: Console) -> None:
    """Check an archive, try it in a model server of its own, keep it, and print what was found.

    Raises:
        ArchiveError: If it is not a sound model archive.
        RegistrationError: If it does not answer the golden plates as it should.
        StoreError: If the store does not take it.
    """
    with audited(where.laptop_home), console.status(f"trying {escape(archive.name)} on the golden plates"):
        registered = register(archive, where.store(), model_server, who=where.who())
    console.print(escape(_registered_line(registered)), highlight=False, soft_wrap=True)


def _registered_line(registered: Registered) -> str:
    card = registered.version.card
    name = f"{card.name} {card.version} ({registered.version.digest})"
    if not registered.new:
        return f"{name} is registered already, with the same bytes: {registered.uri}"
    figures = ", ".join(f"{figure.replace('_', ' ')} {value:.3g}" for figure, value in registered.figures.items())
    return f"{name} registered in {registered.seconds:.0f} s: {figures} on the golden plates; {registered.uri}"


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
