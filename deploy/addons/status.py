"""How an add-on stands in the cluster: asked of helm and kubectl, never remembered here."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from deploy.addons.commands import FIELD_MANAGER, Programs
from deploy.addons.table import Addon, PlatformError

State = Literal["as wanted", "missing", "differs", "interrupted"]

HELM_TIMEOUT = timedelta(minutes=10)
_GIVEN_UP_AFTER = HELM_TIMEOUT + timedelta(minutes=5)


@dataclass(frozen=True)
class Standing:
    """Whether there is something to do, and in which words."""

    state: State
    words: str

    @property
    def done(self) -> bool:
        """Whether it is as wanted."""
        return self.state == "as wanted"


def mark(addon: Addon) -> str:
    """Return how a chart's release is described that is as wanted."""
    return f"{FIELD_MANAGER} {addon.version} {addon.digest()}"


def standing(addon: Addon, programs: Programs, *, named: bool = False) -> Standing:
    """Return how an add-on stands.

    Args:
        addon: The add-on.
        programs: Whom to ask.
        named: Somebody asked for this one, and says so that nobody else is at it.

    Raises:
        PlatformError: If the cluster does not answer, or somebody is just installing it.
    """
    return _of_chart(addon, programs, named) if addon.chart else _of_manifest(addon, programs)


def _of_chart(addon: Addon, programs: Programs, named: bool) -> Standing:
    command = programs.helm("status", addon.name, "--namespace", addon.namespace, "--output", "json")
    said = programs.ask(command)
    if said.status != 0:
        if "not found" in said.err:
            return Standing("missing", "install")
        raise PlatformError(f"helm cannot say how {addon.name} stands: {said.err.strip()}")
    told = json.loads(said.out)["info"]
    status, description = str(told["status"]), str(told.get("description", ""))
    if status.startswith("pending-"):
        since = datetime.fromisoformat(told["last_deployed"]).astimezone(UTC)
        if datetime.now(UTC) - since < _GIVEN_UP_AFTER and not named:
            raise PlatformError(
                f"{addon.name} is being installed since {since:%H:%M:%S} UTC ({status}): wait until that has ended; "
                f"if nobody is at it any more, say so with --only {addon.name}"
            )
        return Standing("interrupted", f"clear away an interrupted installation ({status}), install")
    if status == "deployed" and description == mark(addon):
        return Standing("as wanted", "as wanted")
    if status != "deployed":
        return Standing("differs", f"install again: its last installation is {status}")
    name, _, before = description.partition(" ")
    was = before.partition(" ")[0] if name == FIELD_MANAGER else "what somebody else installed"
    return Standing("differs", "tell it new values" if was == addon.version else f"upgrade from {was}")


def _of_manifest(addon: Addon, programs: Programs) -> Standing:
    said = programs.ask(
        programs.kubectl("diff", "--server-side", "--field-manager", FIELD_MANAGER, *source_words(addon))
    )
    if said.status == 0:
        return Standing("as wanted", "as wanted")
    if said.status == 1:
        return Standing("differs", "apply what differs")
    if "not found" in said.err or "no matches for kind" in said.err:
        return Standing("missing", "apply")
    raise PlatformError(f"kubectl cannot say how {addon.name} stands: {said.err.strip()}")


def source_words(addon: Addon) -> tuple[str, str]:
    """Return how kubectl is told where a manifest is."""
    return ("--kustomize", str(addon.folder)) if addon.folder else ("--filename", addon.source)
