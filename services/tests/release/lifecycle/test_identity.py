"""Tests of the author of a change."""

import base64
from pathlib import Path

import pytest

from thale.release.lifecycle.identity import current_user, service_account_name


def token(claims: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.signature"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            token('{"sub": "system:serviceaccount:plants:release-watcher"}'),
            "system:serviceaccount:plants:release-watcher",
        ),
        (token("{}"), None),
        (token("[]"), None),
        ("e30.%%%.x", None),
        ("no token", None),
    ],
)
def test_service_account_name_reads_the_token(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "token").write_text(text)
    assert service_account_name(tmp_path) == name


def test_current_user_defaults_to_the_operating_system_user(tmp_path: Path) -> None:
    assert service_account_name(tmp_path) is None
    assert current_user("anna") == "anna"
    assert current_user(None)
