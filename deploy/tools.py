"""Programs that a deploy runs, with their minimum versions and sources."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.commands import run
from deploy.container_engine import missing_engine
from deploy.errors import CommandError, MissingPrerequisite
from deploy.settings import Access, DeploySettings, Environment

Version = tuple[int, ...]


@dataclass(frozen=True)
class Tool:
    """A required program, its version command, and its minimum version."""

    name: str
    version_arguments: Sequence[str]
    min_version: Version
    source: str
    is_required: Callable[[DeploySettings], bool]

    def missing(self) -> MissingPrerequisite | None:
        """Return the missing prerequisite if the program is missing or too old, else None."""
        minimum = ".".join(str(number) for number in self.min_version)
        try:
            result = run([self.name, *self.version_arguments])
        except CommandError as error:
            return MissingPrerequisite(
                f"{self.name} {minimum} or newer: it does not run ({str(error).splitlines()[-1]})", self.source
            )
        version = parse_version(result.stdout + result.stderr)
        if version is None or version < self.min_version:
            found = ".".join(str(number) for number in version) if version else "an unknown version"
            return MissingPrerequisite(f"{self.name} {minimum} or newer: the installed version is {found}", self.source)
        return None


def parse_version(text: str) -> Version | None:
    """Return the first version with three numbers in a text, or None."""
    match = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(number) for number in match.groups()) if match else None


def _on_azure(settings: DeploySettings) -> bool:
    return settings.environment.on_azure


def _uses_direct_access(settings: DeploySettings) -> bool:
    return _on_azure(settings) and settings.access is Access.DIRECT


def _on_laptop(settings: DeploySettings) -> bool:
    return settings.environment is Environment.LAPTOP


def _loads_into_kind(settings: DeploySettings) -> bool:
    return _on_laptop(settings) and settings.registry is None


TOOLS = (
    Tool("terraform", ["version"], (1, 11, 0), "https://developer.hashicorp.com/terraform/install", _on_azure),
    Tool("az", ["version", "--output", "json"], (2, 70, 0), "https://aka.ms/install-azure-cli", _on_azure),
    Tool(
        "kubectl",
        ["version", "--client"],
        (1, 32, 0),
        "az aks install-cli, or https://kubernetes.io/docs/tasks/tools",
        lambda _: True,
    ),
    Tool("kubelogin", ["--version"], (0, 1, 0), "az aks install-cli installs it with kubectl", _uses_direct_access),
    Tool("helm", ["version"], (3, 16, 0), "https://helm.sh/docs/intro/install", lambda _: True),
    Tool(
        "kind",
        ["version"],
        (0, 27, 0),
        "https://kind.sigs.k8s.io, or set `registry = …` to a registry that the cluster pulls from",
        _loads_into_kind,
    ),
    Tool("git", ["--version"], (2, 20, 0), "https://git-scm.com/downloads", lambda _: True),
)


def missing_tools(settings: DeploySettings) -> list[MissingPrerequisite]:
    """Return the programs that the environment needs and that are missing or too old."""
    found = [tool.missing() for tool in TOOLS if tool.is_required(settings)]
    if _on_laptop(settings):
        found.append(missing_engine())
    return [missing for missing in found if missing is not None]
