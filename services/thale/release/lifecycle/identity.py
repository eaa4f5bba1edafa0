"""Who signs a change: a name that was given, a pod's service account, or the user of this machine."""

import base64
import getpass
import json
import os
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What a pod is given: its namespace, its token."""


def signer(given: str | None) -> str:
    """Return the name that signs."""
    return given or service_account() or _user()


def service_account(folder: Path = SERVICE_ACCOUNT) -> str | None:
    """Return the name that a pod acts under, `system:serviceaccount:NAMESPACE:NAME`; None outside of a pod.

    The token is read, not checked: the API checks it, and this is no proof of anything but a name for the history.
    """
    try:
        claims = (folder / "token").read_text().split(".")[1]
        told: Any = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    except (OSError, IndexError, ValueError):
        return None
    return str(told["sub"]) if isinstance(told, dict) and "sub" in told else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"
