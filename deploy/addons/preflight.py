"""Checks all prerequisites of the installer and reports every missing one at once."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence

from deploy.addons.commands import ClusterTools
from deploy.addons.crd_bundle import bundle_problem
from deploy.addons.table import AddonError, AddonTable, RequiredTool

_VERSION_ARGUMENTS = {
    "kubectl": ("version", "--client", "--output", "json"),
    "helm": ("version", "--template", "{{.Version}}"),
}
_VERSION_PATTERN = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def missing_tools(table: AddonTable, tools: ClusterTools) -> list[str]:
    """Return the problems with kubectl and helm, each with its remedy."""
    problems = (_tool_problem(name, tool, tools) for name, tool in table.tools.items())
    return [problem for problem in problems if problem]


def _tool_problem(name: str, tool: RequiredTool, tools: ClusterTools) -> str:
    if shutil.which(name) is None:
        return f"{name} is not on the PATH: get {tool.min_version} or newer from {tool.source}"
    result = tools.query([name, *_VERSION_ARGUMENTS[name]])
    match = _VERSION_PATTERN.search(result.stdout)
    if result.returncode != 0 or match is None:
        return f"{name} does not print its version: get {tool.min_version} or newer from {tool.source}"
    if _is_older(match[0], tool.min_version):
        return f"{name} is {match[0]}: get {tool.min_version} or newer from {tool.source}"
    return ""


def _is_older(version: str, minimum: str) -> bool:
    return _parse_version(version) < _parse_version(minimum)


def _parse_version(version: str) -> tuple[int, ...]:
    match = _VERSION_PATTERN.match(version)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def cluster_problems(table: AddonTable, environment: str, tools: ClusterTools) -> list[str]:
    """Return the reasons for which the cluster cannot serve this environment."""
    result = tools.query(tools.kubectl("version", "--output", "json"))
    server = _server_version(result.stdout)
    if server is None:
        return [f"no cluster responds ({result.stderr.strip() or 'no server version'}): log in or pass --context"]
    problems = []
    if _is_older(server, table.kubernetes):
        problems.append(f"the cluster runs Kubernetes {server}: the minimum is {table.kubernetes}")
    cluster_environment = _environment_label(tools.get("namespace", "thale"))
    if cluster_environment not in (None, environment):
        problems.append(
            f"the cluster belongs to {cluster_environment} (namespace thale), not {environment}: pass another --context"
        )
    bundles = (bundle_problem(addon, tools) for addon in table.for_environment(environment) if addon.bundle_crd)
    problems += [problem for problem in bundles if problem]
    for managed in table.managed:
        if environment in managed.environments and tools.get(managed.object) is None:
            problems.append(f"{managed.object} is missing: {managed.provider} installs it")
    return problems


def _server_version(output: str) -> str | None:
    try:
        version = json.loads(output)["serverVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(version)


def _environment_label(namespace: Mapping[str, Mapping[str, Mapping[str, str]]] | None) -> str | None:
    return ((namespace or {}).get("metadata", {}).get("labels") or {}).get("thale/environment")


def require(problems: Sequence[str]) -> None:
    """Check that there are no problems.

    Raises:
        AddonError: If there are any, with all of them.
    """
    if problems:
        raise AddonError("fix these problems first:\n  - " + "\n  - ".join(problems))
