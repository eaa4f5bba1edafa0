"""`thale release keygen` and `sign`: key pairs and signatures of model archives."""

import os
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from thale.release.registry.signatures import PUBLIC_KEYS_VARIABLE
from thale.release.registry.signing import (
    PRIVATE_KEY_FILE,
    PUBLIC_KEY_FILE,
    generate_key_pair,
    is_encrypted,
    sign_archive,
)

_PASSWORD_VARIABLE = "THALE_SIGNING_PASSWORD"  # noqa: S105 (the name of a variable)


def create_key_pair(folder: Path, console: Console) -> None:
    """Create a key pair and print the next steps.

    Raises:
        SignatureError: If a file exists or cannot be written.
    """
    password = _read_password("Password of the private key (empty: not encrypted)", confirm=True)
    key_id = generate_key_pair(folder, password)
    console.print(
        escape(
            f"{folder / PRIVATE_KEY_FILE}: private key {key_id}; keep it off the servers\n"
            f"{folder / PUBLIC_KEY_FILE}: public key; add it to {PUBLIC_KEYS_VARIABLE} wherever models are loaded"
        ),
        highlight=False,
        soft_wrap=True,
    )


def write_signature(archive: Path, key: Path, out: Path | None, console: Console) -> None:
    """Sign an archive and print the name of the signature.

    Raises:
        ArchiveError: If the archive is not valid.
        SignatureError: If the key cannot be read, the password is wrong, or the signature cannot be written.
    """
    password = _read_password(f"Password of {key}") if is_encrypted(key) else None
    target = out or archive.with_name(f"{archive.name}.sig")
    signature = sign_archive(archive, key, password, target)
    console.print(escape(f"{target}: signed by the key {signature.key_id}"), highlight=False, soft_wrap=True)


def _read_password(prompt: str, *, confirm: bool = False) -> bytes:
    """Return the password of the environment or of a prompt. It is empty for a new key without encryption."""
    if (configured := os.environ.get(_PASSWORD_VARIABLE)) is not None:
        return configured.encode()
    default = "" if confirm else None
    password: str = typer.prompt(
        prompt, hide_input=True, confirmation_prompt=confirm, default=default, show_default=False
    )
    return password.encode()
