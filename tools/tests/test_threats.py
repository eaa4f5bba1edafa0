"""Tests of THREATS.md: each test that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_REFERENCE = re.compile(r"`(?P<path>[\w/.-]+\.py)::(?P<test>\w+)`")


def test_each_test_of_the_threat_model_exists() -> None:
    references = [match.groups() for match in _REFERENCE.finditer((ROOT / "THREATS.md").read_text())]
    assert len(references) > 20
    missing = [
        f"{path}::{test}"
        for path, test in references
        if not (ROOT / path).is_file() or not re.search(rf"def {test}\(", (ROOT / path).read_text())
    ]
    assert missing == []


def test_each_threat_names_a_measure_and_a_test() -> None:
    rows = [line for line in (ROOT / "THREATS.md").read_text().splitlines() if re.match(r"\| [STRIDE] \|", line)]
    assert len(rows) > 20
    assert [row for row in rows if not _REFERENCE.search(row) or len(row.split("|")) != 6] == []


def test_security_documents_link_to_existing_files() -> None:
    for name in ("SECURITY.md", "THREATS.md"):
        links = re.findall(r"\]\((?!https://)([^)#]+)\)", (ROOT / name).read_text())
        assert links
        assert [link for link in links if not (ROOT / link).exists()] == []
