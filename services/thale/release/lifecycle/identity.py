"""Who signs a change: a name that was given, a pod's service account, or the user of this machine."""

import base64
import getpass
import json
import os
from pathlib import Path
from typing import Any

from thale.kserve.service_account import SERVICE_ACCOUNT_DIR


def current_user(override: str | None) -> str:
    """Return the name that signs."""
    return override or service_account_name() or _os_user()


def service_account_name(folder: Path = SERVICE_ACCOUNT_DIR) -> str | None:
    """Return the name that a pod acts under, `system:serviceaccount:NAMESPACE:NAME`; None outside of a pod.

    The token is read, not checked: the API checks it, and this is no proof of anything but a name for the history.
    """
    try:
        encoded_claims = (folder / "token").read_text().split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(encoded_claims + "=" * (-len(encoded_claims) % 4)))
    except (OSError, IndexError, ValueError):
        return None
    return str(claims["sub"]) if isinstance(claims, dict) and "sub" in claims else None


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"
