"""Tests of reading the judge policy."""

from pathlib import Path

import pytest

from thale.errors import ParameterError
from thale.release.judge.policy import read_policy

REPO_ROOT = Path(__file__).parents[4]
DEFAULT_PATH = REPO_ROOT / "services" / "thale" / "release" / "judge" / "policy.toml"


def test_read_policy_reads_the_default_policy() -> None:
    policy = read_policy()
    assert policy == read_policy(DEFAULT_PATH)
    assert policy.false_rollback_rate <= 0.01


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("failures = 0.3", "failures = 0.9", "the shares sum to"),
        ("[drift]", "[drift]\nks = 1", r"drift\.ks: Extra inputs"),
        ("min_requests = 200", "", "min_requests: Field required"),
        ("[drift]", "[drift", "cannot be read"),
    ],
)
def test_read_policy_reports_an_invalid_policy(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = DEFAULT_PATH.read_text()
    assert old in text
    (tmp_path / "policy.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ParameterError, match=message):
        read_policy(tmp_path / "policy.toml")


def test_read_policy_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read from"):
        read_policy(tmp_path / "policy.toml")
