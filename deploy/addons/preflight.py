"""What has to be there before anything is installed, all of it looked at before any of it is told."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence

from deploy.addons.commands import Programs
from deploy.addons.table import PlatformError, Table, Tool

_VERSION = {
    "kubectl": ("version", "--client", "--output", "json"),
    "helm": ("version", "--template", "{{.Version}}"),
}
_NUMBERS = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def missing_tools(table: Table, programs: Programs) -> list[str]:
    """Return what is wrong with the programs on the PATH, each with how to get it."""
    found = (_fault(name, tool, programs) for name, tool in table.tools.items())
    return [fault for fault in found if fault]


def _fault(name: str, tool: Tool, programs: Programs) -> str:
    if shutil.which(name) is None:
        return f"{name} is not on the PATH: get {tool.least} or newer from {tool.get}"
    said = programs.ask([name, *_VERSION[name]])
    match = _NUMBERS.search(said.out)
    if said.status != 0 or match is None:
        return f"{name} does not tell its version: get {tool.least} or newer from {tool.get}"
    if _older(match[0], tool.least):
        return f"{name} is {match[0]}: get {tool.least} or newer from {tool.get}"
    return ""


def _older(version: str, least: str) -> bool:
    return _numbers(version) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    match = _NUMBERS.match(version)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def wrong_with_cluster(table: Table, environment: str, programs: Programs) -> list[str]:
    """Return why this cluster cannot be this environment's."""
    said = programs.ask(programs.kubectl("version", "--output", "json"))
    server = _server(said.out)
    if server is None:
        return [f"no cluster answers ({said.err.strip() or 'kubectl names none'}): log in, or name it by --context"]
    faults = []
    if _older(server, table.kubernetes):
        faults.append(f"the cluster runs Kubernetes {server}: {table.kubernetes} is the least")
    is_of = _environment_of(programs.get("namespace", "thale"))
    if is_of not in (None, environment):
        faults.append(f"the cluster is {is_of}'s (namespace thale), not {environment}'s: choose another --context")
    for brought in table.brought:
        if environment in brought.environments and programs.get(brought.object) is None:
            faults.append(f"{brought.object} is not there: {brought.by} brings it")
    return faults


def _server(answer: str) -> str | None:
    try:
        version = json.loads(answer)["serverVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(version)


def _environment_of(namespace: Mapping[str, Mapping[str, Mapping[str, str]]] | None) -> str | None:
    return ((namespace or {}).get("metadata", {}).get("labels") or {}).get("thale/environment")


def demand(faults: Sequence[str]) -> None:
    """Raise what is wrong.

    Raises:
        PlatformError: If anything is.
    """
    if faults:
        raise PlatformError("this has to be put right first:\n  - " + "\n  - ".join(faults))
