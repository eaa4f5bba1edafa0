"""Search of the lock files for packages with known vulnerabilities, with pip-audit.

    python -m tools.audit_locks PIP_AUDIT requirements/*.txt

It ends with 1 if pip-audit finds a vulnerability, and with 2 if the advisory service cannot be reached: nothing is then
known about the packages, so that the check must not pass.
"""

import subprocess
import sys
from collections.abc import Sequence

TIMEOUT_S = 600
_UNREACHABLE = (
    "requests.exceptions.",
    "ConnectionError",
    "ServiceError",
    "Max retries exceeded",
    "not found on PyPI",
)
"""Parts of messages of pip-audit 2.10 without its service. A mirror of packages has no advisories: it responds 404."""


def audit(pip_audit: str, lock_files: Sequence[str], timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
    """Return the exit code and the report: of the first lock file with a finding, or of all."""
    for path in lock_files:
        command = [pip_audit, "--strict", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
        try:
            completed = subprocess.run(  # noqa: S603 (the Makefile names the program)
                [*command, "--requirement", path], capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return 2, _unreachable(path, f"no result within {timeout_s:g} s")
        if completed.returncode and (reason := _service_failure(completed.stderr)) is not None:
            return 2, _unreachable(path, reason)
        if completed.returncode:
            return 1, f"{completed.stdout}{completed.stderr}"
    return 0, f"no known vulnerability in {', '.join(lock_files)}"


def _service_failure(stderr: str) -> str | None:
    """Return the last line of a failure of the advisory service, or None for another failure."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if not any(part in line for line in lines for part in _UNREACHABLE):
        return None
    return lines[-1][:200]


def _unreachable(path: str, reason: str) -> str:
    return (
        f"{path} cannot be audited: the advisory service of pypi.org is unreachable ({reason}): "
        "run `make audit` with internet access"
    )


def main(arguments: Sequence[str]) -> int:
    """Audit lock files, and print the report."""
    pip_audit, *lock_files = arguments
    code, report = audit(pip_audit, lock_files)
    print(report.rstrip(), file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
