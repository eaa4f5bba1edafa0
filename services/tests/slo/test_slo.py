from pathlib import Path

import pytest

from thale.errors import ParameterError
from thale.slo import read_slo

REPO_ROOT = Path(__file__).parents[3]
DEFAULT_PATH = REPO_ROOT / "services" / "thale" / "slo" / "slo.toml"


def test_read_slo_reads_the_default_objectives() -> None:
    slo = read_slo()
    assert slo == read_slo(DEFAULT_PATH)
    sizes = [objective.up_to_megapixels for objective in slo.latency]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("availability = 0.999", "availability = 99.9", "availability: Input should be less than 1"),
        ("availability = 0.999", "", "availability: Field required"),
        ("p99_s = 5.0", "p99_s = 5.0\np50_s = 1.0", r"latency\.0\.p50_s: Extra inputs"),
        ("[[latency]]", "[[latency]", "cannot be read"),
    ],
)
def test_read_slo_reports_invalid_objectives(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = DEFAULT_PATH.read_text()
    assert old in text
    (tmp_path / "slo.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ParameterError, match=message):
        read_slo(tmp_path / "slo.toml")


def test_read_slo_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read from"):
        read_slo(tmp_path / "slo.toml")
