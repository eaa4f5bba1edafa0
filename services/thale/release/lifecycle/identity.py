"""Author of a change: an explicit name, the service account of the pod, or the user of the operating system."""

import base64
import getpass
import json
import os
from pathlib import Path
from typing import Any

from thale.kserve.service_account import SERVICE_ACCOUNT_DIR


def current_user(override: str | None) -> str:
    """Return the name of the author, for the release history."""
    return override or service_account_name() or _os_user()


def service_account_name(folder: Path = SERVICE_ACCOUNT_DIR) -> str | None:
    """Return the service account of the pod, `system:serviceaccount:NAMESPACE:NAME`; None outside of a pod.

    The token is not verified here. The Kubernetes API verifies it, and the history needs only the name.
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
    except (KeyError, OSError):  # the user of a container may have no name
        return f"user {os.getuid()}"
