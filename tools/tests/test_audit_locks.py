"""Tests of the search for vulnerabilities: findings, an unreachable service, and a service that hangs."""

from pathlib import Path

import pytest

from tools.audit_locks import audit


def write_program(folder: Path, lines: str) -> str:
    program = folder / "pip-audit"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    return str(program)


def test_audit_passes_without_findings(tmp_path: Path) -> None:
    code, report = audit(write_program(tmp_path, "exit 0"), ["a.txt", "b.txt"])
    assert (code, report) == (0, "no known vulnerability in a.txt, b.txt")


def test_audit_reports_a_finding(tmp_path: Path) -> None:
    program = write_program(tmp_path, "echo 'pillow 1.0 CVE-1'; echo 'Found 1 known vulnerability' >&2; exit 1")
    code, report = audit(program, ["a.txt"])
    assert code == 1
    assert "pillow 1.0 CVE-1" in report


@pytest.mark.parametrize(
    "message",
    [
        "Traceback (most recent call last):\nrequests.exceptions.ConnectionError: Failed to resolve 'pypi.org'",
        "ERROR:pip_audit._cli:uv: Dependency not found on PyPI and could not be audited: uv (0.13.9)",
    ],
)
def test_unreachable_service_fails_with_one_sentence(tmp_path: Path, message: str) -> None:
    code, report = audit(write_program(tmp_path, f"cat >&2 <<'END'\n{message}\nEND\nexit 1"), ["a.txt"])
    assert code == 2
    assert report.startswith("a.txt cannot be audited: the advisory service of pypi.org is unreachable")
    assert report.count("\n") == 0
    assert "Traceback" not in report


def test_hanging_service_fails_with_one_sentence(tmp_path: Path) -> None:
    code, report = audit(write_program(tmp_path, "exec sleep 600"), ["a.txt"], timeout_s=0.2)
    assert code == 2
    assert "no result within 0.2 s" in report
