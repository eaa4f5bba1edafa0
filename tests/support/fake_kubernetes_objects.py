"""Objects of a fake Kubernetes API in memory: versions, conflicts, patches, and field managers.

Server-side apply has the two rules that matter to a controller. A change of another manager's field is a conflict
unless forced. A field that its manager no longer applies is removed. Every list is atomic, as `spec.canary` is.
"""

import copy
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]
Manager = tuple[str, str]
"""Name and operation (Apply or Update) of a field manager."""

_SERVER_FIELDS = ("uid", "creationTimestamp", "namespace", "name", "generation", "resourceVersion", "managedFields")


class ApiError(Exception):
    """An error that the API returns as a Status object."""

    def __init__(self, code: int, reason: str, message: str, causes: list[Json] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": reason,
            "message": message,
            "code": code,
            "details": {"causes": causes or []},
        }


@dataclass(frozen=True)
class Key:
    """Identity of an object. `plural` is the plural of its kind, such as `leases`."""

    plural: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Event:
    """One change, as a watch streams it."""

    version: int
    kind: str
    key: Key
    body: Json


@dataclass
class KubernetesObjects:
    """All objects with their history, for use by several threads. `changed` notifies watches."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 100
    oldest: int = 100
    """Changes up to this version are no longer stored. A watch from an older version receives 410 Gone."""
    events: list[Event] = field(default_factory=list)
    _bodies: dict[Key, Json] = field(default_factory=dict)
    _fields: dict[Key, dict[Manager, set[Path]]] = field(default_factory=dict)

    def get(self, key: Key) -> Json:
        """Return a copy of an object."""
        with self.changed:
            if key not in self._bodies:
                raise ApiError(404, "NotFound", f'{key.plural} "{key.name}" not found')
            return copy.deepcopy(self._bodies[key])

    def list(self, plural: str, namespace: str) -> list[Json]:
        """Return copies of a namespace's objects."""
        with self.changed:
            keys = [key for key in self._bodies if (key.plural, key.namespace) == (plural, namespace)]
            return [copy.deepcopy(self._bodies[key]) for key in keys]

    def stored_keys(self) -> "tuple[Key, ...]":
        """Return the keys of all objects."""
        with self.changed:
            return tuple(self._bodies)

    def create(self, key: Key, body: Json, manager: Manager) -> Json:
        """Add an object."""
        with self.changed:
            if key in self._bodies:
                raise ApiError(409, "AlreadyExists", f'{key.plural} "{key.name}" already exists')
            created = copy.deepcopy(body)
            created.pop("status", None)
            created["metadata"] = {
                **_client_metadata(created),
                "name": key.name,
                "namespace": key.namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "generation": 1,
            }
            self._fields[key] = {manager: set(dict(_leaves(created)))}
            return self._store(key, created, "ADDED")

    def replace(self, key: Key, body: Json, manager: Manager, *, status: bool = False) -> Json:
        """Replace an object, or only its status."""
        with self.changed:
            now = self.get(key)
            if not body.get("metadata", {}).get("resourceVersion") and not status:
                raise ApiError(422, "Invalid", "metadata.resourceVersion: must be specified for an update")
            self._check_version(key, body)
            after = {**now, "status": body.get("status")} if status else {**copy.deepcopy(body)}
            return self._update(key, after, manager, status=status)

    def merge(self, key: Key, patch: Json, manager: Manager, *, status: bool = False) -> Json:
        """Change an object by a JSON merge patch (RFC 7386)."""
        with self.changed:
            self._check_version(key, patch)
            now = self.get(key)
            merged = _merge(now, {"status": patch.get("status")} if status else patch)
            return self._update(key, merged, manager, status=status)

    def apply(self, key: Key, config: Json, name: str, *, force: bool) -> Json:
        """Change or create an object by server-side apply."""
        manager = (name, "Apply")
        with self.changed:
            wanted = dict(_leaves(config))
            if key not in self._bodies:
                if config.get("metadata", {}).get("resourceVersion"):
                    raise ApiError(404, "NotFound", f'{key.plural} "{key.name}" not found')
                return self.create(key, config, manager)
            self._check_version(key, config)
            now = self.get(key)
            live, fields = dict(_leaves(now)), self._fields[key]
            conflicts = {
                path: other
                for other, paths in fields.items()
                for path in paths
                if other != manager and path in wanted and live.get(path) != wanted[path]
            }
            if conflicts and not force:
                causes = [_conflict(path, other, config["apiVersion"]) for path, other in sorted(conflicts.items())]
                listed = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
                count = f"{len(causes)} conflict{'s' * (len(causes) > 1)}"
                raise ApiError(409, "Conflict", f"Apply failed with {count}: {listed}", causes)
            for other, paths in fields.items():
                if other != manager:
                    paths.difference_update(conflicts)
            shared = set().union(*(paths for other, paths in fields.items() if other != manager))
            after = now
            for path in fields.get(manager, set()) - wanted.keys() - shared:
                _remove_field(after, path)
            for path, value in wanted.items():
                _set_field(after, path, value)
            fields[manager] = set(wanted)
            return self._store_if_changed(key, after)

    def delete(self, key: Key) -> Json:
        """Remove an object."""
        with self.changed:
            deleted = self.get(key)
            del self._bodies[key], self._fields[key]
            self._publish("DELETED", key, deleted)
            return deleted

    def delete_namespaced(self, namespace: str) -> None:
        """Remove all objects of a namespace."""
        with self.changed:
            for key in [key for key in self._bodies if key.namespace == namespace]:
                self.delete(key)

    def compact(self) -> None:
        """Remove the stored history. A watch then starts at the present version at the earliest."""
        with self.changed:
            self.events.clear()
            self.version += 1
            self.oldest = self.version
            self.changed.notify_all()

    def _update(self, key: Key, after: Json, manager: Manager, *, status: bool) -> Json:
        """Store a write that is not an apply. Its manager becomes the manager of the fields that it changes."""
        now = self._bodies[key]
        if not status:
            after["status"] = now.get("status")
        after = {name: value for name, value in after.items() if value is not None}
        server_fields = {name: now["metadata"][name] for name in _SERVER_FIELDS if name in now["metadata"]}
        after["metadata"] = {**_client_metadata(after), **server_fields}
        before, fields = dict(_leaves(now)), self._fields[key]
        leaves = dict(_leaves(after))
        changed_paths = {path for path, value in leaves.items() if before.get(path) != value}
        for paths in fields.values():
            paths.difference_update(changed_paths)
            paths.intersection_update(leaves)
        fields.setdefault(manager, set()).update(changed_paths)
        return self._store_if_changed(key, after)

    def _check_version(self, key: Key, body: Json) -> None:
        expected = body.get("metadata", {}).get("resourceVersion")
        if expected and expected != self.get(key)["metadata"]["resourceVersion"]:
            message = f'Operation cannot be fulfilled on {key.plural} "{key.name}": the object has been modified'
            raise ApiError(409, "Conflict", message)

    def _store_if_changed(self, key: Key, after: Json) -> Json:
        now = self._bodies[key]
        if after.get("spec") != now.get("spec"):
            after["metadata"]["generation"] = now["metadata"]["generation"] + 1
        managed_fields = _managed_fields(self._fields[key])
        if {**after, "metadata": {**after["metadata"], "managedFields": managed_fields}} == now:
            return copy.deepcopy(now)
        return self._store(key, after, "MODIFIED")

    def _store(self, key: Key, body: Json, kind: str) -> Json:
        body["metadata"]["managedFields"] = _managed_fields(self._fields[key])
        self._bodies[key] = body
        self._publish(kind, key, body)
        return copy.deepcopy(body)

    def _publish(self, kind: str, key: Key, body: Json) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.events.append(Event(self.version, kind, key, copy.deepcopy(body)))
        self.changed.notify_all()


