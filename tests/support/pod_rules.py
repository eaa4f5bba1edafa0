"""Rules for containers: the `restricted` Pod Security Standard, and those of this repository."""

import re
from typing import Any

from tests.support.manifests import Manifest

PINNED = re.compile(r"[^@]+@sha256:[0-9a-f]{64}|[^@:]+(:\d+/[^@:]+)?:v?\d[\w.+-]*")
"""Pattern of an image reference with a digest or an exact version tag."""
SECRET = re.compile(r"secret|token|password|passwd|credential|connection_string|access_?key", re.IGNORECASE)
HOST = ("hostNetwork", "hostPID", "hostIPC")
VOLUMES = {"emptyDir", "configMap", "secret", "persistentVolumeClaim", "projected", "downwardAPI"}


def rule_violations(pod: Manifest, container: Manifest) -> list[str]:
    """Return the rules that a container and its pod violate."""
    security_context: dict[str, Any] = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    resources, ports = container.get("resources", {}), container.get("ports", ())
    volumes = {kind for volume in pod.get("volumes", ()) for kind in volume.keys() - {"name"}}
    rules = {
        "pins the image": PINNED.fullmatch(container.get("image", "")),
        "requests CPU and memory": {"cpu", "memory"} <= resources.get("requests", {}).keys(),
        "limits CPU and memory": {"cpu", "memory"} <= resources.get("limits", {}).keys(),
        "has a liveness probe": "livenessProbe" in container,
        "has a readiness probe": "readinessProbe" in container,
        "has a startup probe": "startupProbe" in container,
        "runs as non-root": security_context.get("runAsNonRoot") is True
        and security_context.get("runAsUser", 0) >= 10000,
        "has a read-only root file system": security_context.get("readOnlyRootFilesystem") is True,
        "gains no privileges": security_context.get("allowPrivilegeEscalation") is False
        and not security_context.get("privileged"),
        "has no capabilities": security_context.get("capabilities") == {"drop": ["ALL"]},
        "filters system calls": security_context.get("seccompProfile") == {"type": "RuntimeDefault"},
        "uses no host resources": not any(pod.get(field) for field in HOST) and volumes <= VOLUMES,
        "uses no host port": not any("hostPort" in port for port in ports),
        "has no secret in its environment": not _secrets(container),
    }
    return [rule for rule, is_met in rules.items() if not is_met]


def _secrets(container: Manifest) -> list[str]:
    return [
        entry["name"]
        for entry in container.get("env", ())
        if (SECRET.search(entry["name"]) and not _is_path(entry)) or "secretKeyRef" in entry.get("valueFrom", {})
    ] + [str(source) for source in container.get("envFrom", ()) if "secretRef" in source]


def _is_path(entry: Manifest) -> bool:
    """Return whether an environment variable is the path of a file with the secret."""
    return str(entry["name"]).endswith("_PATH") and str(entry.get("value", "")).startswith("/etc/")
