"""State of a pod in one line. Failures of real sequences are tested with the target in release/targets."""

import subprocess
import sys
from typing import Any

import pytest

from thale.kserve.pod_state import describe_pod


def make_pod(**status: Any) -> dict[str, Any]:
    """Return a pod with a status."""
    return {"metadata": {"name": "facade-1"}, "status": status}


def waiting(reason: str, message: str) -> dict[str, Any]:
    """Return the status of a container that waits."""
    return {"name": "facade", "state": {"waiting": {"reason": reason, "message": message}}}


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gate"}
                ]
            },
            "SchedulingGated (gate)",
        ),
        ({"containerStatuses": [waiting("RegistryUnavailable", "no route")]}, "RegistryUnavailable (no route)"),
        (
            {"containerStatuses": [{"name": "facade", "state": {"running": {}}, "restartCount": 2}]},
            "Starting (2 restarts)",
        ),
        ({"reason": "Evicted", "message": "low on memory"}, "Evicted (low on memory)"),
        ({"phase": "Pending"}, "Pending"),
    ],
    ids=["gated", "unknown reason", "restarts", "evicted", "pending"],
)
def test_state_has_reason_and_message(status: dict[str, Any], line: str) -> None:
    assert str(describe_pod(make_pod(**status))) == f"facade-1: {line}"


@pytest.mark.slow
def test_deploy_reads_pods_without_the_kubernetes_client() -> None:
    """The import of the client takes a second of CPU time in each command of a deploy."""
    code = "import sys, deploy.pod_problems; sys.exit('kubernetes.client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
