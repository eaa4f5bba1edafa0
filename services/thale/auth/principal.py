"""Principal: the authenticated caller of a request, with its scopes."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["read", "predict", "admin"]
"""`read`: models and versions. `predict`: inference. `admin`: everything."""


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    id: str
    """Stable identifier with its kind, such as `key:4f1c09ab`, `entra:OBJECT_ID` or `local`. It contains no secret."""
    name: str
    """Display name, such as the name of an API key or of a user. Logs contain the id instead."""
    scopes: frozenset[Scope]

    def has_scope(self, scope: Scope) -> bool:
        """Return True if the caller has the scope. `admin` includes all scopes."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Principal("local", "local user", frozenset({"read", "predict"}))
"""The caller of a facade on loopback without authentication. No caller limits apply to it."""
