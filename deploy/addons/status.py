"""Status of an add-on in the cluster, read from helm and kubectl on each run."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from deploy.addons.commands import FIELD_MANAGER, ClusterTools
from deploy.addons.crd_bundle import takeover_options
from deploy.addons.kserve_config import CONFIG_MAP, missing_annotations
from deploy.addons.table import Addon, AddonError

State = Literal["up to date", "missing", "differs", "interrupted"]

HELM_TIMEOUT = timedelta(minutes=10)
_STALE_AFTER = HELM_TIMEOUT + timedelta(minutes=5)


@dataclass(frozen=True)
class AddonStatus:
    """State of an add-on, with a description of the next action."""

    state: State
    description: str

    @property
    def is_current(self) -> bool:
        """Return whether the add-on is up to date."""
        return self.state == "up to date"


def release_description(addon: Addon) -> str:
    """Return the description of an up-to-date release: version and digest."""
    return f"{FIELD_MANAGER} {addon.version} {addon.digest()}"


def addon_status(addon: Addon, tools: ClusterTools, *, is_explicit: bool = False) -> AddonStatus:
    """Return the status of an add-on.

    Args:
        addon: The add-on.
        tools: kubectl and helm of the cluster.
        is_explicit: Whether the operator selected this add-on, and so confirms that no other installation is running.

    Raises:
        AddonError: If the cluster does not respond, or another installation may be running.
    """
    return _chart_status(addon, tools, is_explicit) if addon.chart else _manifest_status(addon, tools)


def _chart_status(addon: Addon, tools: ClusterTools, is_explicit: bool) -> AddonStatus:
    command = tools.helm("status", addon.name, "--namespace", addon.namespace, "--output", "json")
    result = tools.query(command)
    if result.returncode != 0:
        if "not found" in result.stderr:
            return AddonStatus("missing", "install")
        raise AddonError(f"helm cannot read the status of {addon.name}: {result.stderr.strip()}")
    info = json.loads(result.stdout)["info"]
    status, description = str(info["status"]), str(info.get("description", ""))
    if status.startswith("pending-"):
        since = datetime.fromisoformat(info["last_deployed"]).astimezone(UTC)
        if datetime.now(UTC) - since < _STALE_AFTER and not is_explicit:
            raise AddonError(
                f"an installation of {addon.name} started at {since:%H:%M:%S} UTC ({status}): wait until it ends; "
                f"if no installation is running, pass --only {addon.name}"
            )
        return AddonStatus("interrupted", f"clear an interrupted installation ({status}), install")
    if status == "deployed" and description == release_description(addon):
        return _config_status(addon, tools)
    if status != "deployed":
        return AddonStatus("differs", f"install again: the last installation is {status}")
    name, _, previous_description = description.partition(" ")
    previous = previous_description.partition(" ")[0] if name == FIELD_MANAGER else "another installation"
    return AddonStatus("differs", "apply new values" if previous == addon.version else f"upgrade from {previous}")


def _config_status(addon: Addon, tools: ClusterTools) -> AddonStatus:
    """Return the status of an up-to-date release by its ConfigMap, which another `helm upgrade` may have restored."""
    if addon.disallowed_annotations:
        config_map = tools.get("configmap", CONFIG_MAP, "--namespace", addon.namespace)
        if missing := missing_annotations(config_map, addon.disallowed_annotations):
            return AddonStatus("differs", f"KServe would copy {', '.join(missing)} into pods: patch {CONFIG_MAP}")
    return AddonStatus("up to date", "up to date")


def _manifest_status(addon: Addon, tools: ClusterTools) -> AddonStatus:
    result = tools.query(
        tools.kubectl(
            *("diff", "--server-side", "--field-manager", FIELD_MANAGER),
            *takeover_options(addon, tools),
            *source_arguments(addon),
        )
    )
    if result.returncode == 0:
        return AddonStatus("up to date", "up to date")
    if result.returncode == 1:
        return AddonStatus("differs", "apply differences")
    if "not found" in result.stderr or "no matches for kind" in result.stderr:
        return AddonStatus("missing", "apply")
    raise AddonError(f"kubectl cannot read the status of {addon.name}: {result.stderr.strip()}")


def source_arguments(addon: Addon) -> tuple[str, str]:
    """Return the kubectl options for the source of a manifest."""
    return ("--kustomize", str(addon.folder)) if addon.folder else ("--filename", addon.source)