def _client_metadata(body: Json) -> Json:
    return {name: value for name, value in body.get("metadata", {}).items() if name not in _SERVER_FIELDS}


def _leaves(body: Json) -> Iterator[tuple[Path, Any]]:
    """Yield the managed fields with their values."""
    managed = {"metadata": _client_metadata(body), **{k: v for k, v in body.items() if k not in ("metadata", "status")}}
    for name in ("apiVersion", "kind"):
        managed.pop(name, None)
    yield from _leaves_below((), managed)


def _leaves_below(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _leaves_below((*path, name), inner)
    elif path != ("metadata",):
        yield path, value


def _set_field(body: Json, path: Path, value: Any) -> None:
    for name in path[:-1]:
        inner = body.get(name)
        body[name] = inner if isinstance(inner, dict) else {}
        body = body[name]
    body[path[-1]] = copy.deepcopy(value)


def _remove_field(body: Json, path: Path) -> None:
    """Remove a field, and parents that become empty."""
    name, *rest = path
    if rest and isinstance(body.get(name), dict):
        _remove_field(body[name], tuple(rest))
    if not rest or body.get(name) == {}:
        body.pop(name, None)


def _merge(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(value) if isinstance(value, dict) else {}
    for name, inner in patch.items():
        if inner is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), inner)
    return merged


def _managed_fields(fields: Mapping[Manager, set[Path]]) -> list[Json]:
    """Return metadata.managedFields."""
    entries = []
    for (name, operation), paths in sorted(fields.items()):
        tree: Json = {}
        for path in sorted(paths):
            _set_field(tree, tuple(f"f:{part}" for part in path), {})
        if tree:
            entries.append({"manager": name, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": tree})
    return entries


def _conflict(path: Path, manager: Manager, api_version: str) -> Json:
    return {
        "reason": "FieldManagerConflict",
        "message": f'conflict with "{manager[0]}" using {api_version}',
        "field": "." + ".".join(path),
    }
