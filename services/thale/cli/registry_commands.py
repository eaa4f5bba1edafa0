"""`thale release register` and `list`: registration, registered versions and their roles."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thale.cli.rollout_tables import format_time
from thale.cli.target_options import TargetOptions
from thale.errors import ServerUnreachableError
from thale.local.ephemeral_torchserve import run_ephemeral_torchserve
from thale.local.releases import audit_log
from thale.release.registry.packaged_models import packaged_cards
from thale.release.registry.register import RegistrationResult, register
from thale.release.registry.signatures import SignaturePolicy, read_signature
from thale.schemas import Release, VersionManifest

_DIGEST_LENGTH = 12
_EVENT_LABELS = {
    "canary": "canary started",
    "step": "next step",
    "promote": "promoted",
    "roll back": "rolled back",
    "abort": "aborted",
    "shadow": "shadow changed",
    "restore": "restored",
}


def register_archive(
    target_options: TargetOptions, archive: Path, signature_path: Path | None, console: Console
) -> None:
    """Validate an archive, test it in an ephemeral model server, store it, and print the result.

    Raises:
        ArchiveError: If the archive is invalid.
        SignatureError: If its signature is not valid, or is missing although there are trusted keys.
        RegistrationError: If it fails the acceptance criteria on the golden plates.
        StoreError: If the store cannot be written.
    """
    signature = read_signature(signature_path) if signature_path is not None else None
    with audit_log(target_options.data_dir), console.status(f"testing {escape(archive.name)} on the golden plates"):
        result = register(
            archive,
            target_options.store(),
            run_ephemeral_torchserve,
            author=target_options.author(),
            signature=signature,
        )
    console.print(escape(_format_result(result)), highlight=False, soft_wrap=True)


def _format_result(result: RegistrationResult) -> str:
    card = result.version.card
    name = f"{card.name} {card.version} ({result.version.digest})"
    if not result.new:
        return f"{name} is already registered with the same bytes: {result.uri}"
    metrics = ", ".join(f"{metric.replace('_', ' ')} {value:.3g}" for metric, value in result.metrics.items())
    return f"{name} registered in {result.seconds:.0f} s: {metrics} on the golden plates; {result.uri}"


def print_registered(target_options: TargetOptions, model: str | None, console: Console) -> None:
    """Print the registered versions and their roles. Without a running platform, the roles are empty."""
    store = target_options.store()
    registered = store.versions(model)
    try:
        with target_options.environment() as environment:
            releases = {name: environment.target.read(name).release for name in environment.target.models()}
    except ServerUnreachableError:
        releases = {}
    if registered:
        policy = SignaturePolicy.from_environment()
        signers = [describe_signature(manifest, store.signatures(manifest), policy) for manifest in registered]
        console.print(registry_table(registered, releases, signers))
    else:
        console.print("no versions are registered: register one with `thale release register MODEL.mar`")


def describe_signature(manifest: VersionManifest, signatures: Mapping[str, bytes], policy: SignaturePolicy) -> str:
    """Return the id of the key that signed a version, and whether it was verified, or `unsigned` or `packaged`."""
    if (key_id := policy.find_valid(manifest.digest, signatures)) is not None:
        return f"{key_id}, valid"
    if signatures:
        result = "not valid" if policy.keys else "not verified"
        return ", ".join((*sorted(signatures), result))
    return "packaged" if manifest.card.model_dump_json() in packaged_cards() else "unsigned"


def registry_table(
    registered: Sequence[VersionManifest], releases: Mapping[str, Release], signers: Sequence[str]
) -> Table:
    """Return a table of the versions with digest, signature, roles and latest change."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("model", "version", "digest", "signature", "role", "last change (UTC)"):
        table.add_column(title, no_wrap=True)
    for manifest, signer in zip(registered, signers, strict=True):
        release = releases.get(manifest.card.name)
        version = manifest.card.version
        digest = manifest.digest.removeprefix("sha256:")[:_DIGEST_LENGTH]
        roles = ", ".join(_roles(version, release))
        table.add_row(manifest.card.name, version, digest, signer, roles, _last_event(version, release))
    return table


def _roles(version: str, release: Release | None) -> Iterator[str]:
    if release is None:
        return
    if version == release.stable:
        yield "stable"
    if version == release.canary:
        yield f"canary, {release.weight_percent:g} %"
    if version == release.shadow:
        yield "shadow"


def _last_event(version: str, release: Release | None) -> str:
    events = [change for change in release.history if change.version == version] if release is not None else []
    return f"{format_time(events[-1].at)} {_EVENT_LABELS[events[-1].what]}" if events else ""
