"""The add-on installer, with fake kubectl and helm that record their calls."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.manifests import KUBERNETES

REPOSITORY = KUBERNETES.parent
PLATFORM = KUBERNETES / "platform"
FAKE_TOOLS = REPOSITORY / "deploy" / "tests" / "addons" / "fake_tools.sh"
MANAGED_OBJECTS = (
    "crd/scaledobjects.keda.sh",
    "crd/podmonitors.azmonitoring.coreos.com",
    "apiservice/v1beta1.metrics.k8s.io",
)
TIMEOUT_S = 240
KSERVE_CONFIG = {"data": {"deploy": "{}", "inferenceService": '{"resource": {"cpuLimit": "1"}}'}}
"""The ConfigMap of KServe's chart. The fake keeps only the patched fields of an object."""


@dataclass(frozen=True)
class Call:
    """One recorded call of kubectl or helm."""

    program: str
    stdin: str
    arguments: tuple[str, ...]

    def option(self, name: str) -> str:
        return self.arguments[self.arguments.index(name) + 1]


@dataclass
class InstallerEnvironment:
    """A fake cluster (fake_tools.sh)."""

    folder: Path

    def set_version(self, program: str, version: str) -> None:
        (self.folder / "versions" / program).write_text(f"{version}\n")

    def add_release(self, name: str, **info: str) -> None:
        (self.folder / "releases" / name).write_text(json.dumps(info) + "\n")

    def add_object(self, name: str, **body: object) -> None:
        path = self.folder / "objects" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(body))

    def fail_on(self, *arguments: str) -> None:
        (self.folder / "fails").write_text("".join(f"{argument}\n" for argument in arguments))

    def calls(self, program: str, *prefix: str) -> list[Call]:
        """Return the calls of a program whose arguments start with a prefix."""
        path = self.folder / "calls"
        records = path.read_text().split("\36")[:-1] if path.exists() else []
        calls = [Call(*call.split("\37")[:2], tuple(call.split("\37")[2:-1])) for call in records]
        return [call for call in calls if call.program == program and call.arguments[: len(prefix)] == prefix]

    def clear_calls(self) -> None:
        (self.folder / "calls").unlink(missing_ok=True)

    def run(self, *arguments: str, root: Path = REPOSITORY) -> "subprocess.CompletedProcess[str]":
        """Run the installer of a checkout with the standard library only (`-S`: no site-packages)."""
        environment = {**os.environ, "PATH": str(self.folder / "bin"), "FAKE_TOOLS_DIR": str(self.folder)}
        command = [sys.executable, "-S", "-m", "deploy.addons.install", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)

    def apply(self, environment: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        result = self.run("apply", "--environment", environment, *arguments)
        assert result.returncode == 0, result.stderr
        return result


def build_installer_environment(root: Path) -> InstallerEnvironment:
    """Create a fake cluster in an empty folder, with current tools and all managed objects."""
    for folder in ("bin", "versions", "objects", "releases"):
        (root / folder).mkdir()
    for name in ("kubectl", "helm"):
        (root / "bin" / name).symlink_to(FAKE_TOOLS)
    for name in ("fails", "applied", "empty"):
        (root / name).touch()
    (root / "objects" / "configmap").mkdir()
    (root / "kserve-config").write_text(json.dumps(KSERVE_CONFIG))
    environment = InstallerEnvironment(root)
    for program, version in (("kubectl", "v1.35.1"), ("helm", "v3.19.0"), ("server", "v1.35.2")):
        environment.set_version(program, version)
    for name in MANAGED_OBJECTS:
        environment.add_object(name)
    return environment


def installed_charts(env: InstallerEnvironment) -> list[str]:
    return [call.arguments[2] for call in env.calls("helm", "upgrade")]
