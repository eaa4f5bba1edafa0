"""Events of pods that do not start: volumes that cannot be mounted, networks, and pods that the API server refuses.

A pod's status has no reason while its volumes are mounted, so its last event is the only source. An event that came
before a later step of the kubelet, such as `Pulling`, is the trace of an attempt that succeeded afterwards.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Event = Mapping[str, Any]


def last_warnings(events: Iterable[Event], kind: str) -> Mapping[str, tuple[str, str]]:
    """Return reason and message of each object's last event, if it is a warning, by the name of the object."""
    last: dict[str, Event] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        name = str(about.get("name", ""))
        if about.get("kind") == kind and (name not in last or _order(event) > _order(last[name])):
            last[name] = event
    return {
        name: (str(event.get("reason", "")), str(event.get("message", "")))
        for name, event in last.items()
        if event.get("type") == "Warning"
    }


def _order(event: Event) -> tuple[str, bool]:
    """Return the time of an event. Within the same second, a warning came before the step that succeeded."""
    repeated = (event.get("series") or {}).get("lastObservedTime")
    at = str(repeated or event.get("lastTimestamp") or event.get("eventTime") or "")
    return at[: len("2026-11-30T12:00:00")], event.get("type") != "Warning"
