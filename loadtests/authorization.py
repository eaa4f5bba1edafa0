"""Credential of the load tests, from THALE_API_KEY as for thale's client."""

import os

from thale.client import API_KEY_VARIABLE


def authorization_headers() -> dict[str, str]:
    """Return the Authorization header, or no header if no credential is set."""
    credential = os.environ.get(API_KEY_VARIABLE, "").strip()
    return {"Authorization": f"Bearer {credential}"} if credential else {}
