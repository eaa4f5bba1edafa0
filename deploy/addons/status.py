"""How an add-on stands in the cluster: asked of helm and kubectl, never remembered here."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from deploy.addons.commands import FIELD_MANAGER, ClusterTools
from deploy.addons.table import Addon, AddonError

State = Literal["up to date", "missing", "differs", "interrupted"]

HELM_TIMEOUT = timedelta(minutes=10)
_STALE_AFTER = HELM_TIMEOUT + timedelta(minutes=5)


@dataclass(frozen=True)
class AddonStatus:
    """Whether there is something to do, and in which words."""

    state: State
    description: str

    @property
    def is_current(self) -> bool:
        """Whether it is as wanted."""
        return self.state == "up to date"


def release_description(addon: Addon) -> str:
    """Return how a chart's release is described that is as wanted."""
    return f"{FIELD_MANAGER} {addon.version} {addon.digest()}"


def addon_status(addon: Addon, tools: ClusterTools, *, is_explicit: bool = False) -> AddonStatus:
    """Return how an add-on stands.

    Args:
        addon: The add-on.
        programs: Whom to ask.
        named: Somebody asked for this one, and says so that nobody else is at it.

    Raises:
        PlatformError: If the cluster does not answer, or somebody is just installing it.
    """
    return _chart_status(addon, tools, is_explicit) if addon.chart else _manifest_status(addon, tools)


def _chart_status(addon: Addon, tools: ClusterTools, is_explicit: bool) -> AddonStatus:
    command = tools.helm("status", addon.name, "--namespace", addon.namespace, "--output", "json")
    result = tools.query(command)
    if result.status != 0:
        if "not found" in result.stderr:
            return AddonStatus("missing", "install")
        raise AddonError(f"helm cannot say how {addon.name} stands: {result.stderr.strip()}")
    info = json.loads(result.stdout)["info"]
    status, description = str(info["status"]), str(info.get("description", ""))
    if status.startswith("pending-"):
        since = datetime.fromisoformat(info["last_deployed"]).astimezone(UTC)
        if datetime.now(UTC) - since < _STALE_AFTER and not is_explicit:
            raise AddonError(
                f"{addon.name} is being installed since {since:%H:%M:%S} UTC ({status}): wait until that has ended; "
                f"if nobody is at it any more, say so with --only {addon.name}"
            )
        return AddonStatus("interrupted", f"clear away an interrupted installation ({status}), install")
    if status == "deployed" and description == release_description(addon):
        return AddonStatus("up to date", "up to date")
    if status != "deployed":
        return AddonStatus("differs", f"install again: its last installation is {status}")
    name, _, previous_description = description.partition(" ")
    previous = previous_description.partition(" ")[0] if name == FIELD_MANAGER else "what somebody else installed"
    return AddonStatus("differs", "tell it new values" if previous == addon.version else f"upgrade from {previous}")


def _manifest_status(addon: Addon, tools: ClusterTools) -> AddonStatus:
    result = tools.query(
        tools.kubectl("diff", "--server-side", "--field-manager", FIELD_MANAGER, *source_arguments(addon))
    )
    if result.status == 0:
        return AddonStatus("up to date", "up to date")
    if result.status == 1:
        return AddonStatus("differs", "apply what differs")
    if "not found" in result.stderr or "no matches for kind" in result.stderr:
        return AddonStatus("missing", "apply")
    raise AddonError(f"kubectl cannot say how {addon.name} stands: {result.stderr.strip()}")


def source_arguments(addon: Addon) -> tuple[str, str]:
    """Return how kubectl is told where a manifest is."""
    return ("--kustomize", str(addon.folder)) if addon.folder else ("--filename", addon.source)
