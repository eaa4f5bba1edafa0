import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thale.cli.target_options import Target, TargetOptions
from thale.errors import SecretError
from thale.local.data_dir import DataDir
from thale.secrets import FileSecrets

GOOD = """
[api-key]
value = "hush"
expires = 2027-01-31T00:00:00Z

[for-ever]
value = "hush too"
"""


def write_secrets(folder: Path, text: str | bytes, mode: int = 0o600) -> FileSecrets:
    path = folder / "secrets.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return FileSecrets(path)


def test_secrets_and_their_expiry_are_read(tmp_path: Path) -> None:
    secrets = write_secrets(tmp_path, GOOD)
    assert secrets.value("api-key").get_secret_value() == "hush"
    assert secrets.expiries() == {"api-key": datetime(2027, 1, 31, tzinfo=UTC)}


def test_an_edit_is_in_use_at_once(tmp_path: Path) -> None:
    secrets = write_secrets(tmp_path, GOOD)
    write_secrets(tmp_path, GOOD.replace("hush", "whisper"))
    assert secrets.value("api-key").get_secret_value() == "whisper"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
def test_a_file_that_others_can_get_at_is_refused_and_the_cure_named(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretError, match=rf"mode {mode:04o}\): chmod 600 .*secrets\.toml"):
        write_secrets(tmp_path, GOOD, mode).value("api-key")


def test_a_file_that_may_only_be_read_is_fine(tmp_path: Path) -> None:
    assert write_secrets(tmp_path, GOOD, 0o400).expiries()


def test_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = write_secrets(tmp_path, GOOD)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SecretError, match="belongs to somebody else"):
        secrets.expiries()


def test_the_rights_are_those_of_the_file_behind_a_link(tmp_path: Path) -> None:
    write_secrets(tmp_path, GOOD, 0o644)
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "secrets.toml")
    with pytest.raises(SecretError, match="mode 0644"):
        FileSecrets(link).expiries()


def test_what_is_no_file_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(SecretError, match=r"is no file|cannot be read"):
            FileSecrets(path).expiries()


def test_a_secret_or_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="No such file"):
        FileSecrets(tmp_path / "nowhere.toml").expiries()
    with pytest.raises(SecretError, match="has no secret 'other'"):
        write_secrets(tmp_path, GOOD).value("other")


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
def test_a_file_that_cannot_be_read_is_told_without_what_stands_in_it(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(SecretError) as raised:
        write_secrets(tmp_path, text).expiries()
    assert "secrets.toml" in str(raised.value)
    shown: BaseException | None = raised.value
    while shown is not None:
        assert "hush" not in str(shown)
        shown = shown.__cause__


def test_an_empty_file_has_no_secrets(tmp_path: Path) -> None:
    assert write_secrets(tmp_path, "").expiries() == {}


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="more than"):
        write_secrets(tmp_path, "#" * (2**20 + 1)).expiries()


def test_a_laptop_s_secrets_lie_in_its_home_and_a_cluster_s_do_not(tmp_path: Path) -> None:
    def secrets_of(target: Target) -> FileSecrets | None:
        found = TargetOptions(target, tmp_path, None, None, None, None, None).secrets()
        assert found is None or isinstance(found, FileSecrets)
        return found

    assert secrets_of(Target.LAPTOP) is None, "nobody has to have secrets"
    write_secrets(DataDir.resolve(tmp_path).secrets.parent, GOOD)
    laptops = secrets_of(Target.LAPTOP)
    assert laptops is not None
    assert laptops.value("api-key").get_secret_value() == "hush"
    assert secrets_of(Target.KSERVE) is None
