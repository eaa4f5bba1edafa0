from pathlib import Path

import pytest

from thale.errors import ParameterError
from thale.slo import read_slo

REPO_ROOT = Path(__file__).parents[2]
LIMITS = REPO_ROOT / "services" / "thale" / "slo.toml"


def test_thale_comes_with_limits() -> None:
    slo = read_slo()
    assert slo == read_slo(LIMITS)
    assert slo.judge.false_rollback_rate <= 0.01
    assert [limit.up_to_megapixels for limit in slo.latency] == sorted(limit.up_to_megapixels for limit in slo.latency)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("availability = 0.999", "availability = 99.9", "availability: Input should be less than 1"),
        ("failures = 0.3", "failures = 0.9", "the shares sum up to"),
        ("[judge.drift]", "[judge.drift]\nks = 1", "judge.drift.ks: Extra inputs"),
        ("min_requests = 200", "", "judge.min_requests: Field required"),
        ("[judge.drift]", "[judge.drift", "cannot be read"),
    ],
)
def test_limits_that_make_no_sense_are_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    text = LIMITS.read_text()
    assert old in text
    (tmp_path / "slo.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ParameterError, match=says):
        read_slo(tmp_path / "slo.toml")


def test_limits_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read from"):
        read_slo(tmp_path / "slo.toml")
