"""`thale keys`: API keys of the local platform, or of a deployment with a Key Vault."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from thale.auth.key_store import ApiKeyStore
    from thale.auth.principal import Scope

keys = typer.Typer(
    no_args_is_help=True,
    help="Create, list and revoke API keys. As long as the data directory has keys, `thale up` requires one.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DURATION = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_MAX_LIFETIME = timedelta(days=730)


class ScopeName(StrEnum):
    """Scopes of a key: `read` for models and versions, `predict` for inference, `admin` for everything."""

    READ = "read"
    PREDICT = "predict"
    ADMIN = "admin"


_SCOPES: dict[str, "Scope"] = {"read": "read", "predict": "predict", "admin": "admin"}


def _parse_duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or not timedelta() < (duration := timedelta(**{_UNITS[match[2]]: int(match[1])})) <= _MAX_LIFETIME:
        raise typer.BadParameter(
            f"{text!r} is not a duration of up to {_MAX_LIFETIME.days} days, such as 90d, 12h or 30m"
        )
    return duration


HomeOption = Annotated[
    Path | None, typer.Option(envvar="THALE_HOME", help="Data directory. Default: in the user's data folder.")
]
VaultOption = Annotated[
    str | None,
    typer.Option(envvar="THALE_KEY_VAULT", help="Name or address of the Key Vault of a deployment, instead of --home."),
]


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="Name of the caller, such as a person or an instrument.")],
    scope: Annotated[
        list[ScopeName] | None, typer.Option(help="Scope; once for each. Default: read and predict.")
    ] = None,
    expires: Annotated[str, typer.Option(metavar="DURATION", help="Lifetime, such as 90d or 12h.")] = "90d",
    key_vault: VaultOption = None,
    home: HomeOption = None,
) -> None:
    """Create a key, and print it once. Only its digest is stored."""
    from thale.auth.key_store import create_key

    lifetime = _parse_duration(expires)
    scopes = frozenset(_SCOPES[each.value] for each in scope or (ScopeName.READ, ScopeName.PREDICT))
    key, record = create_key(_open_store(key_vault, home), name, scopes, lifetime, datetime.now(UTC))
    stderr = Console(stderr=True, soft_wrap=True, highlight=False)
    stderr.print(f"key {record.id} of {name!r} is valid until {record.expires:%Y-%m-%d %H:%M} UTC", markup=False)
    stderr.print("store it now, because it is not shown again. Commands and thale.Client read it from THALE_API_KEY.")
    if key_vault is None and _runs_without_keys(home):
        stderr.print("[yellow]![/] the running platform does not require keys yet: restart `thale up`")
    typer.echo(key.text)


@keys.command("list")
def list_keys(key_vault: VaultOption = None, home: HomeOption = None) -> None:
    """List the keys with name, scopes and state. The keys themselves are stored nowhere."""
    from thale.cli.tables import keys_table

    records = _open_store(key_vault, home).read().records.values()
    Console().print(keys_table(sorted(records, key=lambda record: record.created), datetime.now(UTC)))


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, from `thale keys list`.")],
    grace: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Time until the key becomes invalid, such as 7d. Default: none."),
    ] = None,
    key_vault: VaultOption = None,
    home: HomeOption = None,
) -> None:
    """Revoke a key. To rotate a key: create another one with the same name, and revoke the old one with --grace 7d."""
    from thale.auth.key_store import revoke_key

    now = datetime.now(UTC)
    delay = timedelta() if grace is None else _parse_duration(grace)
    record = revoke_key(_open_store(key_vault, home), key_id, now + delay)
    assert record.revoked is not None  # noqa: S101 (set by revoke_key)
    state = "is revoked" if record.revoked <= now else f"is valid until {record.revoked:%Y-%m-%d %H:%M} UTC"
    typer.echo(f"key {record.id} of {record.name!r} {state}")


def _runs_without_keys(home: Path | None) -> bool:
    """Return True if a local platform is running that accepts requests without a credential."""
    from thale.client import Client
    from thale.errors import ThaleError
    from thale.local.data_dir import DataDir

    running = DataDir.resolve(home).find_running_platform()
    if running is None:
        return False
    try:
        with Client(running.url, timeout_s=2.0, retries=0, api_key="") as client:
            client.models()
    except ThaleError:
        return False
    return True


def _open_store(key_vault: str | None, home: Path | None) -> "ApiKeyStore":
    from thale.auth.configured_store import open_store
    from thale.local.data_dir import DataDir

    return open_store(key_vault, DataDir.resolve(home).api_keys)
