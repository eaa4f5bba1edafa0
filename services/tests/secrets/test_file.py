"""Tests of secrets in a file."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thale.cli.target_options import Target, TargetOptions
from thale.errors import SecretError
from thale.local.data_dir import DataDir
from thale.secrets import FileSecrets, owner_only_file

VALID = """
[api-key]
value = "hush"
expires = 2027-01-31T00:00:00Z

[without-expiry]
value = "hush again"
"""


def write_secrets(folder: Path, text: str | bytes, mode: int = 0o600) -> FileSecrets:
    path = folder / "secrets.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return FileSecrets(path)


def test_file_secrets_return_value_and_expiry(tmp_path: Path) -> None:
    secrets = write_secrets(tmp_path, VALID)
    assert secrets.value("api-key").get_secret_value() == "hush"
    assert secrets.expiries() == {"api-key": datetime(2027, 1, 31, tzinfo=UTC), "without-expiry": None}


def test_file_secrets_follow_edits(tmp_path: Path) -> None:
    secrets = write_secrets(tmp_path, VALID)
    write_secrets(tmp_path, VALID.replace("hush", "whisper"))
    assert secrets.value("api-key").get_secret_value() == "whisper"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
def test_file_is_rejected_if_other_users_have_access(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretError, match=rf"mode {mode:04o}\): chmod 600 .*secrets\.toml"):
        write_secrets(tmp_path, VALID, mode).value("api-key")


def test_read_only_file_is_accepted(tmp_path: Path) -> None:
    assert write_secrets(tmp_path, VALID, 0o400).expiries()


def test_file_of_another_user_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = write_secrets(tmp_path, VALID)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(owner_only_file, "_ROOT", os.getuid() + 2)
    with pytest.raises(SecretError, match="belongs to user"):
        secrets.expiries()


@pytest.mark.parametrize(("mode", "is_accepted"), [(0o440, True), (0o400, True), (0o444, False), (0o460, False)])
def test_file_of_root_may_be_readable_by_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_accepted: bool
) -> None:
    secrets = write_secrets(tmp_path, VALID, mode)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(owner_only_file, "_ROOT", os.getuid())
    if is_accepted:
        assert secrets.expiries()
        return
    with pytest.raises(SecretError, match=f"mode {mode:04o}"):
        secrets.expiries()


def test_permissions_are_those_of_the_link_target(tmp_path: Path) -> None:
    write_secrets(tmp_path, VALID, 0o644)
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "secrets.toml")
    with pytest.raises(SecretError, match="mode 0644"):
        FileSecrets(link).expiries()


def test_pipe_and_folder_are_rejected_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(SecretError, match=r"is not a regular file|cannot be read"):
            FileSecrets(path).expiries()


def test_missing_file_and_missing_secret_are_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="No such file"):
        FileSecrets(tmp_path / "nowhere.toml").expiries()
    with pytest.raises(SecretError, match="has no secret 'other'"):
        write_secrets(tmp_path, VALID).value("other")


@pytest.mark.parametrize(
    "text",
    [
        "hush",
        "[api-key]\nvalue = hush",
        '[api-key]\nvalue = "hush',
        'api-key = "hush"',
        '[api-key]\nvalue = "hush"\nexpires = "soon hush"',
        '[api-key]\nvalue = "hush"\nexpires = 2027-01-31T00:00:00',
        '[api-key]\nvalue = "hush"\nexpire = 2027-01-31T00:00:00Z',
        '[api-key]\nvalue = ["hush"]',
        '[api-key]\nvalue = "hush"\n[api-key]\nvalue = "hush"',
        b'[api-key]\nvalue = "hush \xff"',
    ],
)
def test_error_of_invalid_file_does_not_reveal_secrets(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(SecretError) as raised:
        write_secrets(tmp_path, text).expiries()
    assert "secrets.toml" in str(raised.value)
    error: BaseException | None = raised.value
    while error is not None:
        assert "hush" not in str(error)
        error = error.__cause__


def test_empty_file_has_no_secrets(tmp_path: Path) -> None:
    assert write_secrets(tmp_path, "").expiries() == {}


def test_file_above_size_limit_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="exceeds the limit"):
        write_secrets(tmp_path, "#" * (2**20 + 1)).expiries()


def test_only_local_target_reads_secrets_file(tmp_path: Path) -> None:
    def secrets_of(target: Target) -> FileSecrets | None:
        secrets = TargetOptions(target, tmp_path, None, None, None, None, None, None).secrets()
        assert secrets is None or isinstance(secrets, FileSecrets)
        return secrets

    assert secrets_of(Target.LAPTOP) is None, "the secrets file is optional"
    write_secrets(DataDir.resolve(tmp_path).secrets.parent, VALID)
    local_secrets = secrets_of(Target.LAPTOP)
    assert local_secrets is not None
    assert local_secrets.value("api-key").get_secret_value() == "hush"
    assert secrets_of(Target.KSERVE) is None
